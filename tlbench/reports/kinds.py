"""The kinds of table: an entry of `TABLE_KINDS` is all that a new kind takes to be known by reports, commands and formats."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import pandas as pd

from tlbench.reports.domain_rules import domain_rules
from tlbench.reports.frames import suite_and_version
from tlbench.reports.group_gaps import group_gaps
from tlbench.reports.table import Table
from tlbench.reports.tables.cost import cost_details, pareto_table, throughput
from tlbench.reports.tables.label_budgets import label_budgets
from tlbench.reports.tables.negative_transfer import negative_transfer
from tlbench.reports.tables.ranks import ranks
from tlbench.reports.tables.read_splits import with_reads
from tlbench.reports.tables.scores import accuracy, transfer
from tlbench.reports.tables.selection import selection
from tlbench.reports.tables.streams import streams
from tlbench.reports.tables.subgroups import class_deltas, group_deltas
from tlbench.reports.tables.summary import summary
from tlbench.reports.tables.tasks import tasks
from tlbench.suite import Suite


@dataclass(frozen=True, eq=False)
class TableInputs:
    """What the tables of one suite are made from."""

    frame: pd.DataFrame
    """The records of one suite and version, from `reports.frame`."""
    flips: pd.DataFrame | None = None
    """From `reports.negative_flips`; None: no predictions are compared."""
    margin: float | None = None
    """A desired margin of error in units of the metric."""
    suites: tuple[Suite, ...] = ()
    """Suites from files of their own, for the published levels of their baselines."""
    selections: pd.DataFrame | None = None
    """From `reports.rule_selections`; None: no candidates are read."""


@dataclass(frozen=True)
class TableKind:
    """A kind of table."""

    shows: str
    """What it shows, in one line."""
    section: str
    """The section of docs/reports.md that explains it, as the anchor of its heading."""
    make: Callable[[TableInputs], list[Table]]
    """Its tables of one suite; none where the records lack what it shows."""
    shows_reads: bool = False
    """Whether a column says what each entry reads, so that methods with target labels are told from those without."""

    def tables(self, of: TableInputs) -> list[Table]:
        """Its tables of one suite as readers see them: with the section that explains them and, where shown, what is read."""
        tables = [with_reads(table, of.frame) if self.shows_reads else table for table in self.make(of)]
        return [replace(table, section=self.section) for table in tables]


TABLE_KINDS: dict[str, TableKind] = {
    "summary": TableKind(
        "One line a method: accuracy, delta, verdict, pairs, train time, samples/s.",
        "summary",
        lambda of: [summary(of.frame, of.flips, of.suites, of.margin)],
    ),
    "accuracy": TableKind(
        "The suite's metric on every pair, with means and ranks.",
        "intervals-and-tests",
        lambda of: [accuracy(of.frame, of.margin)],
        shows_reads=True,
    ),
    "ranks": TableKind(
        "Average ranks and the critical difference.",
        "intervals-and-tests",
        lambda of: ranks(of.frame),
        shows_reads=True,
    ),
    "transfer": TableKind(
        "Deltas against the baselines on every pair, with verdicts.",
        "intervals-and-tests",
        lambda of: transfer(of.frame, of.margin, of.flips, of.suites),
        shows_reads=True,
    ),
    "negative_transfer": TableKind(
        "What a mean delta hides: worst runs, classes and groups, flips.",
        "negative-transfer",
        lambda of: negative_transfer(of.frame, of.flips, of.suites),
        shows_reads=True,
    ),
    "classes": TableKind("Deltas on every class.", "intervals-and-tests", lambda of: class_deltas(of.frame)),
    "groups": TableKind(
        "Deltas on every group of samples, and whether gaps between groups widen.",
        "groups",
        lambda of: [*group_deltas(of.frame), *group_gaps(of.frame)],
    ),
    "tasks": TableKind(
        "Several tasks: which are helped and which are hurt, and the cost of a step.", "tasks", lambda of: tasks(of.frame)
    ),
    "labels": TableKind(
        "Label budgets: how many labels a class a source is worth.", "label-budgets", lambda of: label_budgets(of.frame)
    ),
    "stream": TableKind("Accuracy over a stream of test samples.", "the-numbers-behind-a-table", lambda of: streams(of.frame)),
    "selection": TableKind(
        "What rules without target labels select, their regret, and the gate.",
        "model-selection",
        lambda of: [*selection(of.selections, *suite_and_version(of.frame)), *domain_rules(of.frame)],
    ),
    "throughput": TableKind(
        "Samples per second, train time, memory and energy.", "accuracy-against-cost", lambda of: throughput(of.frame)
    ),
    "frontier": TableKind(
        "Gain per minute of training, and the Pareto front.", "accuracy-against-cost", lambda of: pareto_table(of.frame)
    ),
    "detail": TableKind("All other measured costs.", "accuracy-against-cost", lambda of: cost_details(of.frame)),
}
"""By name, in the order in which they are printed; the summary comes first."""
