"""The estimates of a cube of scores or deltas: intervals and tests that count shared draws and copied runs once.

`statistics` has the formulas. Here it is decided what they are applied to: means over pairs, and all that is inferred from
them, run over the pairs that are really different, and an entry whose seeds are copies of one run has no interval over seeds.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.stats import binom

from tlbench.reports.score_cube import ScoreCube
from tlbench.reports.statistics import intervals
from tlbench.reports.statistics.intervals import Array, Estimate
from tlbench.reports.statistics.moderated import Design, ModeratedT, moderated_t


def cell_means(cube: ScoreCube) -> Estimate:
    """The mean of each cell (M, P) with Student's 95 % CI over seeds; single runs have none."""
    return _without_single_runs(cube, intervals.over_seeds(cube.values))


def mean_over_pairs(cube: ScoreCube) -> Estimate:
    """The mean of each entry (M,) over the pairs that are really different, with the 95 % CI for other seeds on these pairs."""
    return _without_single_runs(cube, intervals.over_pairs(cube.distinct().values))


def mean_for_new_domains(cube: ScoreCube) -> Estimate:
    """The mean of each entry (M,) over the pairs that are really different, with the 95 % CI for other domains."""
    distinct = cube.distinct()
    return intervals.new_domains(distinct.values, distinct.domains)


def verdicts(cube: ScoreCube, delta: Estimate) -> Array:
    """The verdict (M,) of each mean delta: 1, 0 or -1, and NaN where there is no interval."""
    return intervals.verdicts(delta, cube.direction, cube.floor)


def cell_tests(deltas: ScoreCube, sample_p_MP: Array | None = None) -> ModeratedT:
    """The tests of each cell (M, P) of deltas: moderated t over seeds; for single runs the p-values of tests on samples."""
    design = Design(
        cluster_K=deltas.cluster_P if deltas.shares_draws else None,
        single_M=deltas.single_M,
        sample_p_MK=sample_p_MP,
        floor_K=deltas.floor_P,
    )
    return moderated_t(deltas.values, deltas.direction, design)


def no_difference(deltas: ScoreCube) -> Array:
    """Whether each entry (M,) ties with the baseline in every pair and seed."""
    with np.errstate(invalid="ignore"):
        return np.asarray((np.abs(deltas.values) <= deltas.floor_P[:, None]).all(axis=(1, 2)))


def mcnemar_p(deltas: ScoreCube, baseline: str, flips: pd.DataFrame | None) -> Array | None:
    """The p-values (M, P) of McNemar's exact test on the scored samples, for deltas of single runs in accuracy.

    Of the d samples that only one of method and baseline classifies correctly, the method's share is binomial with
    probability 1 / 2 if both are equally accurate; p is two-sided. McNemar, Note on the Sampling Error of the Difference
    between Correlated Proportions or Percentages, Psychometrika 12, 1947. https://doi.org/10.1007/BF02295996

    Args:
        deltas: the deltas against the baseline.
        baseline: the entry that was subtracted.
        flips: from `reports.negative_flips`; None: no predictions are on file.

    Returns:
        NaN where the runs of a cell are replications, or where predictions of one of the two are not on file. None where no
        cell has a test.
    """
    if flips is None or deltas.metric != "target_accuracy" or not deltas.single_M.any():
        return None
    single = deltas.entries[deltas.single_M]
    of_suite = (flips["suite"] == deltas.suite) & (flips["suite_version"] == deltas.version) & (flips["against"] == baseline)
    selected = flips[of_suite & flips["entry"].isin(single) & flips["pair"].isin(deltas.pairs)]
    selected = selected.drop_duplicates(["entry", "pair"])
    if selected.empty:
        return None
    lost_N, gained_N = (
        (selected[share] * selected["samples"]).round().to_numpy() for share in ("negative_flips", "positive_flips")
    )
    p_MP = np.full(deltas.values.shape[:2], np.nan)
    index = deltas.entries.get_indexer(pd.Index(selected["entry"])), deltas.pairs.get_indexer(pd.Index(selected["pair"]))
    p_MP[index] = np.minimum(1.0, 2 * binom.cdf(np.minimum(lost_N, gained_N), lost_N + gained_N, 0.5))
    return p_MP


def _without_single_runs(cube: ScoreCube, estimate: Estimate) -> Estimate:
    single = cube.single_M.reshape(-1, *[1] * (estimate.mean.ndim - 1))
    return Estimate(estimate.mean, np.where(single, np.nan, estimate.margin))
