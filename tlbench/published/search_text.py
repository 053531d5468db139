"""What a published search gives as text: a table for each rule of model selection, and which statements hold here as well."""

from __future__ import annotations

from statistics import fmean

from tabulate import tabulate

from tlbench.published.random_search import Accuracies, PublishedSearch, Statement
from tlbench.reports.domain_selection import TITLES
from tlbench.suite import MEAN


def mean(accuracies: Accuracies, rule: str, row: str, pairs: list[str]) -> float | None:
    """The mean of a row over pairs, in per cent; None where one of them is missing.

    Args:
        accuracies: in per cent, by rule, row and pair.
        rule: of model selection.
        row: the name of a row of the search.
        pairs: those that the mean is of.
    """
    measured = [accuracies[rule, row, pair] for pair in pairs if (rule, row, pair) in accuracies]
    return fmean(measured) if measured and len(measured) == len(pairs) else None


def figures_of(search: PublishedSearch) -> Accuracies:
    """The published accuracies of a search, in per cent."""
    return {
        (rule, row.name, pair): figure
        for row in search.rows
        for rule, by_pair in row.figures.items()
        for pair, figure in by_pair.items()
    }


def pairs_in(search: PublishedSearch) -> list[str]:
    """The pairs that have published figures, in their order."""
    return list(dict.fromkeys(pair for _, _, pair in figures_of(search)))


def holds(search: PublishedSearch, accuracies: Accuracies, statement: Statement) -> bool | None:
    """Whether a statement holds for the accuracies; None where one that it needs is missing.

    Levels are compared as publications print them, with one decimal.

    Args:
        search: the published figures.
        accuracies: from `run_search`.
        statement: one of the search's.
    """
    pairs, published = pairs_in(search), figures_of(search)
    means = {row: mean(accuracies, statement.rule, row, pairs) for row in (*statement.rows, *statement.lower)}
    known = {row: value for row, value in means.items() if value is not None}
    if len(known) < len(means):
        return None
    if statement.kind == "order":
        return all(known[row] > known[lower] for row in statement.rows for lower in statement.lower)
    if statement.kind == "no_order":
        return max(known.values()) - min(known.values()) <= statement.points
    levels = {row: mean(published, statement.rule, row, pairs) for row in statement.rows}
    return all(
        level is not None and abs(round(known[row], 1) - round(level, 1)) <= statement.points + 1e-9
        for row, level in levels.items()
    )


def statement_text(statement: Statement) -> str:
    """A statement in words."""
    rows, lower = " and ".join(statement.rows), " and ".join(statement.lower)
    return {
        "level": f"{rows} within {statement.points:g} points of the published mean",
        "order": f"{rows} above {lower}",
        "no_order": f"{rows} within {statement.points:g} points of each other",
    }[statement.kind]


def text(search: PublishedSearch, accuracies: Accuracies, format: str = "text") -> str:
    """The tables of all rules with `ours / published`, the statements with whether they hold, the conventions and the source.

    Args:
        search: the published figures.
        accuracies: from `run_search`; what is missing is blank.
        format: "text" or "markdown".
    """
    published, pairs = figures_of(search), pairs_in(search)
    lines = [f"{search.title}: target accuracy in per cent, ours / published"]
    for rule in search.rules:
        cells = [[row.name, *_cells(accuracies, published, rule, row.name, pairs)] for row in search.rows]
        headers = [TITLES[rule], *(pair.partition(":")[2] for pair in pairs), MEAN]
        body = tabulate(cells, headers, tablefmt="pipe" if format == "markdown" else "simple", disable_numparse=True)
        lines += ["", body]
    words = {True: "holds", False: "does not hold", None: "unknown, for cases are missing"}
    lines += ["", "What the publication shows, over the mean of the pairs:"]
    for statement in search.statements:
        answer = words[holds(search, accuracies, statement)]
        lines.append(f"* {TITLES[statement.rule]}: {statement_text(statement)}: {answer}")
    return "\n".join([*lines, "", *search.conventions, "", f"Published by {search.source}"])


def _cells(accuracies: Accuracies, published: Accuracies, rule: str, row: str, pairs: list[str]) -> list[str]:
    """The cells of a row: one for each target, and the mean."""
    values = [(accuracies.get((rule, row, pair)), published.get((rule, row, pair))) for pair in pairs]
    means = (mean(accuracies, rule, row, pairs), mean(published, rule, row, pairs))
    return [
        " / ".join("none" if value is None else f"{value:.1f}" for value in of_cell) if any(of_cell) else ""
        for of_cell in (*values, means)
    ]
