"""Planning the number of seeds: the margin of error to expect, from the noise between seeds in earlier records.

The noise of an entry is pooled over its pairs. It is itself estimated from few seeds, so the expected margins are uncertain.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tlbench.reports.statistics import intervals
from tlbench.reports.statistics.intervals import Array

MAX_SEEDS = 1000
"""The largest number of seeds that is proposed."""


@dataclass(frozen=True, eq=False)
class Noise:
    """The noise between seeds of each entry (M,).

    `variance` is the mean variance over the entry's P pairs. `homogeneity`, in (0, 1], is (sum v)^2 / (P sum v^2) for the
    variances v of the pairs, by which the Welch-Satterthwaite degrees of freedom shrink; it is 1 where all are equal.
    """

    variance: Array
    homogeneity: Array

    def margin(self, seeds: int, pairs: int) -> Array:
        """The expected margin of error (M,) of the 95 % CI of a mean over pairs; NaN below three seeds."""
        if seeds < intervals.MIN_SEEDS:
            return np.full_like(self.variance, np.nan)
        return self._margins(np.array([seeds]), pairs)[0]

    def seeds_for(self, margin: float, pairs: int) -> Array:
        """The smallest number of seeds (M,) that gives at most this margin; NaN where `MAX_SEEDS` are too few."""
        seeds_N = np.arange(intervals.MIN_SEEDS, MAX_SEEDS + 1)
        enough_NM = self._margins(seeds_N, pairs) <= margin
        return np.where(enough_NM.any(axis=0), seeds_N[enough_NM.argmax(axis=0)], np.nan)

    def _margins(self, seeds_N: npt.NDArray[np.integer], pairs: int) -> Array:
        df_NM = np.maximum(self.homogeneity * pairs, 1.0) * (seeds_N[:, None] - 1.0)
        return intervals.t_quantile(df_NM) * np.sqrt(self.variance / (seeds_N[:, None] * pairs))


def estimate_noise(values_MPS: Array) -> Noise | None:
    """The noise of the entries that have a pair with at least two seeds; None where there is no such entry.

    The squared variances in the homogeneity are shrunk by d / (d + 2), with d their degrees of freedom, because the square
    of a variance estimate is too large by the inverse of this factor on average.

    Args:
        values_MPS: scores or paired deltas, NaN where they are missing.
    """
    seeds_MP = np.isfinite(values_MPS).sum(axis=-1)
    usable_MP = seeds_MP >= 2
    usable_M = usable_MP.any(axis=1)
    if not usable_M.any():
        return None
    filled = np.where(np.isfinite(values_MPS), values_MPS, 0.0)
    mean_MP = filled.sum(axis=-1) / np.maximum(seeds_MP, 1)
    squares_MP = np.where(np.isfinite(values_MPS), (filled - mean_MP[..., None]) ** 2, 0.0).sum(axis=-1)
    df_MP = np.maximum(seeds_MP - 1, 1)
    v_MP = np.where(usable_MP & (squares_MP > intervals.TOLERANCE**2), squares_MP / df_MP, 0.0)[usable_M]
    pairs_M = usable_MP[usable_M].sum(axis=1)
    fourth_M = (v_MP**2 * (df_MP / (df_MP + 2))[usable_M]).sum(axis=1)
    homogeneity_M = np.where(fourth_M > 0, v_MP.sum(axis=1) ** 2 / np.where(fourth_M > 0, fourth_M, 1.0) / pairs_M, 1.0)
    return Noise(v_MP.sum(axis=1) / pairs_M, np.clip(homogeneity_M, 0.0, 1.0))
