"""Negative flips, from the predictions that stand beside the records: rows right under the baseline and wrong under a method.

Yan et al., Positive-Congruent Training: Towards Regression-Free Model Updates, CVPR 2021. https://arxiv.org/abs/2011.09161
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from tlbench import records
from tlbench.reports.frames import latest_done

COLUMNS = ("suite", "suite_version", "entry", "pair", "seed", "against", "negative_flips", "positive_flips", "flips_floor")
"""The columns of the flips: shares in [0, 1], of one run against the baseline's run of the same pair and seed."""

_SEEDS = 10
"""The floor compares the baseline's runs of at most so many seeds, each with the others."""

Predictions = tuple[npt.NDArray[np.integer], npt.NDArray[np.bool_]]


def negative_flips(results: Path, frame: pd.DataFrame) -> pd.DataFrame | None:
    """The flips of every finished run in a frame whose predictions, and whose baseline's, are in the results directory.

    Where target labels are granted the rows of target_only are baselines too, as in the tables of deltas.

    `flips_floor` is the share of rows that one seed of the baseline has right and another has wrong, the mean over couples of
    seeds of the pair; missing where seeds score different rows, as they do where labelled target rows are drawn first. None
    without any predictions.
    """
    some = latest_done(frame[(frame["status"] == "done") & frame["predictions"].notna() & frame["baseline"].notna()])
    lines: list[tuple[object, ...]] = []
    for key, of_pair in some.groupby(["suite", "suite_version", "baseline", "pair"], sort=False):
        suite, version, baseline, pair = (str(part) for part in key)
        named = of_pair[["entry", "seed", "predictions"]].itertuples(index=False, name=None)
        read = (((row, seed), records.predictions_named(results, suite, name)) for row, seed, name in named)
        runs = {run: one for run, one in read if one is not None}
        drawn = bool((of_pair["target_labels"] > 0).any())
        alone = of_pair.loc[of_pair["method"] == "target_only", "entry"].unique().tolist() if drawn else []
        for against in dict.fromkeys((baseline, *alone)):
            base = {seed: one for (row, seed), one in runs.items() if row == against}
            floor = None if drawn else _floor(list(base.values()))
            for (row, seed), mine in runs.items():
                if row != against and seed in base and same_rows(base[seed], mine):
                    lost, won = float((base[seed][1] & ~mine[1]).mean()), float((mine[1] & ~base[seed][1]).mean())
                    lines.append((suite, int(version), row, pair, seed, against, lost, won, floor))
    if not lines:
        return None
    return pd.DataFrame(lines, columns=list(COLUMNS)).astype({"flips_floor": "float64"})


def same_rows(one: Predictions, other: Predictions) -> bool:
    """Whether two runs can have scored the same rows in the same order: where both are right they must say the same class."""
    if len(one[1]) != len(other[1]):
        return False
    both = one[1] & other[1]
    return bool((one[0][both] == other[0][both]).all())


def _floor(runs: list[Predictions]) -> float | None:
    runs = runs[:_SEEDS]
    if len(runs) < 2 or not all(same_rows(runs[0], run) for run in runs[1:]):
        return None
    right_SN = np.array([right for _, right in runs])
    seeds, rows = right_SN.shape
    right_N = right_SN.sum(axis=0)
    # each row that r of S seeds have right flips in r (S - r) of the S (S - 1) ordered couples
    return float((right_N * (seeds - right_N)).sum() / (seeds * (seeds - 1) * rows))
