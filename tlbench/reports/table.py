"""A finished table, and what it is put together from: cells of text, and the same numbers in long form."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tlbench.reports import statistics
from tlbench.reports.frames import Cube
from tlbench.reports.statistics import Array, Estimate

TIDY = ("suite", "suite_version", "table", "row", "pair", "quantity", "value", "unit")
"""The columns of `Table.data`; `pair` is missing where a value is of the whole row."""

Quantities = Mapping[str, tuple[npt.NDArray[Any], str]]
"""Quantity -> (its values, their unit)."""


@dataclass(frozen=True, eq=False)
class Table:
    """A finished table: `cells` is what is shown (text; index: rows), `data` the same in numbers, long and unrounded.

    Names of rows and pairs are as the records have them; `render` and the site make them safe to show.
    """

    suite: str
    kind: str
    title: str
    caption: str
    cells: pd.DataFrame
    data: pd.DataFrame


def tidy(cube: Cube, table: str, rows: pd.Index[str], of_row: Quantities, of_cell: Quantities) -> pd.DataFrame:
    """All that has a value, in the columns `TIDY`, from arrays (R,) of rows and (R, P) of cells."""
    parts = [*_long(rows, None, of_row), *_long(rows, cube.pairs, of_cell)]
    data = pd.concat([part for part in parts if len(part)] or parts[:1], ignore_index=True)
    return data.assign(suite=cube.suite, suite_version=cube.version, table=table)[list(TIDY)]


def _long(rows: pd.Index[str], pairs: pd.Index[str] | None, quantities: Quantities) -> Iterator[pd.DataFrame]:
    pair = [None] if pairs is None else pairs.to_list()
    for quantity, (value, unit) in quantities.items():
        columns = {
            "row": np.repeat(rows.to_numpy(dtype=object), len(pair)),
            "pair": pd.Series(pair * len(rows), dtype=object),
            "value": np.ravel(value).astype(np.float64),
        }
        long = pd.DataFrame(columns).assign(quantity=quantity, unit=unit)
        yield long[long["value"].notna()]


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


def pair_texts(cube: Cube, cell: Estimate, *, signed: bool = False) -> dict[str, list[str]]:
    """One column of text per pair; a signed cell whose own interval excludes zero is marked with a star."""
    columns = zip(cube.pairs, cell.mean.T, cell.half.T, strict=True)
    shown = {str(pair): Estimate(mean, half) for pair, mean, half in columns}
    if not signed:
        return {pair: texts(estimate) for pair, estimate in shown.items()}
    return {
        pair: [
            text + " *" * bool(verdict in (1.0, -1.0))
            for text, verdict in zip(texts(estimate, signed=True), statistics.verdicts(estimate), strict=True)
        ]
        for pair, estimate in shown.items()
    }


def texts(estimate: Estimate, *, signed: bool = False) -> list[str]:
    """As in "52.1 ± 0.8"; without a half-width "52.1", without a mean blank."""
    return [
        "" if np.isnan(mean) else number(mean, signed=signed) + ("" if np.isnan(half) else f" ± {half:.1f}")
        for mean, half in zip(*estimate, strict=True)
    ]


def number(value: float, *, signed: bool = False) -> str:
    """One decimal; a signed "-0.0" is a small loss, which counts as one, and "0.0" is none."""
    if signed and abs(value) > statistics.NOISE:
        return f"{value:+.1f}"
    return f"{abs(value) if signed else value:.1f}"


def figures(values: Array) -> list[str]:
    """Three significant digits, whole from 100 on; NaN is blank."""
    return ["" if np.isnan(value) else f"{value:,.0f}" if value >= 99.95 else f"{value:#.3g}" for value in values]
