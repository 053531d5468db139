"""Published tables in which several rules chose configurations, and the regrets that are computed from their files.

A table is a TOML file in this folder: where its CSV files are, with their sha256, how their columns are read, and the mean
regrets that follow from them. The files themselves are not part of tlbench: a local copy is read where one is given.
"""

from __future__ import annotations

import functools
import hashlib
import io
import tomllib
from collections.abc import Mapping
from pathlib import Path

import pandas as pd
from pydantic import Field

from tlbench.errors import TlbenchError, unknown_name
from tlbench.reports.statistics.regrets import rule_regrets
from tlbench.terms import Strict

ALL = "all"
"""The group of all cells of a table."""


class RegretFile(Strict):
    """A CSV file of a table."""

    path: str
    """In the repository; a local copy may lie there or bear its last part alone."""
    sha256: str
    rule: str = ""
    """The rule that the whole file is of; empty: a column names the rules."""


class RegretTable(Strict):
    """A published table of what rules chose."""

    title: str
    url: str
    commit: str
    licence: str
    cell: tuple[str, ...] = Field(min_length=1)
    """The columns that name a cell: data set, pair and method."""
    method: str
    """That of them which names the method."""
    rule: str = ""
    """The column that names the rule; empty: each file is of one rule."""
    accuracy: str
    """The column of target accuracies, shares."""
    oracle: str
    """The rule that reads target labels."""
    reference: str
    """The method without adaptation, whose cells under the oracle are what others are compared with."""
    left_out: tuple[str, ...] = ()
    """Methods that do not adapt."""
    group: str
    """The column for whose values regrets are computed as well."""
    rules: dict[str, str]
    """Rule there -> the rule here that has its formula, or the nearest one."""
    files: tuple[RegretFile, ...] = Field(min_length=1)
    figures: dict[str, dict[str, float]]
    """Mean regret in points by group and rule there; the group `all` is of all cells."""

    def ranking(self) -> list[str]:
        """The rules by the names here, the one of the smallest mean regret over all cells first."""
        figures = self.figures[ALL]
        return [self.rules[rule] for rule in sorted(figures, key=lambda rule: figures[rule]) if rule in self.rules]

    def read(self, folder: Path) -> pd.DataFrame:
        """What each rule chose on each cell, for `rule_regrets`, with the columns of the cell and its group.

        Args:
            folder: holds the files, at their paths or side by side.

        Raises:
            TlbenchError: a file is missing or is not that of the commit.
        """
        frames = [self._frame(folder, file) for file in self.files]
        whole = pd.concat(frames).groupby([*self.cell, "rule"])["accuracy"].mean().unstack("rule")
        oracle = whole[self.oracle]
        methods = whole.index.get_level_values(self.method)
        adapting = whole[~methods.isin({*self.left_out, self.reference})]
        domain = [name for name in self.cell if name != self.method]
        reference = oracle[methods == self.reference].groupby(domain).mean()
        long = adapting.melt(value_name="accuracy", ignore_index=False).reset_index()
        long["oracle"] = oracle.reindex(pd.MultiIndex.from_frame(long[list(self.cell)])).to_numpy()
        keys = pd.MultiIndex.from_frame(long[domain]) if len(domain) > 1 else pd.Index(long[domain[0]])
        long["reference"] = reference.reindex(keys).to_numpy()
        return long[long["rule"] != self.oracle].assign(group=long[self.group])

    def _frame(self, folder: Path, file: RegretFile) -> pd.DataFrame:
        """A file as columns of its cells, `rule` and `accuracy`."""
        copies = [copy for name in (file.path, Path(file.path).name) if (copy := folder / name).is_file()]
        if not copies:
            raise TlbenchError(
                f"{folder}: The file {file.path} of {self.url} at {self.commit[:12]} is not there. Copy it there, or name "
                "its folder with --data."
            )
        content = copies[0].read_bytes()
        if hashlib.sha256(content).hexdigest() != file.sha256:
            raise TlbenchError(f"{copies[0]}: The file is not that of commit {self.commit[:12]} of {self.url}. Copy that one.")
        read = pd.read_csv(io.BytesIO(content))
        rules = read[self.rule] if self.rule else file.rule
        return read[list(self.cell)].assign(rule=rules, accuracy=read[self.accuracy])


def names() -> list[str]:
    """The names of the tables."""
    return sorted(file.stem for file in Path(__file__).parent.glob("*.toml"))


@functools.cache
def load(name: str) -> RegretTable:
    """The table of a name.

    Raises:
        TlbenchError: there is no table of this name.
    """
    if name not in names():
        raise TlbenchError(unknown_name("published selection", name, names()))
    return RegretTable.model_validate(tomllib.loads((Path(__file__).parent / f"{name}.toml").read_text(encoding="utf-8")))


def group_regrets(table: RegretTable, choices: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The regrets of rules by group that has figures; `all` is of all cells.

    Args:
        table: its groups.
        choices: from its `read`.
    """
    grouped: Mapping[str, pd.DataFrame] = {ALL: choices, **{str(name): of for name, of in choices.groupby("group")}}
    return {name: rule_regrets(grouped[name]) for name in table.figures if name in grouped}
