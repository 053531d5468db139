"""Records -> a static site, whose pages request nothing from elsewhere, for a file system or any host.

`build_site` writes the site, `leaderboard_markdown` the same in one Markdown file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import tlbench
from tlbench import plots, reports
from tlbench.records import merge
from tlbench.reports import Table
from tlbench.site import charts, descriptions, record_pages, table_cells
from tlbench.site.descriptions import MethodDescription
from tlbench.site.output_files import Writer, slug
from tlbench.site.suite_plots import SuitePlots, draw_suites
from tlbench.site.table_cells import PageTable, Row, cell
from tlbench.terms import Record

__all__ = ["build_site", "leaderboard_markdown"]


def build_site(
    records: Sequence[Record], out: Path, results: Path | None = None, methods: Mapping[str, Path] = MappingProxyType({})
) -> Path:
    """Write the site of some records to `out`, and return the path of its front page, which is written last.

    Files of an earlier build that are no longer needed are removed; other files in `out` stay.

    Args:
        records: the records of a results directory.
        out: the folder to write to.
        results: that directory; negative flips are counted from its predictions files, and are blank without it.
        methods: the files of the shipped methods, by name; their pages show paper and code.

    Raises:
        TlbenchError: there are no records, or `out` can't be written to.
    """
    frame = reports.frame(records)
    tables = reports.tables(frame, flips=None if results is None else reports.negative_flips(results, frame))
    last = max(record.finished for record in records)
    writer = Writer(out, {"version": tlbench.__version__, "records": len(records), "last": last})
    writer.assets()
    suites = [_Suite(writer, name, list(of), own) for name, of, own in _by_suite(tables, records)]
    for suite, pictures_of_suite in zip(suites, draw_suites([(s.tables, s.records) for s in suites]), strict=True):
        suite.pages(pictures_of_suite)
    abouts = {name: descriptions.describe_method(file) for name, file in methods.items()}
    front = _front(writer, suites, _methods(writer, suites, abouts), abouts)
    writer.finish()
    return out / front


def leaderboard_markdown(records: Sequence[Record]) -> str:
    """The leaderboard in Markdown: per suite one table with accuracy, delta and cost.

    Raises:
        TlbenchError: there are no records.
    """
    blocks = [
        "# Leaderboard",
        "Generated from the records beside this file by `make leaderboard`; do not edit it. "
        "`tlbench report` prints all tables, `tlbench site` makes pages with pictures of them.",
    ]
    for _, suite_tables, suite_records in _by_suite(reports.tables(reports.frame(records)), records):
        about = descriptions.describe_suite(suite_records)
        entries, pairs, seeds = ({getattr(r, what) for r in suite_records} for what in ("entry", "pair", "seed"))
        counts = f"{len(suite_records)} records: {len(entries)} methods, {len(pairs)} pairs, {len(seeds)} seeds."
        title = f"{about.title} ({about.citation}). " if about.title else ""
        heading, _, table = (
            reports.render([table_cells.summary(suite_tables)], "markdown", width=_ENDLESS).strip().partition("\n\n")
        )
        blocks += [heading.replace("###", "##", 1).removesuffix(": summary"), f"{title}{counts}", table]
    return "\n\n".join(blocks) + "\n"


def _by_suite(tables: Sequence[Table], records: Sequence[Record]) -> list[tuple[str, list[Table], list[Record]]]:
    """The name with version, the tables and the records of each suite."""
    records_by_suite: dict[str, list[Record]] = {}
    for record in records:
        records_by_suite.setdefault(f"{record.suite} v{record.suite_version}", []).append(record)
    return [(name, [table for table in tables if table.suite == name], of) for name, of in records_by_suite.items()]


class _Suite:
    """The pages of one suite."""

    def __init__(self, writer: Writer, name: str, tables: list[Table], records: list[Record]) -> None:
        self.writer, self.name, self.tables, self.records = writer, name, tables, records
        self.slug = slug(name.replace(" v", "-v"))
        self.path = f"suites/{self.slug}.html"
        self.entries: dict[str, list[Record]] = {}
        for record in records:
            self.entries.setdefault(record.entry, []).append(record)
        self.conflicts = {entry: merge.conflicts(of) for entry, of in self.entries.items()}
        self.summary = table_cells.summary(tables)
        self.about = descriptions.describe_suite(records)

    def page_of(self, entry: str) -> str:
        """The first page of the records of a method entry, relative to the root of the site."""
        return f"records/{self.slug}/{slug(entry)}.html"

    def pages(self, pictures_of_suite: Sequence[SuitePlots]) -> None:
        """Write the suite's page with its plots and downloads, and the pages of its records."""

        def link(entry: str) -> str | None:
            return f"../{self.page_of(entry)}" if entry in self.entries else None

        shown: list[PageTable] = []
        for number, table in enumerate([self.summary, *self.tables]):
            one = table_cells.at(
                table_cells.page_table(table, f"table-{number}", link), f"tables/{self.slug}-{number}-{table.kind}"
            )
            for path, content in table_cells.files(table, one).items():
                self.writer.file(path, content)
            shown.append(one)
        self.writer.page(
            "suite.html.j2",
            self.path,
            name=self.name,
            about=self.about,
            count=len(self.records),
            entries=len(self.entries),
            pairs=len({record.pair for record in self.records}),
            seeds=len({record.seed for record in self.records}),
            conflicts=sum(map(len, self.conflicts.values())),
            summary=shown[0],
            tables=shown[1:],
            pictures=self._pictures(pictures_of_suite),
            chart=charts.accuracy_and_cost(self.tables, self.records[-1].baseline),
        )
        for entry, records in self.entries.items():
            record_pages.pages(self.writer, self.name, self.path, self.page_of(entry), entry, records, self.conflicts[entry])

    def _pictures(self, pictures_of_suite: Sequence[SuitePlots]) -> list[dict[str, object]]:
        shown = []
        for picture in pictures_of_suite:
            width, height = plots.svg_size(picture.vector)
            path = self.writer.file(f"pictures/{self.slug}-{slug(picture.kind)}.svg", picture.vector)
            shown.append(
                {"path": path, "title": picture.title, "description": picture.description, "width": width, "height": height}
            )
        return shown


def _methods(writer: Writer, suites: Sequence[_Suite], abouts: Mapping[str, MethodDescription]) -> dict[str, str]:
    """Write the page of each method, over all suites; method -> path."""
    entries_of: dict[str, list[tuple[_Suite, str]]] = {}
    for suite in suites:
        for entry, records in suite.entries.items():
            entries_of.setdefault(records[-1].method, []).append((suite, entry))
    marks = {table.title: table_cells.marks_of(table) for suite in suites for table in suite.tables if table.kind == "transfer"}
    paths = {}
    for name in sorted(entries_of):
        lines, lists, columns = [], [], dict[str, None]()
        for suite, entry in entries_of[name]:
            if entry in suite.summary.cells.index:
                columns |= dict.fromkeys(_renamed(column) for column in suite.summary.cells.columns)
        for suite, entry in entries_of[name]:
            values = (
                {_renamed(str(k)): v for k, v in suite.summary.cells.loc[entry].items()}
                if entry in suite.summary.cells.index
                else {}
            )
            cells = [cell(entry), *(cell(str(values.get(column, ""))) for column in columns)]
            lines.append(Row(suite.name, f"../{suite.page_of(entry)}", cells))
            for delta in (table for table in suite.tables if entry in marks.get(table.title, ())):
                pairs_of = marks[delta.title][entry]
                title = f"{entry} on {delta.title}"
                lists.append({"title": title, **{word: ", ".join(some) or "no pair" for word, some in pairs_of.items()}})
        caption = "One line per suite and method entry, which links to its records. Metrics are those of the suites."
        title = f"{name} in {len({suite.name for suite, _ in entries_of[name]})} suites"
        shown = table_cells.at(
            table_cells.plain_table("where-table", title, caption, ["suite", "entry", *columns], lines),
            f"tables/method-{slug(name)}",
        )
        for path, content in table_cells.cells_files(shown).items():
            writer.file(path, content)
        records = [record for suite, entry in entries_of[name] for record in suite.entries[entry]]
        reads = descriptions.reads(records[-1].reads)
        about = abouts.get(name, MethodDescription())
        paths[name] = writer.page(
            "method.html.j2", f"methods/{slug(name)}.html", name=name, about=about, reads=reads, where=shown, lists=lists
        )
    return paths


def _renamed(column: str) -> str:
    """The column of a method's page: the metrics of all suites share one column."""
    known = {"rank", "mean delta", "verdict", "pairs better", "pairs worse", "worst pair", "train seconds", "Pareto front"}
    return column if column in known else "metric"


def _front(
    writer: Writer, suites: Sequence[_Suite], methods: Mapping[str, str], abouts: Mapping[str, MethodDescription]
) -> str:
    """Write the front page, which links to all suites and methods."""
    lines = []
    for suite in suites:
        cells = suite.summary.cells
        ranks = {str(entry): float(rank) for entry, rank in cells["rank"].items() if rank}
        best = ", ".join(entry for entry, rank in ranks.items() if rank == min(ranks.values()))  # a tie has two
        verdicts = list(cells.get("verdict", []))
        counts = [str(len(suite.entries)), str(len({r.pair for r in suite.records})), str(len({r.seed for r in suite.records}))]
        lines.append(
            Row(
                suite.name,
                suite.path,
                [
                    cell(suite.about.title, "text"),
                    *(cell(text) for text in (*counts, str(len(suite.records)))),
                    cell(best),
                    cell(str(verdicts.count("better"))),
                    cell(str(verdicts.count("worse"))),
                ],
            )
        )
    columns = ["suite", "what it is", "methods", "pairs", "seeds", "records", "best", "better", "worse"]
    caption = "Better, worse: the number of methods whose mean delta against the baseline has a 95 % CI above or below zero."
    suites_table = table_cells.at(table_cells.plain_table("suites-table", "Suites", caption, columns, lines), "tables/suites")
    verdict: dict[str, list[str]] = {name: [] for name in methods}
    for suite in suites:
        for entry, word in suite.summary.cells.get("verdict", {}).items():
            if entry in suite.entries:
                verdict[suite.entries[str(entry)][-1].method].append(str(word))
    method_lines = [
        Row(
            name,
            path,
            [
                cell(abouts.get(name, MethodDescription()).summary, "text"),
                *(cell(str(verdict[name].count(w))) for w in _VERDICTS),
            ],
        )
        for name, path in methods.items()
    ]
    caption = "The number of entries of suites whose mean delta against the baseline has this verdict (by its 95 % CI)."
    methods_table = table_cells.at(
        table_cells.plain_table("methods-table", "Methods", caption, ["method", "what it is", *_VERDICTS], method_lines),
        "tables/methods",
    )
    for one in (suites_table, methods_table):
        for path, content in table_cells.cells_files(one).items():
            writer.file(path, content)
    return writer.page("index.html.j2", "index.html", suites=suites_table, methods=methods_table)


_ENDLESS = 10_000
"""A width in characters that no table of a suite reaches."""

_VERDICTS = ("better", "worse", "n.s.")
