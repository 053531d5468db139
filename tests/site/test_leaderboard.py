"""The first page of the leaderboard in Markdown: answers, tables over all suites, and links to the suites below."""

from __future__ import annotations

import re

import pandas as pd
import pytest
from site_records import record

from tlbench import reports, site
from tlbench.reports.across.suite_results import results_by_suite
from tlbench.site import answers, leaderboard

GAINS = {"one": {"dann": 0.1, "mcc": 0.2}, "two": {"dann": -0.1, "mcc": 0.1}, "three": {"dann": -0.2, "mcc": 0.1}}
READS = ["source", "target"]


@pytest.fixture(scope="module")
def made():
    records = []
    for suite, gains in GAINS.items():
        for entry, gain in {"source_only": 0.0, **gains, "coral": -0.1}.items():
            for pair in (("a", "b"), ("b", "a")):
                sign = 1 if entry == "source_only" else -1
                records += [
                    record(
                        entry, 0.6 + gain + sign * seed / 1000, seed, suite, pair, reads=READS[: 1 + (entry != "source_only")]
                    )
                    for seed in range(3)
                ]
    return records


def sentences(records, selections=None):
    frame = reports.frame(records)
    return answers.answers(results_by_suite(frame, reports.tables(frame, "summary")), selections)


def test_the_answers_count_verdicts_and_name_methods_and_suites(made):
    text = sentences(made)
    assert (
        "Of 9 results (one a method and suite, 3 suites) 4 are significantly better than source_only, 5 significantly" in text
    )
    assert "**Who helps?** Methods that ran on 3 suites or more, by suites: mcc (3 better, 0 worse of 3)." in text
    assert "**Who hurts?** coral (0 better, 3 worse of 3); dann (1 better, 2 worse of 3)." in text
    assert "significantly better on one; worse on two, three." in text
    assert "**At what cost?** The median result took 0.9 times the training time of source_only." in text
    assert "Which rule" not in text


def test_a_rule_is_named_only_with_candidates(made):
    line = {"suite": "one", "suite_version": 1, "entry": "dann", "pair": "a:b", "rule": "im", "is_baseline": False}
    line |= {"accuracy": 0.7, "oracle": 0.75, "unadapted": 0.6, "last": 0.7, "chose_unadapted": 0.0}
    chosen = pd.DataFrame([{**line, "seed": seed} for seed in range(3)])
    assert "**Which rule to trust?** Of the 1 rules without target labels, im has the lowest" in sentences(made, chosen)
    assert "Fewer than 3 suites are no ranking: [model selection]" in sentences(made, chosen)
    several = pd.concat([chosen.assign(suite=name) for name in ("one", "two", "three")])
    assert "are no ranking" not in sentences(made, several)


def test_one_suite_gives_no_answers(made):
    few = [one for one in made if one.suite == "one"]
    assert sentences(few) == "No baseline has three suites yet."
    assert "### Methods" not in site.leaderboard_markdown(few)


def test_the_first_page_comes_before_the_suites_and_its_links_lead_to_them(made):
    text = site.leaderboard_markdown(made, families={"dann": "adversarial", "mcc": "self training"})
    headings = re.findall(r"^#{1,3} .*$", text, flags=re.MULTILINE)
    assert headings[:5] == [
        "# Leaderboard",
        "## In two minutes",
        "### Methods against source_only on 3 suites",
        "### Families of methods against source_only on 3 suites",
        "### Suites by methods, against source_only",
    ]
    assert headings[5:] == ["### Published figures", "## Suites", "## one v1", "## two v1", "## three v1"]
    assert "What one may conclude, and what not:" in text and text.count("\n- ") >= 9
    anchors = {heading.lstrip("# ").lower().replace(" ", "-") for heading in headings}
    links = re.findall(r"\]\(#([^)]+)\)", text)
    assert len(links) == 3 and set(links) <= anchors
    assert "| [two v1](#two-v1) |" in text and "docs/findings.md" in text


def test_names_of_suites_that_are_patterns_are_linked_as_text():
    text = "| a.b v1   | +1 |\n| axb v1 | +2 |"
    assert leaderboard.linked(text, ["a.b v1"]) == "| [a.b v1](#ab-v1) | +1 |\n| axb v1 | +2 |"


def test_results_without_a_verdict_are_in_no_answer(made):
    assert "results (one a method" not in sentences([one for one in made if one.seed == 0])
