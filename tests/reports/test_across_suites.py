"""Tables over all suites: counts of verdicts, means over suites with their intervals, and what is left out."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t as student
from toy_records import cells, record, value

from tlbench import reports
from tlbench.errors import TlbenchError

FAMILIES = {"dann": "adversarial", "mcc": "self training", "logistic": "classical"}
READS = {"dann": ["source", "target"], "mcc": ["source", "target"], "logistic": ["source"], "source_only": ["source"]}
GAINS = {"one": 0.10, "two": 0.02, "three": -0.05, "four": 0.03}
"""What dann gains over source_only on each suite, as a share."""
NOISE = (0.001, -0.001, 0.0)


def entry(suite, name, gain, **more):
    """An entry on two pairs whose seeds vary little, with the noise of each seed in the entry alone."""
    sign = 1 if name == "source_only" else -1
    pairs = {pair: [level + gain + sign * noise for noise in NOISE] for pair, level in (("a:b", 0.5), ("b:a", 0.6))}
    seconds = 2.0 if name == "dann" else 1.0
    return cells(name, pairs, suite=suite, reads=READS[name], cost={"train_seconds": seconds}, **more)


@pytest.fixture
def frame():
    made = []
    for suite, gain in GAINS.items():
        made += [*entry(suite, "source_only", 0.0), *entry(suite, "dann", gain)]
        if suite != "four":
            made += entry(suite, "logistic", -0.01)
    return reports.frame([*made, *entry("one", "mcc", 0.2)])


def over_suites(frame, kind, **more):
    return reports.tables_over_suites(frame, kind, families=FAMILIES, **more)


def test_a_method_has_its_verdicts_and_the_interval_over_suites(frame):
    (table,) = over_suites(frame, "methods")
    assert table.title == "Methods against source_only on 4 suites"
    line = table.cells.loc["dann"]
    assert (line["suites"], line["better"], line["n.s."], line["worse"]) == ("4", "3", "0", "1")
    gains = 100 * np.array(list(GAINS.values()))
    margin = student.ppf(0.975, 3) * gains.std(ddof=1) / 2
    assert value(table, "dann", "mean") == pytest.approx(gains.mean())
    assert value(table, "dann", "margin") == pytest.approx(margin)
    assert line["mean delta"] == f"+{gains.mean():.1f} ± {margin:.1f}"
    assert (line["pairs better %"], line["pairs worse %"], line["train time"]) == ("75", "25", "2.00 x")
    assert table.groups == ("Source (S)", "Source (S) and unlabelled target samples (T)")
    assert "mcc" not in table.cells.index and "Left out: 1 entry that ran on fewer than 3 suites." in table.notes


def test_families_are_counted_by_what_they_read(frame):
    (table,) = over_suites(frame, "families")
    lines = dict(zip(zip(table.groups, table.cells.index, strict=True), table.cells.to_dict("records"), strict=True))
    both = lines["Source (S) and unlabelled target samples (T)", "all"]
    assert (both["methods"], both["suites"], both["results"], both["better"], both["worse"]) == ("2", "4", "5", "4", "1")
    gains = 100 * np.array([(0.10 + 0.20) / 2, 0.02, -0.05, 0.03])  # of each suite the mean of its results
    assert both["mean delta"].startswith(f"{gains.mean():+.1f} ± {student.ppf(0.975, 3) * gains.std(ddof=1) / 2:.1f}")
    assert both["better %"] == "75"  # four suites are too few for the interval of a share
    assert lines["Source (S)", "classical"]["results"] == "3" and ("Source (S)", "all") not in lines
    assert {"adversarial", "self training"} <= set(table.cells.index)


def test_the_matrix_has_suites_by_methods_with_stars(frame):
    (table,) = over_suites(frame, "matrix")
    assert list(table.cells.columns) == ["logistic", "dann"]
    assert table.cells.loc["one v1", "dann"] == "+10.0 *" and table.cells.loc["three v1", "dann"] == "-5.0 *"
    assert table.cells.loc["four v1", "logistic"] == "" and table.marks.loc["one v1", "dann"] == "better"


def test_baselines_have_tables_of_their_own_from_three_suites_on(frame):
    other = [one for suite in ("x", "y") for one in entry(suite, "dann", 0.1, baseline="target_only")]
    assert len(over_suites(pd.concat([frame, reports.frame(other)]), "methods")) == 1
    few = frame[frame["suite"].isin(["one", "two"])]
    assert over_suites(few, "methods") == over_suites(few, "matrix") == []


def test_h_scores_and_errors_are_counted_and_left_out_of_means(frame):
    open_set = [*entry("open", "source_only", 0.0, metric="h_score"), *entry("open", "dann", 0.3, metric="h_score")]
    errors = [
        one.model_copy(update={"metric": "rmse", "scores": one.scores.model_copy(update={"rmse": one.scores.target_accuracy})})
        for one in [*entry("rmse", "source_only", 0.0), *entry("rmse", "dann", -0.2)]
    ]
    h_scores = [
        one.model_copy(update={"scores": one.scores.model_copy(update={"h_score": one.scores.target_accuracy})})
        for one in open_set
    ]
    (table,) = over_suites(pd.concat([frame, reports.frame([*h_scores, *errors])]), "methods")
    assert value(table, "dann", "mean") == pytest.approx(100 * np.mean(list(GAINS.values())))
    assert table.cells.loc["dann", "suites"] == "6" and table.cells.loc["dann", "better"] == "5"  # a lower error is a gain


def test_the_json_of_a_table_over_suites_names_no_suite(frame):
    for kind in ("methods", "families", "matrix"):
        (table,) = json.loads(reports.render(over_suites(frame, kind), "json"))["tables"]
        assert (table["suite_name"], table["suite_version"], table["kind"]) == ("all suites", 0, kind)
        assert table["data"]


def test_a_kind_that_is_over_suites_is_told_from_one_of_a_suite(frame):
    with pytest.raises(TlbenchError, match="over all suites"):
        reports.tables(frame, "methods")
    with pytest.raises(TlbenchError, match="Unknown table over suites 'summary'"):
        reports.tables_over_suites(frame, "summary")
    with pytest.raises(TlbenchError, match="no records"):
        reports.tables_over_suites(reports.frame([]), "published")


def test_without_an_interval_there_is_no_verdict_to_count():
    made = [
        record(name, pair, 0, level, suite=suite, reads=READS[name])
        for suite in GAINS
        for name, level in (("source_only", 0.5), ("dann", 0.6))
        for pair in ("a:b", "b:a")
    ]
    (table,) = over_suites(reports.frame(made), "methods")
    line = table.cells.loc["dann"]
    assert (line["suites"], line["better"], line["worse"]) == ("4", "0", "0") and line["mean delta"].startswith("+10.0")
