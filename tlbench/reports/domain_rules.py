"""Domain generalization: what three rules of model selection choose among the trials of each method, side by side."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from tlbench.reports.domain_selection import RULES, Accuracies, Scored, select
from tlbench.reports.frames import latest_records, latest_value, suite_and_version
from tlbench.reports.rule_selections import TRIAL
from tlbench.reports.statistics import intervals
from tlbench.reports.statistics.intervals import Array, Estimate
from tlbench.reports.table import Table, estimate_texts, number_text
from tlbench.reports.tables.selection import method_table, rule_data
from tlbench.suite.pairs import Pair, pair_label, validation_pairs

HEADINGS = {
    "source_validation": "source validation",
    "leave_one_domain_out": "leave one domain out",
    "oracle": "oracle (target labels)",
}
Configurations = dict[str, dict[int, dict[str, Scored]]]
"""Accuracies by entry, seed, trial and pair."""


def domain_rules(frame: pd.DataFrame) -> list[Table]:
    """The accuracy that each rule selects for each method; none without trials on pairs of several sources.

    Each seed selects for itself, among the trials that `tlbench sweep` ran. A rule that was not measured for all pairs and
    seeds of a method is blank.

    Args:
        frame: the records of one suite, from `reports.frame`.
    """
    done = latest_records(frame)
    done = done[(done["status"] == "done") & done["entry"].str.fullmatch(TRIAL.pattern)]
    pairs = _pairs(done)
    if done.empty or not pairs or done["reads"].str.split("+").map(lambda reads: "target" in reads).any():
        return []
    suite, version = suite_and_version(frame)
    configurations, baseline = _configurations(done), str(latest_value(frame, "baseline"))
    selected = {entry: _selected(by_seed, pairs) for entry, by_seed in configurations.items()}
    cells, lines = {}, []
    for entry, by_rule in selected.items():
        texts = {"trials": str(max(len(trials) for trials in configurations[entry].values()))}
        for rule, accuracy_PS in by_rule.items():
            if np.isnan(accuracy_PS).any():
                continue
            estimate = intervals.over_pairs(accuracy_PS[None])
            texts[HEADINGS[rule]] = estimate_texts(estimate)[0]
            lines += _tidy_lines(entry, rule, "accuracy", estimate)
            base_PS = selected.get(baseline, {}).get(rule)
            if entry != baseline and base_PS is not None and base_PS.shape == accuracy_PS.shape:
                delta = intervals.over_pairs((accuracy_PS - base_PS)[None])
                texts[HEADINGS[rule]] += f" ({number_text(float(delta[0][0]), signed=True)})"
                lines += _tidy_lines(entry, rule, "delta", delta)
        cells[entry] = texts
    columns = ["trials", *HEADINGS.values()]
    return [
        method_table(
            pd.DataFrame.from_dict(cells, orient="index").reindex(columns=columns),
            title="three rules of domain generalisation",
            caption=(
                "Accuracy in per cent of the trial that a rule selects (95 % CI over seeds); in brackets the delta against the "
                "baseline.",
                "The baseline's trial is selected by the same rule. The oracle reads labels of the target: no user has it.",
            ),
            data=rule_data(lines, suite, version),
            name=f"{suite} v{version}",
        )
    ]


def _tidy_lines(entry: str, rule: str, quantity: str, estimate: Estimate) -> list[tuple[object, ...]]:
    """The mean and the margin of error of one cell, in points."""
    mean, margin = (float(one[0]) for one in estimate)
    return [(entry, rule, quantity, mean, "per cent"), (entry, rule, f"{quantity}_margin", margin, "per cent")]


def _pairs(done: pd.DataFrame) -> list[Pair]:
    """The pairs of several sources that are not there for the cross-validation of others alone."""
    columns = done[["sources", "target"]].drop_duplicates().itertuples(index=False)
    pairs = [(tuple(sources.split("+")), target) for sources, target in columns]
    inner = {pair_label(one) for pair in pairs for one in validation_pairs(pair)}
    return [pair for pair in pairs if len(pair[0]) > 1 and pair_label(pair) not in inner]


def _configurations(done: pd.DataFrame) -> Configurations:
    """The accuracies of trials by their entry, which is named without the trial."""
    grouped: dict[str, dict[int, dict[str, dict[str, Accuracies]]]] = {}
    columns = ["entry", "seed", "pair", "source_accuracy", "target_accuracy"]
    for name, seed, pair, source, target in done[columns].astype(object).to_numpy().tolist():
        accuracies = Accuracies(*(None if pd.isna(one) else float(one) for one in (source, target)))
        entry, trial = str(name).rsplit(".trial-", 1)
        grouped.setdefault(entry, {}).setdefault(int(seed), {}).setdefault(trial, {})[str(pair)] = accuracies
    return {
        entry: {seed: dict(sorted(trials.items(), key=lambda one: int(one[0]))) for seed, trials in sorted(by_seed.items())}
        for entry, by_seed in grouped.items()
    }


def _selected(by_seed: Mapping[int, Mapping[str, Scored]], pairs: list[Pair]) -> dict[str, Array]:
    """The accuracy in per cent that each rule selects, by pair and seed; NaN where the rule was not measured."""
    selected: dict[str, Array] = {}
    for rule in RULES:
        chosen = [[select(rule, trials, pair) for trials in by_seed.values()] for pair in pairs]
        selected[rule] = np.array(
            [[np.nan if one is None else 100 * one.target_accuracy for one in of_pair] for of_pair in chosen]
        )
    return selected
