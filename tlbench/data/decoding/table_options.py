"""The keys that the readers of tables have in common: labels, groups, features, and how cells are written."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from tlbench.data.decoding.number_texts import NumberFormat
from tlbench.data.sample_selection import Where
from tlbench.terms import Strict


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _as_column_name(value: Any) -> Any:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


Paths = Annotated[list[str], BeforeValidator(_as_list), Field(min_length=1)]
"""One path or several, relative to the data root."""
Column = Annotated[str, BeforeValidator(_as_column_name)]
"""A column by its name, or by its number from 0 where a file has no names."""
Labels = Annotated[
    list[Column], BeforeValidator(lambda value: value if isinstance(value, list) else [value]), Field(min_length=1)
]
"""The column of the labels; several columns are the targets of a multi-task regression."""


class Fit(Strict, strict=True):
    """The rows that categories, imputed values and scales are fitted on."""

    path: Paths
    where: Where = Field(default_factory=dict)


class TableOptions(Strict, strict=True):
    """The keys that every reader of tables has."""

    path: Annotated[Paths, Field(description="the file, or a list of files, relative to the data root")]
    label: Annotated[Labels, Field(description="the column of the labels, or a list of columns of targets")]
    features: Annotated[list[Column], Field(min_length=1, description="the columns of the features")] | None = None
    """None: all columns of numbers (with encode = "onehot": all columns) but label, group and those in `where`."""
    bins: (
        Annotated[list[float], Field(min_length=1, description="ascending limits that make classes of a column of numbers")]
        | None
    ) = None
    group: Annotated[Column, Field(description="the column of the groups, for worst-group accuracy")] | None = None
    where: Annotated[Where, Field(description="rows to select: column = value, list of values or { min, max }")] = Field(
        default_factory=dict
    )
    encode: Annotated[Literal["onehot"], Field(description="one column for each category of each text column")] | None = None
    categories: Annotated[dict[str, list[str | int]], Field(description="the categories of a column; []: those that occur")] = (
        Field(default_factory=dict)
    )
    impute: (
        Annotated[Literal["mean", "median", "most_frequent"], Field(description="what replaces a missing number")] | None
    ) = None
    standardise: Annotated[bool, Field(description="whether numbers get mean 0 and deviation 1, fitted as `fit` says")] = False
    fit: Annotated[
        Literal["source"] | Fit,
        Field(description="what categories, imputed values and scales are fitted on: the source, or named rows"),
    ] = "source"
    decimal: Annotated[str, Field(min_length=1, max_length=1, description="the character before the decimals of a number")] = (
        "."
    )
    thousands: (
        Annotated[str, Field(min_length=1, max_length=1, description="the character between groups of three digits")] | None
    ) = None
    units: Annotated[list[str], Field(description="texts before or after numbers to leave out, such as %")] = Field(
        default_factory=list
    )
    missing: Annotated[list[str], Field(description="cells that mean a missing value")] = Field(default_factory=list)

    @model_validator(mode="after")
    def _distinct_separators(self) -> Self:
        if self.decimal == self.thousands:
            raise ValueError(f"decimal and thousands are both {self.decimal!r}. Give two characters.")
        if self.bins and not all(low < high for low, high in zip([-math.inf, *self.bins], [*self.bins, math.inf], strict=True)):
            raise ValueError(f"bins = {self.bins} must be finite numbers, each larger than the one before it.")
        return self

    @property
    def number_format(self) -> NumberFormat:
        """How the numbers of the table are written."""
        return NumberFormat(self.decimal, self.thousands, tuple(self.units), tuple(self.missing))

    @property
    def text_columns(self) -> list[str]:
        """The columns whose cells are read as written: labels, groups and those in `where`, unless they are features."""
        group = [] if self.group is None else [self.group]
        return [name for name in dict.fromkeys([*self.label, *group, *self.where]) if name not in (self.features or ())]

    def needed_columns(self, where: Where) -> list[str] | None:
        """The columns to read, with those in a `where`; None: all."""
        if self.features is None:
            return None
        group = [] if self.group is None else [self.group]
        return list(dict.fromkeys([*self.features, *self.label, *group, *where]))
