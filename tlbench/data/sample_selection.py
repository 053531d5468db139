"""Rows of a table selected by the values in its columns: `where = { column = value | [values] | { min = ..., max = ... } }`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import AfterValidator

from tlbench.data.decoding.arrays import Array
from tlbench.errors import TlbenchError, did_you_mean

if TYPE_CHECKING:
    import pandas as pd


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


def select(frame: pd.DataFrame, where: dict[str, Any]) -> pd.DataFrame:
    """The rows that meet all conditions.

    Raises:
        TlbenchError: a column that is not there, a range of another type than its column, or no rows are left.
    """
    mask_N = np.ones(len(frame), dtype=bool)
    for name, condition in where.items():
        check_column(frame, name)
        column = frame[name]
        mask_N &= condition_mask(column.to_numpy(None if column.dtype.kind in "iuf" else object), condition, name)
        if not mask_N.any():
            values = sorted({str(value) for value in frame[name].astype(str).unique()[:1000]})
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


def condition_mask(column: Array, condition: Any, name: str) -> Array:
    """Which values of a column (N,) meet a condition, as Booleans (N,).

    Texts in a range are compared as texts, which is the order of ISO 8601 dates.

    Raises:
        TlbenchError: a condition on numbers for a column of texts, or the other way round.
    """
    is_numeric = column.dtype.kind in "iuf"
    values = column if is_numeric else np.array([_text(value) for value in column], dtype=str)
    if isinstance(condition, dict):
        bound = next(iter(condition.values()))
        if isinstance(bound, str) == is_numeric:
            content = "numbers" if is_numeric else "texts"
            raise TlbenchError(
                f"where: The column {name!r} holds {content}, and the range {condition!r} is of the other type. "
                f"Give {content} as bounds."
            )
        mask_N = np.ones(len(column), dtype=bool) if is_numeric else values != ""
        if "min" in condition:
            mask_N = mask_N & (values >= condition["min"])
        return mask_N & (values <= condition["max"]) if "max" in condition else mask_N
    options = condition if isinstance(condition, list) else [condition]
    if is_numeric:
        try:
            return np.isin(column, [float(option) for option in options])
        except ValueError as error:
            raise TlbenchError(f"where: The column {name!r} holds numbers, not {condition!r}. Give numbers.") from error
    return np.isin(values, [_text(option) for option in options])


def _text(value: Any) -> str:
    if value is None or (isinstance(value, float) and value != value):
        return ""
    return value.decode("utf-8", errors="replace").strip() if isinstance(value, bytes) else str(value).strip()
