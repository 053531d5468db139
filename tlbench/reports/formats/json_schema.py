"""The JSON of tables: `schema` of these classes stands in docs/reports.schema.json, and a test says when it is stale."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from tlbench.reports.table import TIDY, Table
from tlbench.terms import METRICS, Strict


class Metric(Strict):
    """What the suite is compared by."""

    name: str
    title: str
    unit: str
    higher_is_better: bool


class Cells(Strict):
    """What is shown, as text; `index` names the rows, `data` and `marks` have a list for each row."""

    columns: list[str]
    index: list[str]
    data: list[list[str]]
    marks: list[list[str]] = Field(description="best, second, helps, hurts, undecided, front; several with a space between")


class Value(Strict):
    """One number, unrounded."""

    entry: str
    pair: str | None = Field(description="source:target, or null where the value is of the whole row")
    part: str | None = Field(description="the class, group or seed that the value is of")
    quantity: str
    value: float
    unit: str


class OneTable(Strict):
    """A table."""

    suite: str = Field(description="name and version, as in 'quickstart v1'")
    suite_name: str
    suite_version: int
    kind: str = Field(description="accuracy, ranks, transfer, harm, classes, groups, throughput, frontier, detail, compare")
    name: str = Field(description="tells tables of one kind apart, as in 'adaptation delta against source_only'")
    title: str
    caption: str
    metric: Metric
    cells: Cells
    data: list[Value]


class Tables(Strict):
    """All that `tlbench report --format json` writes.

    `schema` rises when a field changes its meaning or goes; new kinds, quantities and fields leave it.
    """

    schema_: Literal[1] = Field(default=1, alias="schema")
    tables: list[OneTable]

    @classmethod
    def of(cls, tables: Sequence[Table]) -> Tables:
        """The JSON of some tables; half surrogate pairs, which no JSON reader takes, are spelt out."""
        return cls(tables=[_one(table) for table in tables])


def _one(table: Table) -> OneTable:
    metric, cells = METRICS[table.metric], table.cells
    suite, version = table.suite.rsplit(" v", 1)
    values = table.data[[*TIDY[3:]]].astype(object).where(table.data[[*TIDY[3:]]].notna(), None)
    marks = [[""] * len(cells.columns)] * len(cells) if table.marks is None else table.marks.to_numpy().tolist()
    return OneTable(
        suite=_spelt(table.suite),
        suite_name=_spelt(suite),
        suite_version=int(version),
        kind=table.kind,
        name=_spelt(str(table.data["table"].iloc[0]) if len(table.data) else table.kind),
        title=_spelt(table.title),
        caption=_spelt(table.caption),
        metric=Metric(name=table.metric, title=metric.title, unit=metric.unit, higher_is_better=metric.higher_is_better),
        cells=Cells(
            columns=list(map(_spelt, cells.columns)),
            index=list(map(_spelt, cells.index)),
            data=[[_spelt(cell) for cell in row] for row in cells.to_numpy().tolist()],
            marks=marks,
        ),
        data=[
            Value(**{str(key): _spelt(of) if isinstance(of, str) else of for key, of in value.items()})
            for value in values.to_dict("records")
        ],
    )


def _spelt(text: str) -> str:
    return str(text).encode("utf-8", "backslashreplace").decode("utf-8")


def schema() -> str:
    """The JSON Schema of `Tables`."""
    return json.dumps(Tables.model_json_schema(mode="serialization"), indent=1) + "\n"
