"""The page of a method: what it is, how it fares on every suite, and its code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tlbench.metrics import METRICS
from tlbench.site import descriptions, table_cells
from tlbench.site.descriptions import MethodDescription
from tlbench.site.output_files import Writer, slug
from tlbench.site.suite_pages import SuitePages
from tlbench.site.table_cells import PageTable, Row, cell

_SUMMARY = ("reads", "delta", "verdict", "pairs", "train", "samples")
"""The columns of a suite's summary that a method's page shows, beside the metric."""


@dataclass(frozen=True)
class Interval:
    """A delta with its 95 % CI on one suite, in points; a missing bound is the delta itself."""

    name: str
    path: str
    delta: float
    low: float
    high: float
    mark: str

    def at(self, value: float, largest: float) -> float:
        """The position of a value on an axis of 300 pixels from -largest to largest, cut at its ends."""
        return round(150 + 150 * max(-1.0, min(1.0, value / largest)), 1)


def method_path(name: str) -> str:
    """The page of a method, relative to the root of the site."""
    return f"methods/{slug(name)}.html"


def write_methods(writer: Writer, suites: Sequence[SuitePages], abouts: Mapping[str, MethodDescription]) -> None:
    """Write the page of each method of some suites; `abouts` describes those that ship."""
    entries_of: dict[str, list[tuple[SuitePages, str]]] = {}
    for suite in suites:
        for entry, records in suite.entries.items():
            entries_of.setdefault(records[-1].method, []).append((suite, entry))
    marks = {table.title: table_cells.marks_of(table) for suite in suites for table in suite.tables if table.kind == "transfer"}
    for name, entries in sorted(entries_of.items()):
        where = _table(name, entries)
        for path, content in table_cells.cells_files(where).items():
            writer.file(path, content)
        deltas = [
            {"title": f"{entry} on {delta.title}", **{word: ", ".join(some) or "no pair" for word, some in of.items()}}
            for suite, entry in entries
            for delta in suite.tables
            if (of := marks.get(delta.title, {}).get(entry))
        ]
        intervals = [interval for suite, entry in entries if (interval := _interval(suite, entry)) is not None]
        largest = max((max(abs(one.low), abs(one.high)) for one in intervals), default=1.0)
        records = [record for suite, entry in entries for record in suite.entries[entry]]
        writer.page(
            "method.html.j2",
            method_path(name),
            name=name,
            about=abouts.get(name, MethodDescription()),
            reads=descriptions.reads(records[-1].reads),
            where=where,
            lists=deltas,
            intervals=intervals,
            largest=min(largest, 30.0) or 1.0,
        )


def _table(name: str, entries: Sequence[tuple[SuitePages, str]]) -> PageTable:
    """One row a suite and entry, with the columns of the summary; the metrics of all suites share a column."""
    lines = []
    for suite, entry in entries:
        cells = suite.summary.cells
        values = {str(key): str(value) for key, value in cells.loc[entry].items()} if entry in cells.index else {}
        metric = next((column for column in cells.columns if column not in _SUMMARY), "")
        shown = [entry, values.get("reads", ""), metric, values.get(str(metric), "")]
        lines.append(
            Row(suite.name, f"../{suite.path}", [*map(cell, shown), *(cell(values.get(key, "")) for key in _SUMMARY[1:])])
        )
    caption = "One row a suite and method entry, as in the summary of the suite. n.s.: no significant difference."
    title = f"{name} in {len({suite.name for suite, _ in entries})} suites"
    columns = ["suite", "entry", "reads", "metric", "score", "delta", "verdict", "pairs better/worse", "train", "samples"]
    return table_cells.at(table_cells.plain_table("where-table", title, caption, columns, lines), f"tables/method-{slug(name)}")


def _interval(suite: SuitePages, entry: str) -> Interval | None:
    """The delta of an entry on a suite whose deltas are in points; None without one."""
    metric, data = METRICS[suite.summary.metric], suite.summary.data
    own = data[(data["entry"] == entry) & data["pair"].isna()].set_index("quantity")["value"]
    if metric.unit != "per cent" or "mean" not in own or not metric.higher_is_better:
        return None
    delta = float(own["mean"])
    mark = {1.0: "better", -1.0: "worse"}.get(float(own.get("verdict", 0.0)), "")
    label = suite.name if entry == suite.entries[entry][-1].method else f"{suite.name}, {entry}"
    return Interval(label, suite.path, delta, float(own.get("low", delta)), float(own.get("high", delta)), mark)
