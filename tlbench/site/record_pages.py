"""The pages of records: of one method entry, everything that was asked and measured, on pages that a phone can load."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from tlbench.metrics import METRICS
from tlbench.records import to_line
from tlbench.records.merge import differences
from tlbench.reports import escape_control
from tlbench.site import table_cells
from tlbench.site.output_files import Writer, slug
from tlbench.site.table_cells import Cell, Row, cell
from tlbench.terms import Record

LARGEST = 220_000
"""About how many characters of records a page holds before the next one starts, so that a page stays below 300 kB."""

COLUMNS = (
    *("case", "seed", "status", "metric", "source accuracy %", "train seconds", "train samples/s", "peak memory MiB"),
    *("device", "tlbench", "finished", "reason, notes"),
)


def pages(
    writer: Writer,
    suite: str,
    suite_page: str,
    path: str,
    entry: str,
    records: Sequence[Record],
    conflicts: Sequence[tuple[Record, Record]],
) -> None:
    """Write the pages of one method entry.

    Args:
        writer: writes the files of the site.
        suite: name and version.
        suite_page: the path of the suite's page.
        path: the path of the first page; further ones are numbered.
        entry: the method entry.
        records: its records, at least one.
        conflicts: pairs of records that differ in one case.
    """
    groups = list(_groups(records))
    stem = path.removesuffix(".html")
    paths = [path, *(f"{stem}.{number}.html" for number in range(2, len(groups) + 1))]
    differing = [f"{first.pair} seed {first.seed}: {differences(first, second)}" for first, second in conflicts]
    metric = METRICS.get(records[-1].metric)
    named = f"{metric.title}{' %' if metric.unit == 'per cent' else f' ({metric.unit})'}" if metric else "metric"
    columns = [named if column == "metric" else column for column in COLUMNS]
    for number, (of, own) in enumerate(zip(paths, groups, strict=True), 1):
        download = f"tables/{stem.replace('/', '-')}-{number}"
        caption = "One line per record, in the order of the file; each links to everything that was asked and measured."
        lines = [_table_line(at, record) for at, (record, _) in enumerate(own)]
        page_table = table_cells.plain_table("records", f"{entry} on {suite}", caption, columns, lines)
        page_table = table_cells.at(page_table, download)
        for name, content in table_cells.cells_files(page_table).items():
            writer.file(name, content)
        writer.page(
            "records.html.j2",
            of,
            suite=suite,
            suite_page=suite_page,
            method=records[-1].method,
            method_page=f"methods/{slug(records[-1].method)}.html",
            entry=entry,
            page_number=number,
            page_count=len(groups),
            pages=[name.rpartition("/")[2] for name in paths],
            conflicts=differing if number == 1 else [],
            table=page_table,
            facts=[{"id": f"case-{at}", "title": _title(record), "text": text} for at, (record, text) in enumerate(own)],
        )


def _groups(records: Sequence[Record]) -> Iterator[list[tuple[Record, str]]]:
    """The records with their text, grouped by page."""
    group: list[tuple[Record, str]] = []
    size = 0
    for record in records:
        text = _text(record)
        if group and size + len(text) > LARGEST:
            yield group
            group, size = [], 0
        group.append((record, text))
        size += len(text) + 800  # its line in the table
    yield group


def _text(record: Record) -> str:
    """The record's JSON, one fact per line, control characters escaped."""
    try:
        text = record.model_dump_json(indent=1, by_alias=True)
    except ValueError:  # half a surrogate pair, which the fast writer refuses
        text = json.dumps(json.loads(to_line(record)), ensure_ascii=False, indent=1)
    if text.isascii() and text.replace("\n", "").isprintable():
        return text
    return "\n".join(map(escape_control, text.split("\n")))


def _title(record: Record) -> str:
    return f"{record.pair}, seed {record.seed}: {record.status}"


def _table_line(at: int, record: Record) -> Row:
    scores, cost = record.scores, record.cost
    metric = METRICS.get(record.metric)
    groups = [share for share in (scores.per_group_accuracy or {}).values() if share is not None]
    worst = min(groups, default=None)
    value = worst if record.metric == "worst_group_accuracy" else getattr(scores, record.metric, None)
    memory = None if cost.peak_memory_bytes is None else cost.peak_memory_bytes / 2**20
    shown = [
        str(record.seed),
        record.status,
        "" if value is None or metric is None else f"{metric.factor * value:.2f}",
        "" if scores.source_accuracy is None else f"{100 * scores.source_accuracy:.2f}",
        *("" if number is None else f"{number:,.{decimals}f}" for number, decimals in _costs(record, memory)),
        record.machine.device,
        f"{record.code.tlbench} {(record.code.commit or '')[:7]}{' dirty' if record.code.dirty else ''}".strip(),
        record.finished[:19].replace("T", " "),
    ]
    cells = [*map(cell, shown[:-3]), *(Cell(text, text) for text in shown[-3:])]  # a version and a time are no numbers
    return Row(record.pair, f"#case-{at}", [*cells, cell("; ".join([record.reason or "", *record.notes]).strip("; "), "text")])


def _costs(record: Record, memory: float | None) -> tuple[tuple[float | None, int], ...]:
    return (record.cost.train_seconds, 3), (record.cost.train_samples_per_second, 0), (memory, 0)
