"""Records -> a static site, whose pages request nothing from elsewhere, for a file system or any host.

`build_site` writes the site, `leaderboard_markdown` the same in one Markdown file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import tlbench
from tlbench import plots, reports
from tlbench.reports import Table
from tlbench.site import descriptions, front_page, method_pages
from tlbench.site.output_files import Writer
from tlbench.site.suite_pages import SuitePages
from tlbench.site.suite_plots import draw_suites
from tlbench.terms import Record

__all__ = ["build_site", "leaderboard_markdown"]

LEGEND = (
    "Reads: S, labelled source samples; T, unlabelled target samples; L, labelled target samples; St, a stream of test "
    "samples. Delta: against the baseline, ± margin of error of the 95 % CI. n.s.: no significant difference. Pairs: those "
    "that are significantly better/worse (BH, FDR 5 %). Train and samples: medians of a case's training. "
    "[docs/reports.md](../docs/reports.md#summary) explains the statistics."
)
"""The legend of all tables of the leaderboard in Markdown."""

_ENDLESS = 10_000
"""A width in characters that no table of a suite reaches."""


def build_site(
    records: Sequence[Record], out: Path, results: Path | None = None, methods: Mapping[str, Path] = MappingProxyType({})
) -> Path:
    """Write the site of some records to `out`, and return the path of its front page, which is written last.

    Files of an earlier build that are no longer needed are removed; other files in `out` stay.

    Args:
        records: the records of a results directory.
        out: the folder to write to.
        results: that directory; negative flips are counted and selection rules evaluated from the files beside the records,
            and are left out without it.
        methods: the files of the shipped methods, by name; their pages show paper and code.

    Raises:
        TlbenchError: there are no records, or `out` can't be written to.
    """
    frame = reports.frame(records)
    flips = None if results is None else reports.negative_flips(results, frame)
    selections = None if results is None else reports.rule_selections(results, records)
    tables = reports.tables(frame, flips=flips, selections=selections)
    summaries = reports.tables(frame, "summary", flips)
    last = max(record.finished for record in records)
    writer = Writer(out, {"version": tlbench.__version__, "records": len(records), "last": last})
    writer.assets()
    suites = [
        SuitePages(writer, name, summary, [table for table in tables if table.suite == name], of)
        for name, summary, of in _by_suite(summaries, records)
    ]
    for suite, pictures in zip(suites, draw_suites([(s.tables, s.records) for s in suites]), strict=True):
        suite.write(pictures)
    abouts = {name: descriptions.describe_method(file) for name, file in methods.items()}
    method_pages.write_methods(writer, suites, abouts)
    writer.page("statistics.html.j2", "statistics.html")
    with plots.styled():
        front = front_page.write_front(writer, suites, abouts)
    writer.finish()
    return out / front


def leaderboard_markdown(records: Sequence[Record]) -> str:
    """The leaderboard in Markdown: the summary of each suite.

    Raises:
        TlbenchError: there are no records.
    """
    blocks = [
        "# Leaderboard",
        "Generated from the records beside this file by `make leaderboard`; do not edit it. "
        "`tlbench report SUITE --table main` prints the full tables, `tlbench site` makes pages with pictures of them.",
        LEGEND,
    ]
    for name, summary, of in _by_suite(reports.tables(reports.frame(records), "summary"), records):
        about = descriptions.describe_suite(of)
        entries = {record.entry for record in of}
        title = f"{about.title} ({about.citation}). " if about.title else ""
        unlinked = replace(summary, section="")  # the legend has the link
        heading, table, *below = reports.render([unlinked], "markdown", width=_ENDLESS).strip().split("\n\n")
        facts = heading.partition(": ")[2]
        notes = below[1:] if summary.line.startswith("±: ") else below  # else the line is particular to the suite
        blocks += [f"## {name}", f"{title}{len(of)} records, {len(entries)} method entries; {facts}.", table, *notes]
    return "\n\n".join(blocks) + "\n"


def _by_suite(summaries: Sequence[Table], records: Sequence[Record]) -> list[tuple[str, Table, list[Record]]]:
    """The name with version, the summary and the records of each suite."""
    records_by_suite: dict[str, list[Record]] = {}
    for record in records:
        records_by_suite.setdefault(f"{record.suite} v{record.suite_version}", []).append(record)
    by_name = {summary.suite: summary for summary in summaries}
    return [(name, by_name[name], of) for name, of in records_by_suite.items()]
