"""The leaderboard in Markdown: first a page that is read in two minutes, then the summary of each suite."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from tlbench import reports
from tlbench.reports import Table
from tlbench.reports.across import AcrossInputs
from tlbench.reports.across.suite_results import results_by_suite
from tlbench.site import answers, descriptions
from tlbench.terms import Record

LEGEND = (
    "Reads: S, labelled source samples; T, unlabelled target samples; L, labelled target samples; St, a stream of test "
    "samples. Delta: against the baseline, ± margin of error of the 95 % CI. n.s.: no significant difference. Pairs: those "
    "that are significantly better/worse (BH, FDR 5 %). Train and samples: medians of a case's training. "
    "docs/reports.md explains the statistics of [suites](../docs/reports.md#summary) and of tables "
    "[over all suites](../docs/reports.md#over-all-suites)."
)
"""The legend of all tables of suites."""
FIRST = ("methods", "families", "matrix", "rules", "published")
"""The tables over all suites, in the order of the first page."""

_ENDLESS = 10_000
"""A width in characters that no table reaches."""


def leaderboard_markdown(
    records: Sequence[Record], results: Path | None = None, families: Mapping[str, str] = MappingProxyType({})
) -> str:
    """The leaderboard in Markdown: answers and tables over all suites, then the summary of each suite.

    Args:
        records: the records of a results directory.
        results: that directory; deltas of deterministic entries have no test without it, and no selection rule is evaluated.
        families: the family of each method that ships.

    Raises:
        TlbenchError: there are no records.
    """
    frame = reports.frame(records)
    flips = None if results is None else reports.negative_flips(results, frame)
    selections = None if results is None else reports.rule_selections(results, records)
    summaries = reports.tables(frame, "summary", flips)
    by_suite = results_by_suite(frame, summaries)
    over_all = AcrossInputs(frame, by_suite, families, selections)
    blocks = [
        "# Leaderboard",
        "Generated from the records beside this file by `make leaderboard`; do not edit it. "
        "`tlbench report SUITE --table main` prints the full tables, `tlbench site` makes pages with pictures of them.",
        "## In two minutes",
        answers.answers(by_suite, selections),
        answers.LIMITS,
        *_first_tables(over_all, [summary.suite for summary in summaries]),
        "## Suites",
        LEGEND,
    ]
    for name, summary, of in summaries_by_suite(summaries, records):
        about = descriptions.describe_suite(of)
        entries = {record.entry for record in of}
        title = f"{about.title} ({about.citation}). " if about.title else ""
        unlinked = replace(summary, section="")  # the legend has the link
        heading, table, *below = reports.render([unlinked], "markdown", width=_ENDLESS).strip().split("\n\n")
        facts = heading.partition(": ")[2]
        notes = below[1:] if summary.line.startswith("±: ") else below  # else the line is particular to the suite
        blocks += [f"## {name}", f"{title}{len(of)} records, {len(entries)} method entries; {facts}.", table, *notes]
    return "\n\n".join(blocks) + "\n"


def summaries_by_suite(summaries: Sequence[Table], records: Sequence[Record]) -> list[tuple[str, Table, list[Record]]]:
    """The name with version, the summary and the records of each suite."""
    records_by_suite: dict[str, list[Record]] = {}
    for record in records:
        records_by_suite.setdefault(f"{record.suite} v{record.suite_version}", []).append(record)
    by_name = {summary.suite: summary for summary in summaries}
    return [(name, by_name[name], of) for name, of in records_by_suite.items()]


def _first_tables(over_all: AcrossInputs, suites: Sequence[str]) -> list[str]:
    """The tables over all suites; the lines of a matrix lead to the suites."""
    blocks = []
    for kind in FIRST:
        for table in reports.ACROSS_KINDS[kind].tables(over_all):
            text = reports.render([replace(table, section="")], "markdown", width=_ENDLESS).strip()
            blocks.append(linked(text, suites) if kind == "matrix" else text)
    return blocks


def linked(text: str, suites: Sequence[str]) -> str:
    """A table in Markdown whose lines are named after suites, with links to their headings on the same page."""
    for suite in suites:
        anchor = re.sub(r"[^a-z0-9_-]", "", suite.lower().replace(" ", "-"))
        text = re.sub(rf"^\| {re.escape(suite)} +\|", f"| [{suite}](#{anchor}) |", text, flags=re.MULTILINE)
    return text
