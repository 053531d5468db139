"""The scores of one suite as an array of method entries, pairs and seeds: the input of every table of scores.

Letters of shapes in this package: M method entries, P pairs, S seeds, K classes or groups of samples, N anything else.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pandas as pd

from tlbench.errors import TlbenchError, unknown_name
from tlbench.metrics import METRICS, Metric
from tlbench.reports.frames import SCORES, latest_records, latest_value, suite_and_version
from tlbench.reports.statistics import intervals, ties
from tlbench.reports.statistics.intervals import Array
from tlbench.reports.sweeps import Levels, levels_of, merge_sweep_levels


@dataclass(frozen=True, eq=False)
class ScoreCube:
    """The scores of one suite in the unit of its metric: `values` (M, P, S), NaN where there is no score.

    Pairs and seeds are those of any record of the suite, whatever its entry and status, so that a partial run has missing
    values. Entries are sorted by their mean, best first; entries without a mean come last. `domains` holds the sources of
    each pair and then its target; the levels of a severity or label-budget sweep count as one domain.
    """

    suite: str
    version: int
    metric: str
    entries: pd.Index[str]
    pairs: pd.Index[str]
    seeds: pd.Index[int]
    domains: tuple[tuple[str, ...], ...]
    values: Array
    decimals: int = 1
    levels: Levels = field(default_factory=dict)
    """The domains that sweeps generated."""
    floor_P: Array = field(default_factory=lambda: np.zeros(0))
    """The difference up to which two scores of a pair tie, see `statistics.ties`."""
    single_M: npt.NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, dtype=bool))
    """Whether the seeds of an entry are copies of one run: they count once, and there is no interval over them."""

    @property
    def name(self) -> str:
        """The suite with its version, as in "quickstart v1"."""
        return f"{self.suite} v{self.version}"

    @property
    def measure(self) -> Metric:
        """The metric of the values."""
        return METRICS[self.metric]

    @property
    def direction(self) -> float:
        """1.0 where higher values are better, else -1.0; values times the direction are gains."""
        return 1.0 if self.measure.higher_is_better else -1.0

    @property
    def delta_unit(self) -> str:
        """The unit of a difference of two values."""
        return "percentage points" if self.measure.unit == "per cent" else self.measure.unit

    @property
    def capitalized_title(self) -> str:
        """The title of the metric with a capital letter, for the start of a sentence."""
        return self.measure.title[:1].upper() + self.measure.title[1:]

    @property
    def floor(self) -> float:
        """The difference up to which two means over pairs tie."""
        return float(self.floor_P.mean())

    def minus(self, baseline: str) -> ScoreCube:
        """The deltas of all other entries against this one, paired by pair and seed; all NaN where it has no record.

        Deltas are single runs where the runs of both entries are.
        """
        base_M = self.entries == baseline
        base_PS = self.values[base_M][0] if base_M.any() else np.full(self.values.shape[1:], np.nan)
        single_M = self.single_M[~base_M] & bool(self.single_M[base_M].any())
        return replace(self, entries=self.entries[~base_M], values=self.values[~base_M] - base_PS, single_M=single_M)

    @cached_property
    def cluster_P(self) -> npt.NDArray[np.intp]:
        """The cluster (P,) of each pair: pairs with the same sources and the same target share draws, whatever their levels."""
        clusters = {domains: number for number, domains in enumerate(dict.fromkeys(self.domains))}
        return np.array([clusters[domains] for domains in self.domains], dtype=np.intp)

    @property
    def shares_draws(self) -> bool:
        """Whether some pairs are levels of one sweep."""
        return len(set(self.domains)) < len(self.pairs)

    def distinct(self) -> ScoreCube:
        """The cube of the pairs that are really different: pairs that share draws are averaged within each seed.

        The levels of a sweep have samples and seeds in common, so their errors are not independent: each sweep counts as one
        pair, in means over pairs and in all that is inferred from them.
        """
        if not self.shares_draws:
            return self
        domains = tuple(dict.fromkeys(self.domains))
        levels_of_pair = [self.values[:, self.cluster_P == cluster] for cluster in range(len(domains))]
        return replace(
            self,
            pairs=pd.Index([f"{'+'.join(names[:-1])}:{names[-1]}" for names in domains]),
            domains=domains,
            # about the first level, so that equal values have exactly their own mean
            values=np.stack([of[:, 0] + (of - of[:, :1]).mean(axis=1) for of in levels_of_pair], axis=1),
            floor_P=np.array([self.floor_P[self.cluster_P == cluster].mean() for cluster in range(len(domains))]),
        )


_MEMO: ContextVar[dict[int, ScoreCube | None]] = ContextVar("scores of frames", default={})  # noqa: B039 - never changed
"""The scores of the frames of `shared_cubes` by the frames' ids, None before they are computed."""


def score_cube(frame: pd.DataFrame) -> ScoreCube:
    """The scores of the frame of one suite, from the latest record of each case.

    Raises:
        TlbenchError: the frame has no records, records of more than one suite or version, or an unknown metric.
    """
    memo = _MEMO.get()
    if id(frame) not in memo:
        return _score_cube(frame)
    cube = memo[id(frame)]
    if cube is None:
        cube = memo[id(frame)] = _score_cube(frame)
    return cube


@contextmanager
def shared_cubes(frames: Iterable[pd.DataFrame]) -> Iterator[None]:
    """A context in which `score_cube` computes the scores of each of these frames once, which nobody changes meanwhile."""
    token = _MEMO.set({id(frame): None for frame in frames})
    try:
        yield
    finally:
        _MEMO.reset(token)


def _score_cube(frame: pd.DataFrame) -> ScoreCube:
    """As `score_cube`."""
    suite, version = suite_and_version(frame)
    metric = str(latest_value(frame, "metric"))
    if metric not in METRICS:
        raise TlbenchError(unknown_name("metric", metric, METRICS, f"the records of suite {suite!r}"))
    last = latest_records(frame)
    entries, pairs = pd.Index(frame["entry"].unique()), pd.Index(frame["pair"].unique())
    seeds = pd.Index(np.sort(frame["seed"].unique()))
    first = frame.drop_duplicates("pair").set_index("pair").loc[pairs, ["sources", "target"]]
    levels = levels_of(last)
    domains = merge_sweep_levels([(*sources.split("+"), target) for sources, target in first.to_numpy().tolist()], levels)
    empty = ScoreCube(suite, version, metric, entries, pairs, seeds, domains, np.empty(0), levels=levels)
    values = empty.measure.factor * cube_values(empty, last, metric)
    scored = last["scored_samples"].max()
    cube = replace(
        empty,
        values=values,
        decimals=1 if empty.measure.unit == "per cent" else _decimals(values),
        floor_P=ties.tie_floors(metric, values, None if pd.isna(scored) else float(scored)),
        single_M=_single_runs(empty, last),
    )
    mean_M = intervals.over_pairs(cube.distinct().values).mean
    best_first = np.argsort(-cube.direction * ties.tied(mean_M, cube.floor), kind="stable")
    return replace(cube, entries=entries[best_first], values=values[best_first], single_M=cube.single_M[best_first])


def _single_runs(cube: ScoreCube, records: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Whether the seeds of each entry (M,) are copies of one run: equal predictions in all seeds of every pair.

    Where a run has no predictions on file, all of its scores must be equal. A pair with fewer than two runs tells nothing.
    """
    codes = pd.Series(pd.factorize(records["predictions"])[0], index=records.index, dtype="float64")
    prediction_MPS = cube_values(cube, records.assign(prediction=codes.where(codes >= 0)), "prediction")
    done_MPS = np.isfinite(cube_values(cube, records.assign(one=1.0), "one"))
    equal_MP = _equal_over_seeds(prediction_MPS) & (np.isfinite(prediction_MPS) == done_MPS).all(axis=-1)
    unknown_MP = (np.isnan(prediction_MPS) & done_MPS).any(axis=-1)
    if unknown_MP.any():
        scores = [cube_values(cube, records, column) for column in (*SCORES, "mean_class_accuracy")]
        equal_MP |= unknown_MP & np.all([_equal_over_seeds(score_MPS) for score_MPS in scores], axis=0)
    repeated_MP = done_MPS.sum(axis=-1) > 1
    return np.asarray((equal_MP | ~repeated_MP).all(axis=1) & repeated_MP.any(axis=1))


def _equal_over_seeds(values_MPS: Array) -> npt.NDArray[np.bool_]:
    """Whether the values of each cell (M, P) that are not missing are equal."""
    missing_MPS = np.isnan(values_MPS)
    low_MP = np.where(missing_MPS, np.inf, values_MPS).min(axis=-1)
    high_MP = np.where(missing_MPS, -np.inf, values_MPS).max(axis=-1)
    return np.asarray(high_MP <= low_MP)


def cube_values(cube: ScoreCube, records: pd.DataFrame, column: str) -> Array:
    """A column of records as an array (M, P, S) with the axes of the cube; NaN where the value is missing or not finite.

    Args:
        cube: whose entries, pairs and seeds are the axes.
        records: at most one record per case; records whose status is not `done` count as missing.
        column: a column of numbers.
    """
    score = records[column].where(records["status"] == "done").to_numpy(dtype=np.float64, na_value=np.nan)
    values = np.full((len(cube.entries), len(cube.pairs), len(cube.seeds)), np.nan)
    values[cube_indices(cube, records)] = np.where(np.isfinite(score), score, np.nan)
    return values


def cube_indices(cube: ScoreCube, records: pd.DataFrame) -> tuple[npt.NDArray[np.intp], ...]:
    """The indices of the entry, the pair and the seed of each record in a cube."""
    return (
        cube.entries.get_indexer(pd.Index(records["entry"])),
        cube.pairs.get_indexer(pd.Index(records["pair"])),
        cube.seeds.get_indexer(pd.Index(records["seed"])),
    )


def subgroup_accuracies(cube: ScoreCube, records: pd.DataFrame, column: str) -> tuple[list[str], Array]:
    """The accuracies of K classes or groups of samples.

    Args:
        cube: whose entries, pairs and seeds are the axes.
        records: at most one record per case.
        column: a column of mappings, `per_class` or `per_group`.

    Returns:
        The K names in order of appearance, and accuracies (M, K, P, S) in per cent, NaN where they are missing.
    """
    measured = records[(records["status"] == "done") & records[column].notna()]
    mappings = measured[column].to_list()
    names = list(dict.fromkeys(name for keys in dict.fromkeys(tuple(mapping) for mapping in mappings) for name in keys))
    values = np.full((len(cube.entries), len(names), len(cube.pairs), len(cube.seeds)), np.nan)
    entry_N, pair_N, seed_N = cube_indices(cube, measured)
    accuracy_NK = np.array([[mapping.get(name) for name in names] for mapping in mappings], dtype=np.float64)
    if len(mappings):
        values[entry_N, :, pair_N, seed_N] = 100 * accuracy_NK
    return names, values


def _decimals(values: Array) -> int:
    """The number of decimals that gives the median value three significant digits."""
    typical = np.abs(values[np.isfinite(values) & (values != 0)])
    if not len(typical):
        return 1
    return int(np.clip(2 - np.floor(np.log10(np.median(typical))), 0, 6))


def has_all_pairs(mean_MP: Array) -> npt.NDArray[np.bool_]:
    """Whether each entry (M,) has a mean for every pair."""
    return np.asarray(np.isfinite(mean_MP).all(axis=-1))
