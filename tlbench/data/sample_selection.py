"""Rows of a table selected by the values in its columns: `where = { column = value | [values] | { min = ..., max = ... } }`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import AfterValidator

from tlbench.data.decoding.arrays import Array
from tlbench.data.labels.classes import check_unicode, normalized
from tlbench.errors import TlbenchError, did_you_mean

if TYPE_CHECKING:
    import pandas as pd


Number = Callable[[str], "int | float"]
"""A text -> its number; it raises a ValueError for other texts."""


def _check_conditions(where: dict[str, Any]) -> dict[str, Any]:
    for column, condition in where.items():
        if isinstance(condition, dict):
            bounds = [value for key, value in condition.items() if key in ("min", "max")]
            if not bounds or len(bounds) < len(condition) or not all(type(b) in (int, float, str) for b in bounds):
                raise ValueError(f"The range for {column!r} must be {{ min = ..., max = ... }}, or one of the two.")
            if len({isinstance(bound, str) for bound in bounds}) > 1:
                raise ValueError(f"The bounds for {column!r} must both be numbers or both texts.")
        else:
            values = condition if isinstance(condition, list) else [condition]
            if not values or not all(isinstance(value, str | int | float) for value in values):
                raise ValueError(
                    f"The condition for {column!r} must be a value, a list of values, or {{ min = ..., max = ... }}."
                )
    return where


Where = Annotated[dict[str, Any], AfterValidator(_check_conditions)]
"""Column -> condition; a row is selected if it meets all conditions."""


def select(frame: pd.DataFrame, where: dict[str, Any], number: Number | None = None) -> pd.DataFrame:
    """The rows that meet all conditions.

    Args:
        frame: the rows.
        where: column -> condition.
        number: a cell -> its number, for conditions on numbers.

    Raises:
        TlbenchError: a column that is not there, a range of another type than its column, or no rows are left.
    """
    mask_N = np.ones(len(frame), dtype=bool)
    for name, condition in where.items():
        check_column(frame, name)
        column = frame[name]
        mask_N &= condition_mask(column.to_numpy(None if column.dtype.kind in "iuf" else object), condition, name, number)
        if not mask_N.any():
            values = sorted({str(value)[:40] for value in frame[name].astype(str).unique()[:1000]})
            shown = ", ".join(values[:8]) + (", ..." if len(values) > 8 else "")
            raise TlbenchError(
                f"where selects none of {len(frame)} rows at {name} = {condition!r}. The values of this column are {shown}."
            )
    return frame if mask_N.all() else frame[mask_N]


def check_column(frame: pd.DataFrame, name: str) -> None:
    """Check that a table has a column.

    Raises:
        TlbenchError: there is no such column.
    """
    if name not in frame.columns:
        raise TlbenchError(f"There is no column {name!r}. {did_you_mean(name, map(str, frame.columns))}")


def condition_mask(column: Array, condition: Any, name: str, number: Number | None = None) -> Array:
    """Which values of a column (N,) meet a condition, as Booleans (N,).

    A text as condition means the cell as it is written ("007" is not 7), a number means the number (7 is 007 and 7.0). Texts in
    a range are compared as texts, which is the order of ISO 8601 dates. Whole numbers are compared exactly.

    Args:
        column: the values (N,), numbers or objects.
        condition: a value, a list of values, or a range.
        name: the name of the column, for errors.
        number: a text -> its number; it raises a ValueError for other texts.

    Raises:
        TlbenchError: a condition on numbers for a column of texts, or the other way round.
    """
    number = number or exact_number
    if column.dtype.kind in "iuf":
        return _number_mask(column, condition, name)
    check_unicode(column)
    texts = [_text(value) for value in column]
    distinct = list(dict.fromkeys(texts))
    is_range = isinstance(condition, dict)
    if is_range:
        content = _range_type(distinct, condition, name, number)
        values = {text: number(text) if content is float else text for text in distinct if text}
        low, high = condition.get("min"), condition.get("max")
        met = {text for text, value in values.items() if (low is None or value >= low) and (high is None or value <= high)}
    else:
        options = condition if isinstance(condition, list) else [condition]
        met = {text for text in distinct if any(_equals(text, option, number) for option in options)}
    return np.array([text in met for text in texts], dtype=bool)


def _range_type(texts: Sequence[str], condition: dict[str, Any], name: str, number: Number) -> type:
    """Whether the texts of a column are compared as numbers (float) or as texts (str).

    Raises:
        TlbenchError: the bounds are of the other type.
    """
    try:
        holds_numbers = all(number(text) is not None for text in texts if text) and any(texts)
    except ValueError:
        holds_numbers = False
    if isinstance(next(iter(condition.values())), str) == holds_numbers:
        raise _other_type(name, condition, holds_numbers)
    return float if holds_numbers else str


def _other_type(name: str, condition: Any, holds_numbers: bool) -> TlbenchError:
    content = "numbers" if holds_numbers else "texts"
    return TlbenchError(
        f"where: The column {name!r} holds {content}, and the range {condition!r} is of the other type. "
        f"Give {content} as bounds."
    )


def _equals(text: str, option: Any, number: Number) -> bool:
    """Whether a cell is an option: by its text for a text, by its number for a number."""
    if text == _text(option) or isinstance(option, str):
        return text == _text(option)
    if isinstance(option, bool) and text.lower() == str(option).lower():
        return True
    try:
        return number(text) == option
    except ValueError:
        return False


def _number_mask(column: Array, condition: Any, name: str) -> Array:
    """Which numbers (N,) meet a condition; whole numbers are compared as such."""
    if isinstance(condition, dict):
        if isinstance(next(iter(condition.values())), str):
            raise _other_type(name, condition, holds_numbers=True)
        mask_N = np.ones(len(column), dtype=bool)
        if "min" in condition:
            mask_N &= column >= condition["min"]
        return mask_N & (column <= condition["max"]) if "max" in condition else mask_N
    options = condition if isinstance(condition, list) else [condition]
    try:
        numbers = [exact_number(option) if isinstance(option, str) else option for option in options]
    except ValueError as error:
        raise TlbenchError(f"where: The column {name!r} holds numbers, not {condition!r}. Give numbers.") from error
    mask_N = np.zeros(len(column), dtype=bool)
    for value in numbers:
        mask_N |= column == value
    return mask_N


def exact_number(text: str) -> int | float:
    """The number of a text; whole numbers are exact.

    Raises:
        ValueError: the text is no number.
    """
    try:
        return int(text)
    except ValueError:
        return float(text)


def _text(value: Any) -> str:
    """A cell or an option as a text without blanks around it; "" if there is none."""
    if value is None or (isinstance(value, float) and value != value):
        return ""
    return normalized(value.decode("utf-8", errors="replace").strip() if isinstance(value, bytes) else str(value).strip())
