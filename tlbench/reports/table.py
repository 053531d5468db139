"""A finished table and its parts: cells of text for readers, and the same numbers in long form."""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tlbench.escaping import escape_control
from tlbench.reports.published_levels import LevelComparison
from tlbench.reports.score_cube import ScoreCube
from tlbench.reports.statistics import intervals
from tlbench.reports.statistics.intervals import Array, Estimate
from tlbench.reports.statistics.ties import tied
from tlbench.reports.sweeps import Levels

TIDY = ("suite", "suite_version", "table", "entry", "pair", "subgroup", "quantity", "value", "unit")
"""The columns of `Table.data`.

`pair` is missing where a value is of the whole entry. `subgroup` names a class or a group of samples; the quantities
`worst_seed` and `group` have the seed and the number of the group of ranks there.
"""

Quantities = Mapping[str, tuple[npt.NDArray[Any], str]]
"""Quantity -> (its values, their unit)."""

STAR = " *"
"""Follows a pair, class or group that is significantly better or worse."""

EQUAL = "equal"
"""The verdict where a method ties with the baseline in every pair and seed."""

VERDICTS = {1.0: "better", 0.0: "n.s.", -1.0: "worse"}
"""The words for the verdicts on a mean and for the marks of single cells; n.s.: no significant difference."""

VERDICT_UNIT = "1 better, 0 n.s., -1 worse"
"""The unit of verdicts and marks in the data of a table."""


PAGE = "docs/reports.md"
"""The page of the documentation that explains the statistics of the tables."""


@dataclass(frozen=True, eq=False)
class Table:
    """A finished table.

    `cells` is what readers see, text with one line per method entry; `data` holds the same numbers unrounded, in the columns
    `TIDY`. `marks` has the shape of `cells` and holds words such as "best", "second", "better" and "worse", or "". `metric`
    is a name in `terms.METRICS`. Names of entries and pairs are those of the records; `render` and the site escape them.
    """

    suite: str
    kind: str
    title: str
    caption: str
    cells: pd.DataFrame
    data: pd.DataFrame
    metric: str = "target_accuracy"
    marks: pd.DataFrame | None = None
    levels: Levels = field(default_factory=dict)
    """The domains that sweeps generated."""
    published: tuple[LevelComparison, ...] = ()
    """The published levels of the baseline, beside those here."""
    line: str = ""
    """The caption in one line, which readers see with the notes; empty: they see the whole caption."""
    notes: str = ""
    """The sentences of the caption on what is particular to these records: what is missing, mixed or not comparable."""
    section: str = ""
    """The section of docs/reports.md that explains the table, as the anchor of its heading."""
    groups: tuple[str, ...] = ()
    """The group of each line, for a table whose lines are grouped; lines of one group follow each other."""

    @property
    def short_caption(self) -> str:
        """The line of the caption and the notes or, where there is no line, the whole caption."""
        line = f"{self.line.removesuffix('.')}." if self.line and self.notes else self.line
        return " ".join(filter(None, (line, self.notes))) if line else self.caption

    @property
    def pointer(self) -> str:
        """The place in the documentation that explains the statistics of the table; empty where there is none."""
        return f"{PAGE}#{self.section}" if self.section else ""

    def _repr_html_(self) -> str:
        """The table as a notebook shows it."""
        title, caption = (html.escape(escape_control(text)) for text in (self.title, self.short_caption))
        cells = self.cells.map(escape_control).rename(index=escape_control, columns=escape_control)
        with pd.option_context("display.max_colwidth", None):
            return f"<h4>{title}</h4>\n{cells.to_html(escape=True)}\n<p>{caption}</p>\n"


def tidy(cube: ScoreCube, table: str, entries: pd.Index[str], of_entry: Quantities, of_cell: Quantities) -> pd.DataFrame:
    """The finite values of a table in the columns `TIDY`.

    Args:
        cube: names the suite and the pairs.
        table: the name of the table.
        entries: the M method entries of the values.
        of_entry: quantities with values (M,).
        of_cell: quantities with values (M, P).
    """
    return stack_long(cube, table, [*_long(entries, None, of_entry), *_long(entries, cube.pairs.to_list(), of_cell)])


def tidy_subgroups(
    cube: ScoreCube, table: str, entries: pd.Index[str], subgroups: Sequence[str], quantities: Quantities
) -> pd.DataFrame:
    """The finite values of a table of K classes or groups, in the columns `TIDY`.

    Args:
        cube: names the suite.
        table: the name of the table.
        entries: the M method entries of the values.
        subgroups: the K names.
        quantities: quantities with values (M, K).
    """
    long = [frame.rename(columns={"pair": "subgroup"}) for frame in _long(entries, list(subgroups), quantities)]
    return stack_long(cube, table, long)


def tidy_lines(lines: Sequence[tuple[object, ...]], names: Sequence[str], **same: str | int | None) -> pd.DataFrame:
    """Lines in the columns `TIDY`; those whose value is missing are left out.

    Args:
        lines: a value of each name.
        names: the columns of the lines, "value" among them.
        same: columns with one value; without it there is no pair and no subgroup.
    """
    constant: dict[str, str | int | None] = {
        name: value for name, value in {"pair": None, "subgroup": None, **same}.items() if name not in names
    }
    data = pd.DataFrame(lines, columns=list(names))
    return _in_tidy_columns(data[data["value"].notna()].assign(**constant))


def stack_long(cube: ScoreCube, table: str, frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Long frames stacked, in the columns `TIDY`."""
    data = pd.concat([frame for frame in frames if len(frame)] or list(frames[:1]), ignore_index=True)
    return _in_tidy_columns(data.assign(suite=cube.suite, suite_version=cube.version, table=table))


def _in_tidy_columns(data: pd.DataFrame) -> pd.DataFrame:
    return data.reindex(columns=list(TIDY)).astype({"pair": object, "subgroup": object})


def _long(entries: pd.Index[str], pairs: list[str] | None, quantities: Quantities) -> Iterator[pd.DataFrame]:
    """One long frame per quantity, without the missing values."""
    pair = np.array([None] if pairs is None else pairs, dtype=object)
    entry_N, pair_N = np.repeat(entries.to_numpy(dtype=object), len(pair)), np.tile(pair, len(entries))
    for quantity, (value, unit) in quantities.items():
        value_N = np.ravel(value).astype(np.float64)
        measured_N = ~np.isnan(value_N)
        yield pd.DataFrame(
            {
                "entry": pd.Series(entry_N[measured_N], dtype=object),
                "pair": pd.Series(pair_N[measured_N], dtype=object),
                "quantity": quantity,
                "value": value_N[measured_N],
                "unit": unit,
            }
        )


def bounds(estimate: Estimate, unit: str) -> Quantities:
    """A mean and the bounds of its 95 % CI as quantities."""
    mean, margin = estimate
    return {"mean": (mean, unit), "low": (mean - margin, unit), "high": (mean + margin, unit)}


def seed_counts(cube: ScoreCube) -> Quantities:
    """The number of seeds of each cell, also where one is missing and the cell has no mean; copies of one run count once."""
    n_MP = np.isfinite(cube.values).sum(axis=-1)
    return {"n": (np.where(cube.single_M[:, None], np.minimum(n_MP, 1), n_MP), "seeds")}


def text_cells(entries: pd.Index[str], columns: Mapping[str, list[str]]) -> pd.DataFrame:
    """The cells of a table, one line per method entry, from columns of text."""
    return pd.DataFrame(columns, index=pd.Index(entries, name="method"), dtype=object)


def mark_columns(cells: pd.DataFrame, columns: Mapping[str, Sequence[str]]) -> pd.DataFrame:
    """The marks of a table in the shape of `cells`; columns that are not given have none."""
    blank = [""] * len(cells)
    return pd.DataFrame({name: columns.get(name, blank) for name in cells.columns}, index=cells.index, dtype=object)


def best_two(values_M: Array, direction: float, floor: float = intervals.TOLERANCE) -> list[str]:
    """The marks "best" and "second" of a column, the same for ties; no marks where fewer than two values are present.

    Args:
        values_M: the values of the column.
        direction: -1.0 where lower values are better.
        floor: the difference up to which two values tie.
    """
    values_M = direction * tied(values_M, floor)
    levels = np.unique(values_M[~np.isnan(values_M)])[::-1]
    if np.count_nonzero(~np.isnan(values_M)) < 2:
        return [""] * len(values_M)
    marks = dict(zip(levels.tolist(), ("best", "second"), strict=False))
    return [marks.get(value, "") for value in values_M.tolist()]


def pair_texts(cube: ScoreCube, cell: Estimate, mark_MP: Array | None = None) -> dict[str, list[str]]:
    """One column of text per pair.

    With marks (1, 0, -1 or NaN) the values are deltas: they are signed, and a star follows those that are significantly
    better or worse.
    """
    starred = np.zeros(cell.mean.shape, dtype=bool) if mark_MP is None else np.isin(mark_MP, (1.0, -1.0))
    columns = {}
    for pair, mean, margin, stars in zip(cube.pairs, cell.mean.T, cell.margin.T, starred.T, strict=True):
        column = estimate_texts(Estimate(mean, margin), cube.decimals, signed=mark_MP is not None)
        columns[str(pair)] = [text + STAR * bool(star) for text, star in zip(column, stars, strict=True)]
    return columns


def estimate_texts(estimate: Estimate, decimals: int = 1, *, signed: bool = False) -> list[str]:
    """Estimates as in "52.1 ± 0.8"; "52.1" without a margin, blank without a mean."""
    return [
        ""
        if np.isnan(mean)
        else number_text(mean, decimals, signed=signed) + ("" if np.isnan(margin) else f" ± {margin:.{decimals}f}")
        for mean, margin in zip(*(array.tolist() for array in estimate), strict=True)
    ]


def number_text(value: float, decimals: int = 1, *, signed: bool = False) -> str:
    """A number with so many decimals; what rounds to zero has no sign."""
    text = f"{value:+.{decimals}f}" if signed else f"{value:.{decimals}f}"
    return text if float(text) else text.lstrip("+-")


def three_digits(values: Array) -> list[str]:
    """Numbers with three significant digits, without decimals from 100 on; NaN is blank."""
    return ["" if np.isnan(value) else f"{value:,.0f}" if value >= 99.95 else f"{value:#.3g}" for value in values]


def count_texts(values: Array, of: int | Array) -> list[str]:
    """Counts as in "4 / 12"; NaN is blank."""
    total = np.broadcast_to(np.asarray(of), np.shape(values))
    return ["" if np.isnan(value) else f"{value:.0f} / {whole:.0f}" for value, whole in zip(values, total, strict=True)]
