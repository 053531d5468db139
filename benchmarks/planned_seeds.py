"""Whether a run with as many seeds as a plan says has the desired margin of error, by simulation with levels that share draws.

    python -m benchmarks.planned_seeds        (half a minute on one core; a part of make coverage-simulation)

The noise between seeds is normal. The figures are in docs/reports.md.
"""

from __future__ import annotations

import numpy as np

from benchmarks.coverage import CORRELATIONS, LEVELS, PAIRS, SEEDS, Array, print_table, swept_cube, swept_noise
from tlbench.reports import estimates
from tlbench.reports.statistics import intervals, planning

PLANNED_SEEDS = 10
"""Seeds that the desired margin of a planned run takes."""


def planned_margins(
    pairs: int, seeds: int, correlation: float, rng: np.random.Generator, tables: int = 1000
) -> tuple[float, float, float, float]:
    """Runs with as many seeds as a first run says that a margin takes, of pairs with several levels each.

    The desired margin is that of `PLANNED_SEEDS` seeds where the variance is known.

    Args:
        pairs: P, the number of pairs.
        seeds: the number of seeds of the first run.
        correlation: of the noise of the levels of a pair.
        rng: the source of the draws.
        tables: how many first runs are simulated.

    Returns:
        The median number of planned seeds; the median of the planned runs' margins, relative to the desired one; the share of
        these margins that are below it, or at most a quarter above; and the median margin where the plan takes every level
        for a pair of its own.
    """
    variance = (1 + (LEVELS - 1) * correlation) / LEVELS
    df = np.array([pairs * (PLANNED_SEEDS - 1.0)])
    desired = float(intervals.t_quantile(df)[0] * np.sqrt(variance / (PLANNED_SEEDS * pairs)))

    def margins(planned_M: Array) -> Array:
        margin_M = np.empty(len(planned_M))
        for count in np.unique(planned_M).astype(int):
            planned = planned_M == count
            noise = swept_noise((int(planned.sum()), pairs, LEVELS, int(count)), correlation, rng)
            margin_M[planned] = estimates.mean_over_pairs(swept_cube(noise)).margin
        return margin_M / desired

    first = swept_cube(swept_noise((tables, pairs, LEVELS, seeds), correlation, rng))
    distinct = first.distinct()
    noise, naive = planning.estimate_noise(distinct.values), planning.estimate_noise(first.values)
    assert noise is not None and naive is not None
    planned_M = noise.seeds_for(desired, len(distinct.pairs))
    relative_M = margins(planned_M)
    naive_M = margins(naive.seeds_for(desired, len(first.pairs)))
    return (
        float(np.median(planned_M)),
        float(np.median(relative_M)),
        float((relative_M <= 1.25).mean()),
        float(np.median(naive_M)),
    )


def main() -> None:
    """Print the figures of planned runs, margins in per cent of the desired one."""
    rng = np.random.default_rng(3)
    cases = [(pairs, seeds, share) for pairs in (1, *PAIRS[:2]) for seeds in SEEDS[:2] for share in CORRELATIONS]
    print_table(
        f"Runs with as many seeds as a first run says that the desired margin takes ({PLANNED_SEEDS} are right), pairs with "
        f"{LEVELS} levels",
        ("pairs", "first seeds", "correlation", "seeds", "margin", "at most 125 %", "margin, levels as pairs"),
        [(*case, seeds, *(100 * value for value in rest)) for case in cases for seeds, *rest in [planned_margins(*case, rng)]],
    )


if __name__ == "__main__":
    main()
