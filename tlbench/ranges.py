"""The ranges of the numbers and texts in records: what no run can measure is no record, whoever wrote the line.

The bounds are wide: they refuse what is impossible, and what would overflow the arithmetic of tables. `tlbench check` holds
records to narrower ones, and fields to each other.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

MAX_INTEGER = 2**63 - 1
"""The largest integer that the columns of a data frame hold."""
MAX_REAL = 1e60
"""The largest magnitude of a score in the units of the target: its fourth power is still a double."""
MAX_NAME_CHARACTERS = 500
"""Of a suite, a method entry, a method or a domain, in a line on file."""
MAX_NESTING = 20
"""The levels of lists and tables in an option of a method."""

Share = Annotated[float, Field(ge=0, le=1)]
Integer = Annotated[int, Field(ge=-MAX_INTEGER, le=MAX_INTEGER)]
Count = Annotated[int, Field(ge=0, le=MAX_INTEGER)]
Size = Annotated[int, Field(ge=1, le=MAX_INTEGER)]
"""A count of what a finished case has at least one of."""
Real = Annotated[float, Field(ge=-MAX_REAL, le=MAX_REAL)]
Magnitude = Annotated[float, Field(ge=0, le=MAX_REAL)]
ExplainedVariance = Annotated[float, Field(ge=-MAX_REAL, le=1)]
Seconds = Annotated[float, Field(ge=0, le=1e10)]
"""Up to 300 years."""
Rate = Annotated[float, Field(ge=0, le=1e15)]
"""Samples per second."""
Flops = Annotated[float, Field(ge=0, le=1e24)]
Joules = Annotated[float, Field(ge=0, le=1e15)]
Cores = Annotated[int, Field(ge=1, le=1_000_000)]
"""Cores, threads, devices, or cases at once."""
Name = Annotated[str, Field(min_length=1, max_length=MAX_NAME_CHARACTERS)]
Text = Annotated[str, Field(max_length=2000)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
CodeHash = Annotated[str, Field(pattern=r"^([0-9a-f]{64}|version .{1,400})$")]
"""The sha256 of a source file, or the version of a distribution whose module has no file."""


class Strict(BaseModel):
    """A schema without unknown keys; no number in it is NaN or infinite, for JSON has no such number.

    Where a field has an alias, the alias is its JSON key, and Python code uses the field's name.
    """

    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, validate_by_name=True, validate_by_alias=True, serialize_by_alias=True
    )


def _plain_options(options: dict[str, Any]) -> dict[str, Any]:
    level, values = 0, list(options.values())
    while values:
        level += 1
        if level > MAX_NESTING:
            raise ValueError(f"Options are nested deeper than {MAX_NESTING} levels.")
        if any(isinstance(value, int) and abs(value) > MAX_INTEGER for value in values):
            raise ValueError("An option holds an integer of more than 64 bits.")
        nested = [value for value in values if isinstance(value, dict | list | tuple)]
        values = [item for value in nested for item in (value.values() if isinstance(value, dict) else value)]
    return options


Options = Annotated[dict[str, Any], AfterValidator(_plain_options)]
"""The options of a method: at most `MAX_NESTING` levels deep, integers within 64 bits."""
