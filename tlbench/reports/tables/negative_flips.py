"""Negative flips: samples that a run of the baseline classifies correctly and a run of the method does not.

They come from the files of predictions beside the records. Yan et al., Positive-Congruent Training: Towards Regression-Free
Model Updates, CVPR 2021. https://arxiv.org/abs/2011.09161
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from tlbench import records
from tlbench.reports.frames import latest_records

COLUMNS = (
    "suite",
    "suite_version",
    "entry",
    "pair",
    "seed",
    "against",
    "negative_flips",
    "positive_flips",
    "flips_floor",
    "samples",
)
"""The columns of the flips of one run against the baseline's run of the same pair and seed; shares of the scored `samples`."""

_MAX_SEEDS = 10
"""The largest number of the baseline's runs that the floor compares with each other."""

Predictions = tuple[npt.NDArray[np.integer], npt.NDArray[np.bool_]]
"""The predicted class of each scored sample (N,), and whether it is correct (N,)."""


def negative_flips(results: Path, frame: pd.DataFrame) -> pd.DataFrame | None:
    """The flips of each finished run in a frame; None where no predictions are on file.

    A run has flips where its own predictions and those of its baseline are in the results directory. Where target labels are
    granted, the entries of `target_only` are baselines too, as in the tables of deltas.

    `flips_floor` is the share of samples that one seed of the baseline classifies correctly and another does not, averaged
    over ordered pairs of seeds. It is missing where seeds score different samples, as they do where labelled target samples
    are drawn first.

    Args:
        results: the results directory that holds the predictions.
        frame: its records, from `reports.frame`.
    """
    scored = frame[(frame["status"] == "done") & frame["predictions"].notna() & frame["baseline"].notna()]
    by_pair = latest_records(scored).groupby(["suite", "suite_version", "baseline", "pair"], sort=False)
    lines = [line for key, of_pair in by_pair for line in _flips_of_pair(results, tuple(map(str, key)), of_pair)]
    if not lines:
        return None
    return pd.DataFrame(lines, columns=list(COLUMNS)).astype({"flips_floor": "float64"})


def _flips_of_pair(results: Path, key: tuple[str, ...], of_pair: pd.DataFrame) -> Iterator[tuple[object, ...]]:
    """The lines of one pair; `key` is its suite, version, baseline and pair."""
    suite, version, baseline, pair = key
    runs: dict[tuple[str, int], Predictions] = {}
    for entry, seed, name in of_pair[["entry", "seed", "predictions"]].itertuples(index=False, name=None):
        if (predictions := records.predictions_named(results, suite, name)) is not None:
            runs[entry, seed] = predictions
    labels_granted = bool((of_pair["target_labels"] > 0).any())
    target_only = of_pair.loc[of_pair["method"] == "target_only", "entry"].unique().tolist() if labels_granted else []
    for against in dict.fromkeys((baseline, *target_only)):
        base = {seed: predictions for (entry, seed), predictions in runs.items() if entry == against}
        floor = None if labels_granted else _floor(list(base.values()))
        for (entry, seed), predictions in runs.items():
            if entry != against and seed in base and comparable(base[seed], predictions):
                (_, base_correct_N), (_, correct_N) = base[seed], predictions
                negative = float((base_correct_N & ~correct_N).mean())
                positive = float((correct_N & ~base_correct_N).mean())
                yield suite, int(version), entry, pair, seed, against, negative, positive, floor, len(correct_N)


def comparable(first: Predictions, second: Predictions) -> bool:
    """Whether two runs can have scored the same samples in the same order.

    They can't where their numbers of samples differ, or where both are correct on a sample and predict different classes.
    """
    (class_N, correct_N), (other_class_N, other_correct_N) = first, second
    if len(correct_N) != len(other_correct_N):
        return False
    both_N = correct_N & other_correct_N
    return bool((class_N[both_N] == other_class_N[both_N]).all())


def _floor(runs: list[Predictions]) -> float | None:
    runs = runs[:_MAX_SEEDS]
    if len(runs) < 2 or not all(comparable(runs[0], run) for run in runs[1:]):
        return None
    correct_SN = np.array([correct_N for _, correct_N in runs])
    seeds, samples = correct_SN.shape
    count_N = correct_SN.sum(axis=0)
    # a sample that r of S seeds classify correctly flips in r (S - r) of the S (S - 1) ordered pairs of seeds
    return float((count_N * (seeds - count_N)).sum() / (seeds * (seeds - 1) * samples))
