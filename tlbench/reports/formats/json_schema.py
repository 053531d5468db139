"""The JSON of tables and its schema.

docs/reports.schema.json holds the output of `schema`; a test fails when it is stale.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from tlbench.metrics import METRICS
from tlbench.reports.table import TIDY, Table
from tlbench.terms import Strict


class Metric(Strict):
    """The metric of the suite."""

    name: str
    title: str
    unit: str
    higher_is_better: bool


class Cells(Strict):
    """The cells as text: `index` names the method entries, `data` and `marks` hold one list per entry."""

    columns: list[str]
    index: list[str]
    data: list[list[str]]
    marks: list[list[str]] = Field(description="best, second, better, worse, n.s. or front; several are separated by a space")
    groups: list[str] = Field(description="the group of each entry, where the table is grouped by what the methods read")


class Value(Strict):
    """One unrounded number."""

    entry: str
    pair: str | None = Field(description="source:target, or null where the value is of the whole entry")
    subgroup: str | None = Field(
        description="the class or group of samples; the seed of `worst_seed`, the number of the group of ranks of `group`"
    )
    quantity: str
    value: float
    unit: str


class Published(Strict):
    """A published level of the baseline of the deltas."""

    entry: str
    pair: str = Field(description="source:target, or 'mean'")
    value: float
    own: float | None = Field(description="the score of the same entry here; null where a run is missing")
    unit: str
    metric: str
    network: str
    source: str
    url: str
    note: str = Field(description="where its protocol departs from that of the suite")


class JsonTable(Strict):
    """A table."""

    suite: str = Field(description="name and version, as in 'quickstart v1', or 'all suites'")
    suite_name: str
    suite_version: int = Field(description="0 of a table over all suites")
    kind: str = Field(
        description="summary, accuracy, ranks, transfer, negative_transfer, classes, groups, stream, throughput, frontier, "
        "detail, compare or, over all suites, methods, families, matrix, published or rules"
    )
    name: str = Field(description="distinguishes tables of one kind, as in 'adaptation delta against source_only'")
    title: str
    caption: str
    metric: Metric
    cells: Cells
    data: list[Value]
    published: list[Published] = Field(description="the published levels of the baseline of a table of deltas")


class Tables(Strict):
    """The output of `tlbench report --format json`.

    `schema` rises when a field is removed or changes its meaning; new kinds, quantities and fields do not raise it.
    """

    schema_: Literal[1] = Field(default=1, alias="schema")
    tables: list[JsonTable]

    @classmethod
    def of(cls, tables: Sequence[Table]) -> Tables:
        """The JSON of some tables; lone surrogates, which JSON readers reject, are spelt as backslash escapes."""
        return cls(tables=[_json_table(table) for table in tables])


def _json_table(table: Table) -> JsonTable:
    metric, cells = METRICS[table.metric], table.cells
    suite, _, version = table.suite.rpartition(" v")
    if not version.isdecimal():
        suite, version = table.suite, "0"
    values = table.data[[*TIDY[3:]]].astype(object).where(table.data[[*TIDY[3:]]].notna(), None)
    marks = [[""] * len(cells.columns)] * len(cells) if table.marks is None else table.marks.to_numpy().tolist()
    return JsonTable(
        suite=_encodable(table.suite),
        suite_name=_encodable(suite),
        suite_version=int(version),
        kind=table.kind,
        name=_encodable(str(table.data["table"].iloc[0]) if len(table.data) else table.kind),
        title=_encodable(table.title),
        caption=_encodable(table.caption),
        metric=Metric(name=table.metric, title=metric.title, unit=metric.unit, higher_is_better=metric.higher_is_better),
        cells=Cells(
            columns=list(map(_encodable, cells.columns)),
            index=list(map(_encodable, cells.index)),
            data=[[_encodable(cell) for cell in row] for row in cells.to_numpy().tolist()],
            marks=marks,
            groups=list(table.groups),
        ),
        data=[
            Value.model_construct(  # thousands of numbers of our own, which need no validation
                entry=_encodable(entry),
                pair=None if pair is None else _encodable(pair),
                subgroup=None if subgroup is None else _encodable(subgroup),
                quantity=quantity,
                value=value,
                unit=unit,
            )
            for entry, pair, subgroup, quantity, value, unit in values.itertuples(index=False, name=None)
        ],
        published=[
            Published(
                **of.level.model_dump(exclude={"values"}),
                pair=of.pair,
                value=of.value,
                own=of.own,
                unit=METRICS[of.level.metric].unit,
            )
            for of in table.published
        ],
    )


def _encodable(text: str) -> str:
    """The text with lone surrogates spelt as backslash escapes."""
    text = str(text)
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")


def schema() -> str:
    """The JSON Schema of `Tables`."""
    return json.dumps(Tables.model_json_schema(mode="serialization"), indent=1) + "\n"
