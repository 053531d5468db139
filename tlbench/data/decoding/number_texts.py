"""Cells of a table that are numbers in another spelling: 1,5 and 1.234,5 and 12 % and $3, and cells that stand for no number.

Such a column is never left out silently: keys of the reader say how its cells are read (`NumberFormat`), and without them
`number_error` names a cell and the keys to set.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from tlbench.errors import TlbenchError

if TYPE_CHECKING:
    import pandas as pd

MARKERS = frozenset({
    "", ".", "-", "--", "---", "?", "*", "n/a", "na", "n.a.", "nan", "none", "null", "nil", "#n/a", "#na", "missing", "unknown",
    "undefined", "void", "#value!", "#div/0!", "\N{EN DASH}", "\N{EM DASH}",
})  # fmt: skip
"""Cells that stand for no number in common programs, in lower case."""
UNITS = ("%", "$", "\N{EURO SIGN}", "\N{POUND SIGN}", "\N{YEN SIGN}", "\N{PER MILLE SIGN}", "\N{DEGREE SIGN}")
"""Units that are recognised and offered; `units` may name any."""
MIXED_SHARE = 0.1
"""A column with fewer texts than this share is taken for numbers with errors."""
MAX_TEXTS, MIN_NUMBERS = 3, 10
"""So few distinct texts beside more distinct numbers than this, which fill half of the cells, are markers of any spelling."""
SHOWN_MARKERS = 5
SPACES = "\N{NO-BREAK SPACE}\N{NARROW NO-BREAK SPACE}\N{THIN SPACE}"
"""Blanks between the groups of a number, which the key `thousands` = " " stands for as well."""


@dataclass(frozen=True)
class NumberFormat:
    """How the numbers of a table are written."""

    decimal: str = "."
    thousands: str | None = None
    units: tuple[str, ...] = ()
    """Texts before or after a number that are left out."""
    missing: tuple[str, ...] = ()
    """Cells that mean a missing value."""

    @property
    def is_plain(self) -> bool:
        """Whether numbers are written as Python writes them."""
        return self.decimal == "." and self.thousands is None and not self.units

    def plain_text(self, text: str) -> str | None:
        """A number as Python writes it, such as "1234.5" for "1.234,5 %"; None for a text that is no number of this format."""
        text = text.strip()
        if self.thousands == " ":
            text = re.sub(f"[{SPACES}]", " ", text)
        sign, text = (text[0], text[1:].strip()) if text[:1] in ("+", "-", "\N{MINUS SIGN}") else ("", text)
        for unit in self.units:
            if text.startswith(unit) or text.endswith(unit):
                text = text.removeprefix(unit).removesuffix(unit).strip()
                break
        if not sign and text[:1] in ("+", "-", "\N{MINUS SIGN}"):
            sign, text = text[0], text[1:]
        if not _pattern(self.decimal, self.thousands).fullmatch(text):
            return None
        text = text if self.thousands is None else text.replace(self.thousands, "")
        return sign.replace("\N{MINUS SIGN}", "-") + text.replace(self.decimal, ".")

    def number(self, text: str) -> int | float:
        """The number of a text; whole numbers are exact.

        Raises:
            ValueError: the text is no number of this format.
        """
        plain = text if self.is_plain else self.plain_text(text)
        if plain is None:
            raise ValueError(f"{text!r} is no number.")
        try:
            return int(plain)
        except ValueError:
            return float(plain)

    def plain_column(self, column: pd.Series[Any]) -> pd.Series[Any]:
        """A column of texts whose missing cells are None and whose numbers, if it holds any, are written as Python does."""
        import pandas as pd

        plain: dict[str, str | None] = {}
        foreign = []
        for cell in {cell for cell in column if isinstance(cell, str)}:
            text = cell.strip()
            if text in self.missing:
                plain[cell] = None
            elif not self.is_plain and (number := self.plain_text(text)) is not None:
                plain[cell] = number
            elif not self.is_plain and _is_plain(text):
                foreign.append(text)
        if foreign and (self.thousands == "." or any(text not in (None, cell.strip()) for cell, text in plain.items())):
            raise TlbenchError(
                f"The column {column.name!r} holds {min(foreign)!r}, which is no number with "
                f"{_format_keys(self) or 'these units'}. Correct the file or these keys."
            )
        if not plain:
            return column
        cells = [plain.get(cell, cell) if isinstance(cell, str) else cell for cell in column]
        return pd.Series(cells, index=column.index, name=column.name, dtype=object)


@cache
def _pattern(decimal: str, thousands: str | None) -> re.Pattern[str]:
    """The unsigned numbers of a format: groups of three digits are whole, and the first one does not begin with 0."""
    point = re.escape(decimal)
    whole = r"\d+" if thousands is None else rf"(?:\d+|[1-9]\d{{0,2}}(?:{re.escape(thousands)}\d{{3}})+)"
    return re.compile(rf"(?:{whole}(?:{point}\d*)?|{point}\d+)(?:[eE][+-]?\d+)?", re.ASCII)


def _is_plain(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


FORMATS = [
    NumberFormat(decimal, thousands)
    for decimal, thousands in [
        (".", None),
        (",", None),
        (".", ","),
        (",", "."),
        (",", " "),
        (".", " "),
        (".", "'"),
        (",", "'"),
        (".", "\N{RIGHT SINGLE QUOTATION MARK}"),
    ]
]
"""The formats that are offered, the simplest first."""


def number_error(column: pd.Series[Any], numbers: pd.Series[Any], form: NumberFormat | None) -> str | None:
    """What is to be done about a column that holds numbers beside texts that are no other content; None for other columns.

    Args:
        column: the cells (N,).
        numbers: the cells as numbers (N,), NaN where a cell is none.
        form: the format that its reader was told; None: the reader has no keys for it.

    Returns:
        A sentence that names a cell and the way out, or None if the column holds texts.
    """
    present = column.notna().to_numpy()
    is_text = present & numbers.isna().to_numpy()
    count, texts = int(present.sum()), int(is_text.sum())
    if not texts:
        return None
    cells = [str(cell).strip() for cell in column.to_numpy(dtype=object)[is_text]]
    distinct = list(dict.fromkeys(cells))
    distinct_numbers = numbers[~is_text & present].nunique()
    written = {cell for cell in distinct if _is_written_number(cell)}
    any_marker = len(distinct) <= MAX_TEXTS and distinct_numbers > MIN_NUMBERS and 2 * texts <= count
    markers = [cell for cell in distinct if cell not in written and (any_marker or _is_marker(cell))]
    explained = written.union(markers)
    number_cells = count - texts + sum(cell in written for cell in cells)
    unexplained = sum(cell not in explained for cell in cells)
    if texts >= MIXED_SHARE * count and (unexplained >= MIXED_SHARE * count or number_cells < 2 or 2 * number_cells < texts):
        return None
    first = next((cell for cell in distinct if cell in explained), cells[0]) if unexplained == 0 else cells[0]
    row = int(np.flatnonzero(is_text)[cells.index(first)])
    fact = f"The column {column.name!r} holds numbers, and {first[:40]!r} in row {row} (counted from 0)."
    if form is None:
        return f"{fact} Correct the file, or leave the column out."
    if unexplained:
        return (
            f"{fact} Correct the file, name the columns to use by features, or name by missing the cells that hold no number."
        )
    return f"{fact} {_way_out(sorted(written), markers, form)}"


def _is_marker(cell: str) -> bool:
    return cell.lower() in MARKERS or bool(re.match(r"[<>\u2264\u2265]=?\s*[\d.,]+$", cell))


def _is_written_number(cell: str) -> bool:
    """Whether a cell is a number in one of the formats that are offered, with any of the known units."""
    return any(NumberFormat(form.decimal, form.thousands, UNITS).plain_text(cell) is not None for form in FORMATS)


def _way_out(written: Sequence[str], markers: Sequence[str], form: NumberFormat) -> str:
    """The keys to set for numbers of another spelling and for cells that stand for no number."""
    keys = []
    if written:
        units = [unit for unit in UNITS if any(unit in cell for cell in written)]
        reading = [
            other
            for other in FORMATS
            if all(NumberFormat(other.decimal, other.thousands, tuple(units)).plain_text(cell) is not None for cell in written)
        ]
        reading = [
            other for i, other in enumerate(reading) if other.decimal not in {earlier.decimal for earlier in reading[:i]}
        ]
        ways = [_format_keys(other) for other in reading[:2]]
        if not ways:
            return "No one format reads all of its numbers. Correct the file, or name the columns to use by features."
        keys.append(" or ".join(way for way in ways if way) if ways[0] else "")
        keys.append(f"units = {json.dumps([*form.units, *units], ensure_ascii=False)}" if units else "")
    if markers:
        keys.append(f"missing = {json.dumps([*form.missing, *markers[:SHOWN_MARKERS]], ensure_ascii=False)}")
    setting = " and ".join(itertools.filterfalse(lambda key: not key, keys))
    return f"Set {setting}, correct the file, or name the columns to use by features." if setting else "Correct the file."


def _format_keys(form: NumberFormat) -> str:
    keys = [f"decimal = {json.dumps(form.decimal)}"] if form.decimal != "." else []
    return " with ".join([*keys, *([] if form.thousands is None else [f'thousands = "{form.thousands}"'])])
