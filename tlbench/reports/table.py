"""A finished table, and what it is put together from: cells of text, and the same numbers in long form."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tlbench.reports.score_cube import Cube
from tlbench.reports.statistics import intervals
from tlbench.reports.statistics.intervals import Array, Estimate

TIDY = ("suite", "suite_version", "table", "entry", "pair", "part", "quantity", "value", "unit")
"""The columns of `Table.data`; `pair` is missing where a value is of the whole row, `part` names a class, group or seed."""

Quantities = Mapping[str, tuple[npt.NDArray[Any], str]]
"""Quantity -> (its values, their unit)."""

STAR = " *"
"""Stands after a pair, class or group that helps or hurts."""

VERDICTS = {1.0: "helps", 0.0: "undecided", -1.0: "hurts"}


@dataclass(frozen=True, eq=False)
class Table:
    """A finished table: `cells` is what is shown (text; index: rows), `data` the same in numbers, long and unrounded.

    `marks` has the shape of `cells`: words such as "best", "second", "helps", "hurts", or nothing. `metric` is a name in
    `terms.METRICS`. Names of rows and pairs are as the records have them; `render` and the site make them safe to show.
    """

    suite: str
    kind: str
    title: str
    caption: str
    cells: pd.DataFrame
    data: pd.DataFrame
    metric: str = "target_accuracy"
    marks: pd.DataFrame | None = None


def tidy(cube: Cube, table: str, rows: pd.Index[str], of_row: Quantities, of_cell: Quantities) -> pd.DataFrame:
    """All that has a value, in the columns `TIDY`, from arrays (R,) of rows and (R, P) of cells."""
    return stacked(cube, table, [*_long(rows, None, of_row), *_long(rows, cube.pairs.to_list(), of_cell)])


def tidy_long(cube: Cube, table: str, rows: pd.Index[str], parts: Sequence[str], of_part: Quantities) -> pd.DataFrame:
    """As `tidy`, from arrays (R, K) of K parts (classes, groups)."""
    long = [frame.rename(columns={"pair": "part"}) for frame in _long(rows, list(parts), of_part)]
    return stacked(cube, table, long)


def stacked(cube: Cube, table: str, parts: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Long frames one below the other, in the columns `TIDY`."""
    data = pd.concat([part for part in parts if len(part)] or list(parts[:1]), ignore_index=True)
    data = data.assign(suite=cube.suite, suite_version=cube.version, table=table)
    return data.reindex(columns=list(TIDY)).astype({"pair": object, "part": object})


def _long(rows: pd.Index[str], pairs: list[str] | None, quantities: Quantities) -> Iterator[pd.DataFrame]:
    pair = np.array([None] if pairs is None else pairs, dtype=object)
    row_N, pair_N = np.repeat(rows.to_numpy(dtype=object), len(pair)), np.tile(pair, len(rows))
    for quantity, (value, unit) in quantities.items():
        value_N = np.ravel(value).astype(np.float64)
        there = ~np.isnan(value_N)
        yield pd.DataFrame(
            {
                "entry": pd.Series(row_N[there], dtype=object),
                "pair": pd.Series(pair_N[there], dtype=object),
                "quantity": quantity,
                "value": value_N[there],
                "unit": unit,
            }
        )


def bounds(estimate: Estimate, unit: str) -> Quantities:
    """Mean and interval as quantities."""
    mean, half = estimate
    return {"mean": (mean, unit), "low": (mean - half, unit), "high": (mean + half, unit)}


def seed_counts(cube: Cube) -> Quantities:
    """How many seeds each cell has, also where they are too few to show."""
    return {"n": (np.isfinite(cube.values).sum(axis=-1), "seeds")}


def text_cells(rows: pd.Index[str], columns: Mapping[str, list[str]]) -> pd.DataFrame:
    """Columns of text, one row per method."""
    return pd.DataFrame(columns, index=pd.Index(rows, name="method"), dtype=object)


def mark_best(cells: pd.DataFrame, columns: Mapping[str, Sequence[str]]) -> pd.DataFrame:
    """The marks of some columns in the shape of `cells`; the others have none."""
    blank = [""] * len(cells)
    return pd.DataFrame({name: columns.get(name, blank) for name in cells.columns}, index=cells.index, dtype=object)


def best_two(values_R: Array, better: float) -> list[str]:
    """The marks "best" and "second" of a column, equal ones alike; no mark where fewer than two have a value."""
    values_R = np.round(better * values_R, 9)
    places = np.unique(values_R[~np.isnan(values_R)])[::-1]
    if np.count_nonzero(~np.isnan(values_R)) < 2:
        return [""] * len(values_R)
    named = dict(zip(places.tolist(), ("best", "second"), strict=False))
    return [named.get(value, "") for value in values_R.tolist()]


def pair_texts(cube: Cube, cell: Estimate, mark_RP: Array | None = None) -> dict[str, list[str]]:
    """One column of text per pair; with marks (1, 0, -1, NaN) the numbers are signed, and a star stands where one decides."""
    starred = np.zeros(cell.mean.shape, dtype=bool) if mark_RP is None else np.isin(mark_RP, (1.0, -1.0))
    shown = {}
    for pair, mean, half, stars in zip(cube.pairs, cell.mean.T, cell.half.T, starred.T, strict=True):
        said = texts(Estimate(mean, half), cube.decimals, signed=mark_RP is not None)
        shown[str(pair)] = [text + STAR * bool(star) for text, star in zip(said, stars, strict=True)]
    return shown


def texts(estimate: Estimate, decimals: int = 1, *, signed: bool = False) -> list[str]:
    """As in "52.1 ± 0.8"; without a half-width "52.1", without a mean blank."""
    return [
        "" if np.isnan(mean) else number(mean, decimals, signed=signed) + ("" if np.isnan(half) else f" ± {half:.{decimals}f}")
        for mean, half in zip(*(array.tolist() for array in estimate), strict=True)
    ]


def number(value: float, decimals: int = 1, *, signed: bool = False) -> str:
    """So many decimals; a signed "-0.0" is a small loss, which counts as one, and "0.0" is none."""
    if signed and abs(value) > intervals.NOISE:
        return f"{value:+.{decimals}f}"
    return f"{abs(value) if signed else value:.{decimals}f}"


def figures(values: Array) -> list[str]:
    """Three significant digits, whole from 100 on; NaN is blank."""
    return ["" if np.isnan(value) else f"{value:,.0f}" if value >= 99.95 else f"{value:#.3g}" for value in values]


def counts(values: Array, of: int | Array) -> list[str]:
    """As in "4 / 12"; NaN is blank."""
    total = np.broadcast_to(np.asarray(of), np.shape(values))
    return ["" if np.isnan(value) else f"{value:.0f} / {whole:.0f}" for value, whole in zip(values, total, strict=True)]
