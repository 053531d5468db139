"""The frame of one suite -> the cube of its scores, which every table of scores starts from."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from tlbench.errors import TlbenchError
from tlbench.reports.frames import latest, latest_done, one_suite
from tlbench.reports.statistics import intervals
from tlbench.reports.statistics.intervals import Array
from tlbench.reports.sweeps import with_base_level
from tlbench.terms import METRICS, Metric


@dataclass(frozen=True, eq=False)
class Cube:
    """The scores of one suite in the unit of its metric: values (R rows, P pairs, S seeds), NaN where there is no score.

    Pairs and seeds are all that any record of the suite shows, whatever its row and status, so that a partial run has
    blanks. Rows stand best mean first, rows without a mean last. `domains` names the sources of each pair, then its target;
    the steps of a ladder count as one domain.
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

    @property
    def name(self) -> str:
        """The suite with its version, as titles show it."""
        return f"{self.suite} v{self.version}"

    @property
    def measure(self) -> Metric:
        """What the values measure."""
        return METRICS[self.metric]

    @property
    def better(self) -> float:
        """1 where higher is better, else -1: times it, more is better."""
        return 1.0 if self.measure.higher_is_better else -1.0

    @property
    def unit_of_deltas(self) -> str:
        """The unit of a difference of two values."""
        return "percentage points" if self.measure.unit == "per cent" else self.measure.unit

    @property
    def titled(self) -> str:
        """The metric as a title begins with it."""
        return self.measure.title[:1].upper() + self.measure.title[1:]

    def minus(self, row: str) -> Cube:
        """Every other row minus this one, same pair, same seed; NaN throughout where the row has no record."""
        base_R = self.entries == row
        base_PS = self.values[base_R][0] if base_R.any() else np.full(self.values.shape[1:], np.nan)
        return replace(self, entries=self.entries[~base_R], values=self.values[~base_R] - base_PS)


def cube(frame: pd.DataFrame) -> Cube:
    """The cube of one suite's frame, over the records that count.

    Raises TlbenchError for no record, for more than one suite or version, and for a metric that records do not hold.
    """
    suite, version = one_suite(frame)
    metric = str(latest(frame, "metric"))
    if metric not in METRICS:
        raise TlbenchError(f"suite {suite!r}: no metric {metric!r} in its records; there are {', '.join(METRICS)}")
    last = latest_done(frame)
    rows, pairs = pd.Index(frame["entry"].unique()), pd.Index(frame["pair"].unique())
    seeds = pd.Index(np.sort(frame["seed"].unique()))
    first = frame.drop_duplicates("pair").set_index("pair").loc[pairs, ["sources", "target"]]
    domains = with_base_level([(*sources.split("+"), target) for sources, target in first.to_numpy().tolist()])
    made = Cube(suite, version, metric, rows, pairs, seeds, domains, np.empty(0))
    values = made.measure.factor * placed_scores(made, last, metric)
    best_first = np.argsort(-made.better * intervals.these_pairs(values).mean.round(9), kind="stable")
    decimals = 1 if made.measure.unit == "per cent" else _decimals(values)
    return replace(made, entries=rows[best_first], values=values[best_first], decimals=decimals)


def placed_scores(cube: Cube, records: pd.DataFrame, column: str) -> Array:
    """A column of records, one for each case, as (R, P, S) in the places of the cube; NaN where it is not there or not done."""
    score = records[column].where(records["status"] == "done").to_numpy(dtype=np.float64, na_value=np.nan)
    values = np.full((len(cube.entries), len(cube.pairs), len(cube.seeds)), np.nan)
    values[places(cube, records)] = np.where(np.isfinite(score), score, np.nan)
    return values


def places(cube: Cube, records: pd.DataFrame) -> tuple[npt.NDArray[np.intp], ...]:
    """Row, pair and seed numbers of records in a cube."""
    return (
        cube.entries.get_indexer(pd.Index(records["entry"])),
        cube.pairs.get_indexer(pd.Index(records["pair"])),
        cube.seeds.get_indexer(pd.Index(records["seed"])),
    )


def parts(cube: Cube, records: pd.DataFrame, column: str) -> tuple[list[str], Array]:
    """The names in a column of mappings (`per_class`, `per_group`), and their shares in per cent: (R, K, P, S), else NaN."""
    some = records[(records["status"] == "done") & records[column].notna()]
    shares = some[column].to_list()
    names = list(dict.fromkeys(name for keys in dict.fromkeys(tuple(share) for share in shares) for name in keys))
    values = np.full((len(cube.entries), len(names), len(cube.pairs), len(cube.seeds)), np.nan)
    row_N, pair_N, seed_N = places(cube, some)
    table = np.array([[share.get(name) for name in names] for share in shares], dtype=np.float64)
    if len(shares):
        values[row_N, :, pair_N, seed_N] = 100 * table
    return names, values


def _decimals(values: Array) -> int:
    """As many decimals as give the typical value three significant digits."""
    typical = np.abs(values[np.isfinite(values) & (values != 0)])
    if not len(typical):
        return 1
    return int(np.clip(2 - np.floor(np.log10(np.median(typical))), 0, 6))


def complete(mean_RP: Array) -> npt.NDArray[np.bool_]:
    """Which rows (R,) have a value in each of their cells."""
    return np.asarray(np.isfinite(mean_RP).all(axis=-1))
