"""How often the intervals and marks of the tables are right, by simulation: python -m benchmarks.coverage

Normal noise between seeds, in units of its own deviation. Half a minute on one core; the figures stand in docs/reports.md.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
from tabulate import tabulate

from tlbench.reports.statistics import intervals, moderated

Array = npt.NDArray[np.float64]

PAIRS, SEEDS = (2, 6, 12), (3, 5, 10)
TABLES = 20_000
METHODS = 8
"""Rows of a simulated table of deltas: cells lend each other their variance over all of them."""


def deviations(kind: str, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    """The noise between seeds of every cell: all alike, or unequal (log-normal, quartiles a factor of 2 apart and more)."""
    return np.ones(shape) if kind == "equal" else np.exp(rng.normal(0, 0.6, shape))


def these_pairs(pairs: int, seeds: int, kind: str, rng: np.random.Generator, tables: int = TABLES) -> float:
    """How often the interval of the mean over pairs covers the truth."""
    truth_P = rng.normal(50, 10, pairs)
    noise = deviations(kind, (tables, pairs), rng)[..., None] * rng.normal(size=(tables, pairs, seeds))
    mean, margin = intervals.over_pairs(truth_P[:, None] + noise)
    return float((np.abs(mean - truth_P.mean()) <= margin).mean())


def marks(pairs: int, seeds: int, kind: str, effect: float, rng: np.random.Generator, tables: int) -> dict[str, float]:
    """Of tables of deltas in which half of the cells have no effect and half hurt by `effect` of their own noise deviations.

    The coverage of the cells' moderated intervals, the false "worse" among cells without effect (in these tables, and in
    tables without any effect), the share of harmful cells marked, and the share of such tables' rows with a verdict.
    """
    covered, false, false_alone, results, verdicts = [], [], [], [], []
    for _ in range(tables):
        sigma_RP = deviations(kind, (METHODS, pairs), rng)
        harmful_RP = rng.permuted(np.arange(METHODS * pairs) % 2 == 0).reshape(METHODS, pairs)
        noise = sigma_RP[..., None] * _of_deltas((METHODS, pairs, seeds), rng)
        truth_RP = np.where(harmful_RP, -effect * sigma_RP, 0.0)
        marked = moderated.moderated_t(truth_RP[..., None] + noise)
        covered.append((np.abs(marked.mean - truth_RP) <= marked.margin).mean())
        false.append((marked.mark[~harmful_RP] == -1).mean())
        results.append((marked.mark[harmful_RP] == -1).mean())
        false_alone.append((moderated.moderated_t(noise).mark == -1).mean())
        verdicts.append((intervals.verdicts(intervals.over_pairs(noise - effect * sigma_RP[..., None])) == -1).mean())
    columns = ("covered", "false worse", "false, no effect anywhere", "power of a pair", "power of the mean")
    return dict(zip(columns, map(float, map(np.mean, (covered, false, false_alone, results, verdicts))), strict=True))


def _of_deltas(shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    """Noise of deltas (R, P, S), of variance 1: half of it is the baseline's, the same for all rows."""
    noise: Array = (rng.normal(size=shape) - rng.normal(size=(1, *shape[1:]))) / np.sqrt(2)
    return noise


def new_domains(domains: int, shares: tuple[float, float, float], rng: np.random.Generator, tables: int = TABLES) -> float:
    """How often the interval for new domains covers the truth, over all ordered pairs of the domains and three seeds.

    `shares` are the variances of what a domain does as a source, what it does as a target, and what is a pair's own; the
    noise between seeds has the variance 0.1.
    """
    source, target, own = (np.sqrt(share) for share in shares)
    pairs = list(itertools.permutations(range(domains), 2))
    of_source, of_target = (np.array(index) for index in zip(*pairs, strict=True))
    value = (
        source * rng.normal(size=(tables, domains))[:, of_source] + target * rng.normal(size=(tables, domains))[:, of_target]
    )
    value = value + own * rng.normal(size=value.shape)
    runs = value[..., None] + np.sqrt(0.1) * rng.normal(size=(*value.shape, 3))
    mean, margin = intervals.new_domains(runs, [(str(source), str(target)) for source, target in pairs])
    return float((np.abs(mean) <= margin).mean())


def hub(targets: int, rng: np.random.Generator, tables: int = TABLES) -> float:
    """The same where one source stands in every pair: it is given, and the targets are the sample."""
    value = rng.normal(size=(tables, targets))
    runs = value[..., None] + np.sqrt(0.1) * rng.normal(size=(tables, targets, 3))
    mean, margin = intervals.new_domains(runs, [("hub", str(target)) for target in range(targets)])
    return float((np.abs(mean) <= margin).mean())


def _shown(title: str, header: Sequence[str], samples: Iterable[Sequence[object]]) -> None:
    print(f"\n{title}\n\n{tabulate(samples, headers=header, tablefmt='github', floatfmt='.1f')}")


def main() -> None:
    """Print all figures, in per cent."""
    rng = np.random.default_rng(0)
    kinds = ("equal", "unequal")
    _shown(
        'Coverage of the 95 % interval for "these pairs"',
        ("pairs", "noise", *(f"{seeds} seeds" for seeds in SEEDS)),
        [(pairs, kind, *(100 * these_pairs(pairs, seeds, kind, rng) for seeds in SEEDS)) for pairs in PAIRS for kind in kinds],
    )
    cases = [(pairs, seeds, kind) for pairs in PAIRS for seeds in SEEDS for kind in kinds]
    records = [marks(*case, effect=2.0, rng=rng, tables=400) for case in cases]
    _shown(
        f"Marks of pairs in tables of {METHODS} methods; effects are losses of two noise deviations",
        ("pairs", "seeds", "noise", *records[0]),
        [(*case, *(100 * value for value in results.values())) for case, results in zip(cases, records, strict=True)],
    )
    mixes = {
        "targets alone": (0.0, 1.0, 0.0),
        "sources and targets": (1.0, 1.0, 0.0),
        "half a pair's own": (0.5, 0.5, 1.0),
        "mostly a pair's own": (0.1, 0.1, 1.0),
        "a pair's own": (0.0, 0.0, 1.0),
    }
    domains = (4, 5, 8)
    _shown(
        'Coverage of the 95 % interval for "new domains", all ordered pairs, 3 seeds; what varies between pairs:',
        ("", *(f"{count} domains" for count in domains)),
        [(mix, *(100 * new_domains(count, shares, rng) for count in domains)) for mix, shares in mixes.items()]
        + [("one source given", *(100 * hub(count, rng) for count in domains))],
    )


if __name__ == "__main__":
    main()
