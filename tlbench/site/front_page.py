"""The front page: which method to use, as a table of all methods and suites with filters, average ranks and a chart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tlbench import plots
from tlbench.reports.across.suite_results import suite_results
from tlbench.site import overview
from tlbench.site.descriptions import MethodDescription
from tlbench.site.method_pages import method_path
from tlbench.site.output_files import Writer
from tlbench.site.overview import MethodFacts, Overview, SuiteColumn, aligned_figures
from tlbench.site.suite_pages import SuitePages
from tlbench.site.table_cells import PageTable, Row, at, cell, cells_files, plain_table

COSTS = (1, 2, 5, 10)
"""The limits of training time that a reader can choose, as multiples of the baseline's."""


def write_front(writer: Writer, suites: Sequence[SuitePages], abouts: Mapping[str, MethodDescription]) -> str:
    """Write the front page, which links to all suites and methods; its pictures are drawn inside `plots.styled()`."""
    columns = [
        SuiteColumn(
            suite.name,
            suite.path,
            suite.about.title,
            suite.about.modality,
            suite.records[-1].baseline or "",
            suite_results(suite.summary, suite.records[-1].baseline, suite.pairs),
        )
        for suite in suites
    ]
    shown = overview.overview(columns, _facts(suites, abouts))
    suites_table, methods_table = _suites_table(suites), _methods_table(suites, abouts)
    cells = _cells_table(shown)
    for one in (suites_table, methods_table, cells):
        for path, content in cells_files(one).items():
            writer.file(path, content)
    return writer.page(
        "index.html.j2",
        "index.html",
        overview=shown,
        figures=overview.FIGURES,
        columns=("reads labels", *overview.FIGURES),
        aligned=[aligned_figures(lines) for _, lines in shown.groups],
        downloads=cells,
        rankings=[_ranking(writer, number, shown) for number in range(len(shown.rankings))],
        modalities=sorted({column.modality for column in columns}),
        costs=COSTS,
        suites=suites_table,
        methods=methods_table,
    )


def _facts(suites: Sequence[SuitePages], abouts: Mapping[str, MethodDescription]) -> dict[str, MethodFacts]:
    """What readers filter by, of each entry; an entry reads labels if it does on any suite."""
    facts: dict[str, MethodFacts] = {}
    for suite in suites:
        for entry, records in suite.entries.items():
            last = records[-1]
            about = abouts.get(last.method, MethodDescription())
            labels = "target_labeled" in last.reads or (entry in facts and facts[entry].labels)
            facts[entry] = MethodFacts(
                method=last.method,
                path=method_path(last.method),
                summary=about.summary,
                family=about.family,
                labels=labels,
                closed_form=last.kind == "shallow",
                source_free=about.family in ("source free", "test time", "zero shot"),
            )
    return facts


def _ranking(writer: Writer, number: int, shown: Overview) -> dict[str, object]:
    """The diagram of average ranks of a group of methods, whose file is written."""
    heading, ranking, over = shown.rankings[number]
    title = f"Average ranks {heading[0].lower()}{heading[1:]}"
    description = (
        f"{len(ranking.entries)} method entries by their mean delta within each of the {len(over)} suites that all of them ran "
        f"on (1 is best), averaged; Nemenyi's critical difference is {ranking.critical_difference:.2f} at the level 0.05, and "
        f"Friedman's test gives p = {ranking.p:.2g}. Suites that share data are not independent, which makes both tests "
        "anti-conservative."
    )
    figure = plots.rank_diagram(ranking, title, f"{len(ranking.entries)} method entries, {len(over)} suites")
    vector = plots.svg(figure, title, description)
    width, height = plots.svg_size(vector)
    path = writer.file(f"pictures/ranks-{number}.svg", vector)
    return {
        "title": title,
        "description": description,
        "path": path,
        "width": width,
        "height": height,
        "over": ", ".join(over),
    }


def _cells_table(shown: Overview) -> PageTable:
    """The table of methods and suites as it is downloaded; its page has a template of its own."""
    lines = [
        Row(line.entry, None, [*map(cell, line.figures), *(cell("" if one is None else one.text) for one in line.results)])
        for _, group in shown.groups
        for line in group
    ]
    columns = ["method", *overview.FIGURES, *(suite.name for suite in shown.suites)]
    return at(plain_table("overview", "Methods and suites", "", columns, lines), "tables/overview")


def _suites_table(suites: Sequence[SuitePages]) -> PageTable:
    lines = []
    for suite in suites:
        verdicts = list(suite.summary.cells.get("verdict", []))
        counts = (len(suite.entries), suite.pairs, suite.seeds, len(suite.records))
        words = (verdicts.count("better"), verdicts.count("n.s.") + verdicts.count("equal"), verdicts.count("worse"))
        facts = [
            cell(suite.about.title, "text"),
            cell(suite.about.modality),
            *(cell(str(count)) for count in (*counts, *words)),
        ]
        lines.append(Row(suite.name, suite.path, facts))
    columns = ["suite", "what it is", "data", "methods", "pairs", "seeds", "records", "better", "n.s.", "worse"]
    caption = (
        "Better, worse: the number of methods whose mean delta against the baseline has a 95 % CI above or below zero; n.s.: "
        "no significant difference."
    )
    return at(plain_table("suites-table", "Suites", caption, columns, lines), "tables/suites")


def _methods_table(suites: Sequence[SuitePages], abouts: Mapping[str, MethodDescription]) -> PageTable:
    names = sorted({records[-1].method for suite in suites for records in suite.entries.values()})
    counts = {name: len({s.name for s in suites if any(r[-1].method == name for r in s.entries.values())}) for name in names}
    described = {name: abouts.get(name, MethodDescription()) for name in names}
    lines = [
        Row(
            name,
            method_path(name),
            [cell(described[name].summary, "text"), cell(described[name].family), cell(str(counts[name]))],
        )
        for name in names
    ]
    columns = ["method", "what it is", "family", "suites"]
    return at(
        plain_table("methods-table", "Methods", "Each method has a page with its paper and its code.", columns, lines),
        "tables/methods",
    )
