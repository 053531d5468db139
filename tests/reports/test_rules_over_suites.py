"""Selection rules over all suites with candidates: means over pairs and suites, intervals, the sentence on the best."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t as student
from toy_records import cells

from tlbench import reports
from tlbench.reports.across.rules import best_rule, over_cases, rule_table

SEEDS = range(3)


def choices(suite, regrets, pairs=("a:b", "b:a"), spread=0.0, refused=()):
    """What rules chose on the pairs of a suite, from {rule: regret in points}; the seeds differ by the spread."""
    lines = [
        {
            "suite": suite,
            "suite_version": 1,
            "entry": "dann",
            "method": "dann",
            "pair": pair,
            "seed": seed,
            "rule": rule,
            "is_baseline": False,
            "oracle": 0.9,
            "unadapted": 0.5,
            "chose_unadapted": float(rule in refused),
            "accuracy": 0.9 - (regret + (seed - 1) * spread) / 100,
            "last": 0.9 - regrets["last"] / 100,
        }
        for rule, regret in regrets.items()
        for pair in pairs
        for seed in SEEDS
    ]
    return pd.DataFrame(lines)


def test_suites_weigh_equally_whatever_their_pairs():
    chosen = pd.concat(
        [
            choices("one", {"im": 1.0, "bnm": 2.0, "last": 3.0}),
            choices("two", {"im": 4.0, "bnm": 2.0, "last": 5.0}, pairs=("c:d",)),
        ]
    )
    (table,) = rule_table(chosen)
    assert list(table.cells.index) == ["bnm", "im", "last"]
    assert table.cells.loc["im", "regret"] == "2.5 ± 0.0" and table.cells.loc["im", "against last"] == "-1.5 ± 0.0"
    assert (table.cells.loc["im", "one v1"], table.cells.loc["im", "two v1"]) == ("1.0", "4.0")
    assert "Of the 2 rules without target labels, bnm has the lowest mean regret on 2 suites with candidates" in table.notes
    assert "it loses 2.0 ± 0.0 points" in table.notes and "the last step loses 4.0 ± 0.0" in table.notes


def test_the_interval_is_that_of_other_seeds_on_these_pairs():
    cases = choices("one", {"im": 1.0, "last": 3.0}, spread=0.6).assign(regret=lambda of: 100 * (of["oracle"] - of["accuracy"]))
    mean, margin = over_cases(cases[cases["rule"] == "im"], "regret")
    # two pairs of three seeds with a standard deviation of 0.6: four degrees of freedom
    assert float(mean[0]) == pytest.approx(1.0)
    assert float(margin[0]) == pytest.approx(student.ppf(0.975, 4) * 0.6 / np.sqrt(6))
    assert np.isnan(over_cases(cases[cases["seed"] < 2], "regret").margin[0])


def test_rules_that_a_suite_lacks_are_not_ranked_and_references_never_are_the_best():
    chosen = pd.concat(
        [
            choices("one", {"dev": 0.1, "im": 1.0, "k_labels_5": 0.5, "last": 3.0}),
            choices("two", {"im": 1.0, "k_labels_5": 0.5, "last": 3.0}),
        ]
    )
    (table,) = rule_table(chosen)
    assert list(table.cells.index) == ["k_labels_5", "im", "last"]
    assert "Of the 1 rules without target labels, im has" in best_rule(chosen)


def test_a_best_rule_that_never_adapts_is_said_to_refuse():
    chosen = choices("one", {"im": 1.0, "last": 3.0}, refused=("im",))
    assert "im, which always refuses to adapt, has the lowest mean regret on 1 suite with candidates" in best_rule(chosen)


def test_without_candidates_there_is_no_table_and_no_sentence():
    assert rule_table(None) == [] and best_rule(None) == ""
    frame = reports.frame(cells("dann", {"a:b": [0.5]}))
    assert reports.tables_over_suites(frame, "rules") == []
    baseline = choices("one", {"im": 1.0, "last": 3.0}).assign(is_baseline=True)
    assert rule_table(baseline) == [] and best_rule(baseline) == ""
