"""Rows chosen by what their columns hold: `where = { column = value | [values] | { min = ..., max = ... } }`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import AfterValidator

from tlbench.data.decoding.arrays import Array
from tlbench.errors import TlbenchError, did_you_mean

if TYPE_CHECKING:
    import pandas as pd


def _conditions(where: dict[str, Any]) -> dict[str, Any]:
    for column, wanted in where.items():
        if isinstance(wanted, dict):
            bounds = [value for key, value in wanted.items() if key in ("min", "max")]
            if not bounds or len(bounds) < len(wanted) or not all(type(b) in (int, float, str) for b in bounds):
                raise ValueError(f"for {column!r} a range is {{ min = ..., max = ... }}, or one of the two")
            if len({isinstance(bound, str) for bound in bounds}) > 1:
                raise ValueError(f"for {column!r} min and max must both be numbers or both texts")
        else:
            values = wanted if isinstance(wanted, list) else [wanted]
            if not values or not all(isinstance(value, str | int | float) for value in values):
                raise ValueError(f"for {column!r} must be a value, a list of values, or {{ min = ..., max = ... }}")
    return where


Where = Annotated[dict[str, Any], AfterValidator(_conditions)]


def selected(frame: pd.DataFrame, where: dict[str, Any]) -> pd.DataFrame:
    """The rows that meet all conditions.

    Raises:
        TlbenchError: a column that is not there, a range over texts, or no row left.
    """
    keep = np.ones(len(frame), dtype=bool)
    for name, wanted in where.items():
        known(frame, name)
        column = frame[name]
        keep &= met(column.to_numpy(None if column.dtype.kind in "iuf" else object), wanted, name)
        if not keep.any():
            there = sorted({str(value) for value in frame[name].astype(str).unique()[:1000]})
            shown = ", ".join(there[:8]) + (", ..." if len(there) > 8 else "")
            raise TlbenchError(f"where selects none of {len(frame)} rows at {name} = {wanted!r}; the column holds {shown}")
    return frame if keep.all() else frame[keep]


def known(frame: pd.DataFrame, name: str) -> None:
    """Hold a name to the columns of a table.

    Raises:
        TlbenchError: there is no such column.
    """
    if name not in frame.columns:
        raise TlbenchError(f"There is no column {name!r}. {did_you_mean(name, map(str, frame.columns))}")


def met(column: Array, wanted: Any, name: str) -> Array:
    """Which rows (N,) meet one condition. Texts in a range are compared as texts, which orders dates of ISO 8601.

    Raises:
        TlbenchError: numbers asked for of texts, or texts of numbers.
    """
    numbers = column.dtype.kind in "iuf"
    texts = column if numbers else np.array([_text(value) for value in column], dtype=str)
    if isinstance(wanted, dict):
        bound = next(iter(wanted.values()))
        if isinstance(bound, str) == numbers:
            held = "numbers" if numbers else "texts"
            raise TlbenchError(f"where: column {name!r} holds {held}, and the range {wanted!r} is of the other kind")
        keep = np.ones(len(column), dtype=bool) if numbers else texts != ""
        if "min" in wanted:
            keep = keep & (texts >= wanted["min"])
        return keep & (texts <= wanted["max"]) if "max" in wanted else keep
    values = wanted if isinstance(wanted, list) else [wanted]
    if numbers:
        try:
            return np.isin(column, [float(value) for value in values])
        except ValueError as error:
            raise TlbenchError(f"where: column {name!r} holds numbers, not {wanted!r}") from error
    return np.isin(texts, [_text(value) for value in values])


def _text(value: Any) -> str:
    if value is None or (isinstance(value, float) and value != value):
        return ""
    return value.decode("utf-8", errors="replace").strip() if isinstance(value, bytes) else str(value).strip()
