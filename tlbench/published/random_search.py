"""Published searches: methods whose options are drawn at random, and what each rule of model selection makes of the same runs.

A published search is a TOML file beside the published tables, with the key `trials`. A trial is a learning rate and, for each
method, its options: drawn from ranges by a seed, the same learning rate for all methods of a trial; trial 0 has what the suite
states. Each trial runs on the pairs of the suite and, for cross-validation, on the pairs that leave one more domain out.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field

from tlbench import session, sweep
from tlbench.errors import TlbenchError, unknown_name
from tlbench.progress import Style
from tlbench.reports.domain_selection import by_configuration, selected_accuracy
from tlbench.suite import MethodEntry, Suite
from tlbench.suite.pairs import Pair, pair_label, validation_pairs
from tlbench.sweep.draws import draw
from tlbench.terms import Record, Strict

RuleName = Literal["source_validation", "leave_one_domain_out", "oracle"]
"""A name in `RULES`."""
Accuracies = dict[tuple[str, str, str], float]
"""Accuracy in per cent by rule, row and pair; what was not run is missing."""


class SearchedRow(Strict):
    """A method of a published search."""

    name: str
    """The name of the method in the publication."""
    entry: str
    """The method entry of the suite whose options are searched."""
    ranges: tuple[str, ...] = ()
    """The ranges of its options, as `tlbench sweep --option` takes them; none: only the learning rate differs."""
    figures: dict[RuleName, dict[str, float]]
    """The published target accuracies in per cent, by rule and pair."""


class Statement(Strict):
    """What the publication shows, and what must hold here as well; accuracies are means over pairs."""

    rule: RuleName
    kind: Literal["level", "order", "no_order"]
    """Each row has the published level; each row of `rows` is above each of `lower`; or no row is apart from the others."""
    rows: tuple[str, ...] = Field(min_length=1)
    lower: tuple[str, ...] = ()
    points: float = Field(0.0, ge=0, description="the largest distance: of a level, or between the rows of no order")


class PublishedSearch(Strict):
    """A published search."""

    title: str
    suite: str
    source: str
    """The publication with the figures."""
    trials: int = Field(ge=1)
    seed: int
    """The seed of the draws."""
    lr: tuple[float, float]
    """The ends of the learning rates, drawn on a logarithmic scale."""
    seeds: tuple[int, ...] = Field(min_length=1)
    """The seeds of each trial; each selects for itself."""
    conventions: tuple[str, ...]
    """Where the search departs from the publication's, as sentences or phrases."""
    statements: tuple[Statement, ...]
    rows: tuple[SearchedRow, ...]

    @property
    def rules(self) -> tuple[RuleName, ...]:
        """The rules that have figures, in the order of the rows."""
        return tuple(dict.fromkeys(rule for row in self.rows for rule in row.figures))


def trial_suite(search: PublishedSearch, suite: Suite, trial: int, rows: Sequence[SearchedRow], pairs: Sequence[Pair]) -> Suite:
    """The suite of one trial: each row as a method entry `NAME.trial-N` with its own options.

    Args:
        search: ranges and seed.
        suite: the suite of the search.
        trial: its number; 0 has the options and the learning rate of the suite.
        rows: the rows that are run.
        pairs: the pairs that are run.

    Raises:
        TlbenchError: a range that is none, or that exceeds the bounds of its option.
    """
    entries: dict[str, MethodEntry] = {}
    for row in rows:
        entry = suite.methods[row.entry]
        method, options = entry.method or row.entry, dict(entry.options)
        space = sweep.search_space(method, options, row.ranges) if row.ranges else {}
        if trial:
            drawn = {
                name: draw(of.low, of.high, of.log, search.seed, trial, method, name) if of.kind == "float" else of.choices[0]
                for name, of in space.items()
            }
            options |= drawn
        entries[f"{row.entry}.trial-{trial}"] = MethodEntry.model_validate({"method": method, **options})
    lr = draw(*search.lr, True, search.seed, trial, "lr") if trial else suite.train.lr
    train = suite.train.model_copy(update={"lr": lr})
    return dataclasses.replace(suite, methods=entries, pairs=tuple(pairs), train=train)


def pairs_of(search: PublishedSearch, suite: Suite, pairs: Sequence[str] = ()) -> tuple[list[Pair], list[Pair]]:
    """The pairs of a search that are asked for, and those that its cross-validation runs beside them.

    Args:
        search: its rules say whether there is a cross-validation.
        suite: the suite of the search.
        pairs: pairs as they are written in a suite; empty: all.

    Raises:
        TlbenchError: the suite lacks a pair.
    """
    labels = [pair_label(pair) for pair in suite.pairs]
    if errors := [unknown_name("pair of the table", pair, labels) for pair in pairs if pair not in labels]:
        raise TlbenchError("\n".join(errors))
    asked = [pair for pair, label in zip(suite.pairs, labels, strict=True) if not pairs or label in pairs]
    validated = "leave_one_domain_out" in search.rules
    inner = dict.fromkeys(one for pair in asked if validated for one in validation_pairs(pair))
    return asked, [pair for pair in inner if pair not in asked]


def run_search(
    search: PublishedSearch,
    *,
    results: Path,
    data: Path | None = None,
    device: str = "auto",
    rows: Sequence[str] = (),
    pairs: Sequence[str] = (),
    trials: int | None = None,
) -> Accuracies:
    """Run the cases of a published search that have no record yet; after a stop the same call goes on.

    Args:
        search: from `published.load_search`.
        results: the results directory.
        data: the data root.
        device: auto, cpu, cuda or cuda:N.
        rows: names of rows of the search; empty: all.
        pairs: pairs such as "a+b:c"; empty: all.
        trials: the number of trials, from the first one on; None: all of the search.

    Returns:
        The accuracy in per cent, a mean over seeds, by rule, row and pair; what no finished case gives is missing.

    Raises:
        TlbenchError: the search lacks a row, a pair or that many trials, or the suite can't be run.
    """
    names = [row.name for row in search.rows]
    if errors := [unknown_name("row of the table", name, names) for name in rows if name not in names]:
        raise TlbenchError("\n".join(errors))
    if trials is not None and not 0 < trials <= search.trials:
        raise TlbenchError(
            f"--trials {trials}: The search has {search.trials} trials. Give a number from 1 to {search.trials}."
        )
    selected = [row for row in search.rows if not rows or row.name in rows]
    suite = session.load_suite(search.suite)
    asked, inner = pairs_of(search, suite, pairs)
    opened = session.open_session(device=device, results=results, data=data, style=Style.bars)
    finished: list[Record] = []
    for trial in range(search.trials if trials is None else trials):
        (plan,) = opened.plan([trial_suite(search, suite, trial, selected, [*asked, *inner])], seeds=search.seeds)
        finished += [*plan.on_file, *opened.run(plan)]
    return selected_accuracies(search, selected, asked, finished)


def selected_accuracies(
    search: PublishedSearch, rows: Sequence[SearchedRow], pairs: Sequence[Pair], finished: Sequence[Record]
) -> Accuracies:
    """The accuracy in per cent that each rule selects, by rule, row and pair.

    Args:
        search: its rules.
        rows: the rows to select for.
        pairs: the pairs to select on.
        finished: the records of all trials.
    """
    accuracies: Accuracies = {}
    for row in rows:
        of_row = [record for record in finished if record.entry.startswith(f"{row.entry}.trial-")]
        configurations = by_configuration(of_row, lambda record: record.entry)
        for rule in search.rules:
            for pair in pairs:
                accuracy = selected_accuracy(rule, configurations, pair)
                if accuracy is not None:
                    accuracies[rule, row.name, pair_label(pair)] = 100 * accuracy
    return accuracies
