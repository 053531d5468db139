"""The pages of a suite: its summary first, then a chart, pictures and the full tables, folded; and the pages of its records."""

from __future__ import annotations

from collections.abc import Sequence

from tlbench import plots
from tlbench.records import merge
from tlbench.reports import Table
from tlbench.site import charts, descriptions, record_pages, table_cells
from tlbench.site.output_files import Writer, slug
from tlbench.site.suite_plots import SuitePlots
from tlbench.site.table_cells import PageTable
from tlbench.terms import Record

ORDER = ("delta", "sweep", "labels", "stream", "selection", "cost", "ranks", "training")
"""The pictures of a suite's page by the names of their kinds; the first one is unfolded."""


class SuitePages:
    """The pages of one suite."""

    def __init__(self, writer: Writer, name: str, summary: Table, tables: list[Table], records: list[Record]) -> None:
        """`summary` is its summary, `tables` are its full tables, and `name` has the version."""
        self.writer, self.name, self.summary, self.tables, self.records = writer, name, summary, tables, records
        self.slug = slug(name.replace(" v", "-v"))
        self.path = f"suites/{self.slug}.html"
        self.entries: dict[str, list[Record]] = {}
        for record in records:
            self.entries.setdefault(record.entry, []).append(record)
        self.conflicts = {entry: merge.conflicts(of) for entry, of in self.entries.items()}
        self.about = descriptions.describe_suite(records)

    @property
    def pairs(self) -> int:
        """The number of pairs."""
        return len({record.pair for record in self.records})

    @property
    def seeds(self) -> int:
        """The number of seeds."""
        return len({record.seed for record in self.records})

    def page_of(self, entry: str) -> str:
        """The first page of the records of a method entry, relative to the root of the site."""
        return f"records/{self.slug}/{slug(entry)}.html"

    def write(self, pictures: Sequence[SuitePlots]) -> None:
        """Write the suite's page with its plots and downloads, and the pages of its records."""
        summary, *tables = [self._shown(number, table) for number, table in enumerate([self.summary, *self.tables])]
        self.writer.page(
            "suite.html.j2",
            self.path,
            name=self.name,
            about=self.about,
            count=len(self.records),
            entries=len(self.entries),
            pairs=self.pairs,
            seeds=self.seeds,
            conflicts=sum(map(len, self.conflicts.values())),
            summary=summary,
            tables=tables,
            pictures=[
                self._picture(picture)
                for picture in sorted(pictures, key=lambda picture: ORDER.index(picture.kind.partition("-")[0]))
            ],
            chart=charts.accuracy_and_cost(self.tables, self.records[-1].baseline),
        )
        for entry, records in self.entries.items():
            record_pages.pages(self.writer, self.name, self.path, self.page_of(entry), entry, records, self.conflicts[entry])

    def _shown(self, number: int, table: Table) -> PageTable:
        """A table of the page, whose downloads are written."""

        def link(entry: str) -> str | None:
            return f"../{self.page_of(entry)}" if entry in self.entries else None

        shown = table_cells.page_table(table, f"table-{number}", link)
        shown = table_cells.at(shown, f"tables/{self.slug}-{number}-{table.kind}")
        for path, content in table_cells.files(table, shown).items():
            self.writer.file(path, content)
        return shown

    def _picture(self, picture: SuitePlots) -> dict[str, object]:
        """A picture of the page, whose file is written."""
        width, height = plots.svg_size(picture.vector)
        path = self.writer.file(f"pictures/{self.slug}-{slug(picture.kind)}.svg", picture.vector)
        return {
            "id": f"picture-{slug(picture.kind)}",
            "path": path,
            "title": picture.title,
            "description": picture.description,
            "width": width,
            "height": height,
        }
