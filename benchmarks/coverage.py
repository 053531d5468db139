"""How often the intervals of the tables cover the truth, and how often their marks are correct, by simulation.

    python -m benchmarks.coverage        (make coverage-simulation; four minutes on one core)

The noise between seeds is normal, and effects are in units of its standard deviation. The figures are in docs/reports.md.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pandas as pd
from tabulate import tabulate

from tlbench.reports import estimates
from tlbench.reports.score_cube import ScoreCube
from tlbench.reports.statistics import average_ranks, intervals, moderated

Array = npt.NDArray[np.float64]

PAIRS, SEEDS = (2, 6, 12), (3, 5, 10)
LEVELS, CORRELATIONS = 5, (0.0, 0.5, 1.0)
"""The levels of each pair that share draws, and how much their noise is correlated; at 1.0 the levels are copies."""

TABLES = 20_000
METHODS = 8
"""Methods of a simulated table of deltas; moderated t estimates a prior of the cells' variances from all of them."""


def deviations(kind: str, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    """The standard deviation between seeds of every cell: 1, or log-normal with quartiles more than a factor of 2 apart."""
    return np.ones(shape) if kind == "equal" else np.exp(rng.normal(0, 0.6, shape))


def these_pairs(pairs: int, seeds: int, kind: str, rng: np.random.Generator, tables: int = TABLES) -> float:
    """How often the interval of the mean over these pairs covers the truth."""
    truth_P = rng.normal(50, 10, pairs)
    noise = deviations(kind, (tables, pairs), rng)[..., None] * rng.normal(size=(tables, pairs, seeds))
    mean, margin = intervals.over_pairs(truth_P[:, None] + noise)
    return float((np.abs(mean - truth_P.mean()) <= margin).mean())


def marks(pairs: int, seeds: int, kind: str, effect: float, rng: np.random.Generator, tables: int) -> dict[str, float]:
    """Shares over tables of deltas in which 50 % of the cells have no effect, and 50 % a negative one.

    Args:
        pairs: P, the number of pairs.
        seeds: S, the number of seeds of a cell.
        kind: whether the noise of all cells is "equal", see `deviations`.
        effect: the size of the negative effects, in standard deviations of the cell's own noise.
        rng: the source of the draws.
        tables: how many tables are simulated.

    Returns:
        The coverage of the cells' moderated intervals; the share of "worse" among cells without effect, in these tables and
        in tables without any effect; the share of cells with an effect that are marked "worse"; and the share of methods
        with an effect in every cell whose mean has the verdict "worse".
    """
    covered, false, false_alone, power, verdicts = [], [], [], [], []
    for _ in range(tables):
        sigma_RP = deviations(kind, (METHODS, pairs), rng)
        negative_RP = rng.permuted(np.arange(METHODS * pairs) % 2 == 0).reshape(METHODS, pairs)
        noise = sigma_RP[..., None] * _delta_noise((METHODS, pairs, seeds), rng)
        truth_RP = np.where(negative_RP, -effect * sigma_RP, 0.0)
        marked = moderated.moderated_t(truth_RP[..., None] + noise)
        covered.append((np.abs(marked.mean - truth_RP) <= marked.margin).mean())
        false.append((marked.mark[~negative_RP] == -1).mean())
        power.append((marked.mark[negative_RP] == -1).mean())
        false_alone.append((moderated.moderated_t(noise).mark == -1).mean())
        verdicts.append((intervals.verdicts(intervals.over_pairs(noise - effect * sigma_RP[..., None])) == -1).mean())
    columns = ("covered", "false worse", "false, no effect anywhere", "power of a pair", "power of the mean")
    return dict(zip(columns, map(float, map(np.mean, (covered, false, false_alone, power, verdicts))), strict=True))


def _delta_noise(shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    """Noise of deltas (R, P, S) of variance 1; 50 % of the variance is the baseline's, whose noise all methods share."""
    noise: Array = (rng.normal(size=shape) - rng.normal(size=(1, *shape[1:]))) / np.sqrt(2)
    return noise


def swept_cube(values: Array) -> ScoreCube:
    """A cube of accuracies or deltas (M, P, L, S) in which the L levels of each pair are those of one sweep."""
    methods, pairs, levels, seeds = values.shape
    return ScoreCube(
        suite="simulated",
        version=1,
        metric="target_accuracy",
        entries=pd.Index([f"method {number}" for number in range(methods)]),
        pairs=pd.Index([f"{pair}:{pair}_s{level}" for pair in range(pairs) for level in range(levels)]),
        seeds=pd.Index(range(seeds)),
        domains=tuple((f"source {pair}", f"target {pair}") for pair in range(pairs) for _ in range(levels)),
        values=values.reshape(methods, pairs * levels, seeds),
        floor_P=np.full(pairs * levels, intervals.TOLERANCE),
        single_M=np.zeros(methods, dtype=bool),
    )


def swept_noise(shape: tuple[int, int, int, int], correlation: float, rng: np.random.Generator) -> Array:
    """Noise (M, P, L, S) of variance 1, correlated between the L levels of a pair."""
    methods, pairs, _, seeds = shape
    shared = rng.normal(size=(methods, pairs, 1, seeds))
    noise: Array = np.sqrt(correlation) * shared + np.sqrt(1 - correlation) * rng.normal(size=shape)
    return noise


def means_of_levels(
    pairs: int, seeds: int, correlation: float, rng: np.random.Generator, tables: int = TABLES
) -> tuple[float, float, float]:
    """Means over pairs with several levels each, of deltas without an effect.

    Returns:
        How often the interval of the mean covers zero, how often the verdict is better or worse, and how often an interval
        covers zero that takes every level for a pair of its own.
    """
    noise = swept_noise((tables, pairs, LEVELS, seeds), correlation, rng)
    cube = swept_cube(deviations("unequal", (tables, pairs), rng)[..., None, None] * noise)
    mean, margin = estimates.mean_over_pairs(cube)
    naive_mean, naive_margin = intervals.over_pairs(cube.values)
    false = np.isin(estimates.verdicts(cube, intervals.Estimate(mean, margin)), (1.0, -1.0))
    return float((np.abs(mean) <= margin).mean()), float(false.mean()), float((np.abs(naive_mean) <= naive_margin).mean())


def marks_of_levels(
    pairs: int, seeds: int, correlation: float, rng: np.random.Generator, tables: int = 400
) -> tuple[float, float, float]:
    """Marks of single cells in tables of deltas in which 50 % of the pairs of a method have losses on all levels.

    Returns:
        The coverage of the moderated intervals, the share of marks among cells without an effect, and the same in tables
        without any effect.
    """
    covered, false, false_alone = [], [], []
    for _ in range(tables):
        shape = (METHODS, pairs, LEVELS, seeds)
        baseline = swept_noise((1, *shape[1:]), correlation, rng)
        sigma = deviations("unequal", (METHODS, pairs), rng)[..., None, None]
        noise = sigma * (swept_noise(shape, correlation, rng) - baseline) / np.sqrt(2)
        negative = rng.permuted(np.arange(METHODS * pairs) % 2 == 0).reshape(METHODS, pairs, 1, 1)
        truth = np.broadcast_to(np.where(negative, -2.0 * sigma, 0.0), shape)
        tests = estimates.cell_tests(swept_cube(truth + noise))
        truth_MP = truth[..., 0].reshape(METHODS, -1)
        covered.append((np.abs(tests.mean - truth_MP) <= tests.margin).mean())
        false.append(np.isin(tests.mark[truth_MP == 0], (1.0, -1.0)).mean())
        false_alone.append(np.isin(estimates.cell_tests(swept_cube(noise)).mark, (1.0, -1.0)).mean())
    return float(np.mean(covered)), float(np.mean(false)), float(np.mean(false_alone))


def ranks_of_levels(pairs: int, correlation: float, rng: np.random.Generator, tables: int = 2000) -> tuple[float, float, float]:
    """Average ranks of methods that perform alike, over pairs with several levels each and three seeds.

    Returns:
        How often Friedman's test rejects, how often Nemenyi's test separates any two methods, and how often Friedman's test
        rejects that takes every level for a pair of its own; all at the level 0.05.
    """
    rejected, separated, naive = [], [], []
    for _ in range(tables):
        cube = swept_cube(swept_noise((METHODS, pairs, LEVELS, 3), correlation, rng))
        ranking = average_ranks.rank_entries(cube)
        alone = average_ranks.rank_entries(replace(cube, domains=tuple((pair,) for pair in cube.pairs)))
        assert ranking is not None and alone is not None
        rejected.append(ranking.p < 0.05)
        separated.append(np.ptp(ranking.average_rank) >= ranking.critical_difference)
        naive.append(alone.p < 0.05)
    return float(np.mean(rejected)), float(np.mean(separated)), float(np.mean(naive))


def hub_of_levels(targets: int, correlation: float, rng: np.random.Generator, tables: int = TABLES) -> float:
    """How often the interval for new domains covers the truth where one source is given and targets have several levels."""
    effect = swept_noise((tables, targets, LEVELS, 1), correlation, rng)
    cube = swept_cube(effect + np.sqrt(0.1) * swept_noise((tables, targets, LEVELS, 3), correlation, rng))
    cube = replace(cube, domains=tuple(("hub", target) for _, target in cube.domains))
    mean, margin = estimates.mean_for_new_domains(cube)
    return float((np.abs(mean) <= margin).mean())


def new_domains(domains: int, shares: tuple[float, float, float], rng: np.random.Generator, tables: int = TABLES) -> float:
    """How often the interval for new domains covers the truth, over all ordered pairs of the domains and three seeds.

    `shares` are the variances of the source's effect, of the target's effect, and of the interaction of a pair; the noise
    between seeds has variance 0.1.
    """
    source, target, interaction = (np.sqrt(share) for share in shares)
    pairs = list(itertools.permutations(range(domains), 2))
    sources, targets = (np.array(index) for index in zip(*pairs, strict=True))
    value = source * rng.normal(size=(tables, domains))[:, sources] + target * rng.normal(size=(tables, domains))[:, targets]
    value = value + interaction * rng.normal(size=value.shape)
    runs = value[..., None] + np.sqrt(0.1) * rng.normal(size=(*value.shape, 3))
    mean, margin = intervals.new_domains(runs, [(str(source), str(target)) for source, target in pairs])
    return float((np.abs(mean) <= margin).mean())


def hub(targets: int, rng: np.random.Generator, tables: int = TABLES) -> float:
    """The same where all pairs share one source: the source is fixed, and the targets are the sample."""
    value = rng.normal(size=(tables, targets))
    runs = value[..., None] + np.sqrt(0.1) * rng.normal(size=(tables, targets, 3))
    mean, margin = intervals.new_domains(runs, [("hub", str(target)) for target in range(targets)])
    return float((np.abs(mean) <= margin).mean())


def print_table(title: str, header: Sequence[str], body: Iterable[Sequence[object]]) -> None:
    """Print a table with its title, numbers to a tenth."""
    print(f"\n{title}\n\n{tabulate(body, headers=header, tablefmt='github', floatfmt='.1f')}")


def main() -> None:
    """Print all figures, in per cent."""
    rng = np.random.default_rng(0)
    kinds = ("equal", "unequal")
    print_table(
        "Coverage of the 95 % CI for other seeds on these pairs",
        ("pairs", "noise", *(f"{seeds} seeds" for seeds in SEEDS)),
        [(pairs, kind, *(100 * these_pairs(pairs, seeds, kind, rng) for seeds in SEEDS)) for pairs in PAIRS for kind in kinds],
    )
    cases = [(pairs, seeds, kind) for pairs in PAIRS for seeds in SEEDS for kind in kinds]
    shares = [marks(*case, effect=2.0, rng=rng, tables=400) for case in cases]
    print_table(
        f"Marks of pairs in tables of {METHODS} methods; effects are losses of two standard deviations of the noise",
        ("pairs", "seeds", "noise", *shares[0]),
        [(*case, *(100 * value for value in of_case.values())) for case, of_case in zip(cases, shares, strict=True)],
    )
    mixes = {
        "targets alone": (0.0, 1.0, 0.0),
        "sources and targets": (1.0, 1.0, 0.0),
        "half a pair's own": (0.5, 0.5, 1.0),
        "mostly a pair's own": (0.1, 0.1, 1.0),
        "a pair's own": (0.0, 0.0, 1.0),
    }
    domains = (4, 5, 8)
    print_table(
        "Coverage of the 95 % CI for new domains over all ordered pairs, 3 seeds, by the source of the variance between pairs:",
        ("", *(f"{count} domains" for count in domains)),
        [(mix, *(100 * new_domains(count, variances, rng) for count in domains)) for mix, variances in mixes.items()]
        + [("one source given", *(100 * hub(count, rng) for count in domains))],
    )
    _print_levels(np.random.default_rng(1))


def _print_levels(rng: np.random.Generator) -> None:
    """Print the figures of pairs with levels that share draws, in per cent."""
    cases = [(pairs, seeds, share) for pairs in (1, *PAIRS) for seeds in SEEDS[:2] for share in CORRELATIONS]
    print_table(
        f"Means over pairs with {LEVELS} levels that share draws, without an effect",
        ("pairs", "seeds", "correlation", "covered", "false verdicts", "covered, levels as pairs"),
        [(*case, *(100 * value for value in means_of_levels(*case, rng))) for case in cases],
    )
    print_table(
        f"Marks of cells in tables of {METHODS} methods, pairs with {LEVELS} levels that share draws",
        ("pairs", "seeds", "correlation", "covered", "false marks", "false, no effect anywhere"),
        [(*case, *(100 * value for value in marks_of_levels(*case, rng))) for case in cases if case[0] < PAIRS[-1]],
    )
    rng = np.random.default_rng(2)
    print_table(
        f"Average ranks of {METHODS} methods that perform alike, pairs with {LEVELS} levels that share draws",
        ("pairs", "correlation", "Friedman rejects", "Nemenyi separates", "Friedman, levels as pairs"),
        [(p, share, *(100 * value for value in ranks_of_levels(p, share, rng))) for p in PAIRS for share in CORRELATIONS],
    )
    print_table(
        f"Coverage of the 95 % CI for new domains, one source given, targets with {LEVELS} levels that share draws",
        ("correlation", *(f"{count} domains" for count in (4, 5, 8))),
        [(share, *(100 * hub_of_levels(count, share, rng) for count in (4, 5, 8))) for share in CORRELATIONS],
    )


if __name__ == "__main__":
    main()
