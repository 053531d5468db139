"""Published tables: what a publication reports of each method by pair, and the method entries that reproduce it.

A table is a TOML file in this folder. It names the suite, the tolerance and the conventions of the publication and,
for each row of the table, its source, the method entry of the suite that reproduces it, and the published figures by pair. The
tolerance is that of single cells or, for tables whose cells vary from run to run, that of the means of the rows.
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field

from tlbench.errors import TlbenchError, unknown_name
from tlbench.terms import Strict


class PublishedRow(Strict):
    """A row of a published table."""

    name: str
    """The name of the method in the table."""
    entry: str
    """The method entry of the suite that reproduces the row."""
    source: str
    """The publication with the figures."""
    figures: dict[str, float]
    """The published target accuracy by pair, in per cent."""
    entry_by_pair: dict[str, str] = Field(default_factory=dict)
    """The method entries of pairs that another entry of the suite reproduces."""

    def entry_of(self, pair: str) -> str:
        """The method entry that reproduces the figure of a pair."""
        return self.entry_by_pair.get(pair, self.entry)


class PublishedTable(Strict):
    """A published table."""

    title: str
    suite: str
    tolerance: float = Field(gt=0)
    """The largest difference that counts as reproduced, in points of accuracy."""
    compared: Literal["cells", "means"] = "cells"
    """What the tolerance applies to: each cell, or the mean of each row over its pairs."""
    suite_by_pair: dict[str, str] = Field(default_factory=dict)
    """The suites of pairs for which the publication has another protocol."""
    conventions: tuple[str, ...]
    """The settings of the publication, as sentences or phrases."""
    rows: tuple[PublishedRow, ...]

    def suite_of(self, pair: str) -> str:
        """The suite that has a pair."""
        return self.suite_by_pair.get(pair, self.suite)


def table_names() -> list[str]:
    """The names of the published tables."""
    return sorted(file.stem for file in Path(__file__).parent.glob("*.toml"))


def load_table(name: str, others: Sequence[str] = ()) -> PublishedTable:
    """The published table of a name.

    Args:
        name: the name of its file.
        others: names of other published results, which the error lists as well.

    Raises:
        TlbenchError: there is no table of this name.
    """
    if name not in table_names():
        raise TlbenchError(unknown_name("published table", name, [*table_names(), *others]))
    return PublishedTable.model_validate(tomllib.loads((Path(__file__).parent / f"{name}.toml").read_text(encoding="utf-8")))
