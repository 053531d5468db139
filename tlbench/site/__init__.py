"""Records -> a static site, whose pages request nothing from elsewhere, for a file system or any host.

`build_site` writes the site, `leaderboard_markdown` the same in one Markdown file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import tlbench
from tlbench import plots, reports
from tlbench.site import descriptions, front_page, method_pages
from tlbench.site.leaderboard import leaderboard_markdown, summaries_by_suite
from tlbench.site.output_files import Writer
from tlbench.site.suite_pages import SuitePages
from tlbench.site.suite_plots import draw_suites
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
        for name, summary, of in summaries_by_suite(summaries, records)
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
