"""Gaps between groups: planted gaps, pairs that are left out, and groups by a column of the data held to pandas."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from toy_records import of_classes, value
from typer.testing import CliRunner

from tlbench import cli, records, reports
from tlbench.api import run
from tlbench.api.data_groups import parse_rule
from tlbench.errors import TlbenchError
from tlbench.reports.group_gaps import group_gaps

SUITE = """
name = "grouped"
version = 1
[data]
reader = "csv"
label = "label"
[domains.one]
path = "one.csv"
features = ["a", "b"]
[domains.two]
path = "two.csv"
features = ["a", "b"]
[pairs]
list = ["one:two", "two:one"]
[protocol]
scored = "held_out"
held_out = 0.5
baseline = "source_only"
seeds = [0, 1, 2]
[methods.source_only]
method = "nearest_neighbor"
[methods.logistic]
"""


def grouped(entry, seed, shares, pair="a:b"):
    return of_classes(entry, seed, shares, pair, column="per_group_accuracy")


def test_a_planted_gap_is_wider_by_what_was_planted():
    base = [grouped("source_only", s, {"men": 0.8 + s / 100, "women": 0.7}, pair) for s in range(3) for pair in ("a:b", "b:a")]
    other = [
        grouped("dann", s, {"men": 0.9 + s / 100 + s / 1000, "women": 0.6}, pair) for s in range(3) for pair in ("a:b", "b:a")
    ]
    (table,) = group_gaps(reports.frame([*base, *other]))
    assert table.cells.loc["dann", "verdict"] == "wider" and table.cells.loc["dann", "pairs wider"] == "2 / 2"
    assert value(table, "dann", "mean") == pytest.approx(20.1)
    assert value(table, "dann", "worst_group_mean") == pytest.approx(-10)
    assert value(table, "dann", "gap") == pytest.approx(31.1) and value(table, "dann", "verdict") == 1
    assert "source_only: worst group 70.0, gap 11.0" in table.caption


def test_the_worst_group_of_each_run_counts_and_a_copied_gap_is_no_change():
    base = [grouped("source_only", s, {"men": 0.8, "women": 0.7 + s / 100}) for s in range(3)]
    swapped = [grouped("dann", s, {"men": 0.7 + s / 100, "women": 0.8}) for s in range(3)]
    (table,) = group_gaps(reports.frame([*base, *swapped]))
    assert table.cells.loc["dann", "change of gap"].startswith("0.0") and table.cells.loc["dann", "verdict"] == "n.s."


def test_pairs_without_two_groups_are_left_out_and_named():
    shares = {"a:b": {"men": 0.8, "women": 0.7}, "b:a": {"men": 0.9, "women": None}}
    made = [grouped(entry, s, of, pair) for entry in ("source_only", "dann") for s in range(3) for pair, of in shares.items()]
    (table,) = group_gaps(reports.frame(made))
    assert "fewer than two groups are left out: b:a" in table.caption and table.cells.loc["dann", "pairs wider"] == "0 / 1"
    assert group_gaps(reports.frame([one for one in made if one.pair == "b:a"])) == []


def test_a_rule_is_a_column_or_a_threshold():
    assert parse_rule(" sex ").names(["m", "f"]) == ["m", "f"]
    assert parse_rule("years >= 13").names(["12", "13.0"]) == ["years < 13", "years >= 13"]
    with pytest.raises(TlbenchError, match="has values that are no numbers"):
        parse_rule("sex >= 1").names(["m"])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A suite without groups, whose files have a column of groups, and its results."""
    root, rng = tmp_path_factory.mktemp("grouped"), np.random.default_rng(0)
    for name in ("one", "two"):
        label, sex = np.arange(80) % 2, rng.integers(0, 2, 80)
        a = 2.0 * label * np.where(sex == 1, 0.4, 1.0) + rng.normal(size=80) * 0.6
        table = {"a": a, "b": rng.normal(size=80), "sex": np.where(sex == 1, "f", "m"), "age": rng.integers(20, 60, 80)}
        pd.DataFrame({**table, "label": label}).to_csv(root / f"{name}.csv", index=False)
    (root / "grouped.toml").write_text(SUITE, encoding="utf-8")
    run(root / "grouped.toml", results=root / "results", progress=False)
    return root


def test_groups_of_a_column_give_the_accuracies_that_pandas_gives(folder):
    from tlbench import session
    from tlbench.api.data_groups import with_groups
    from tlbench.engine.scored_labels import scored_labels
    from tlbench.runner import load_domains

    suite, results = session.load_suite(folder / "grouped.toml"), folder / "results"
    domains = load_domains(suite, ["one", "two"], folder)
    on_file = list(records.iterate_records(results, ("grouped",)))
    for rule, column in (("sex", lambda table: table["sex"]), ("age >= 40", lambda table: table["age"] >= 40)):
        regrouped = list(with_groups(on_file, results, suite, folder, parse_rule(rule)))
        for before, after in zip(on_file, regrouped, strict=True):
            correct = records.predictions(results, before)[1]
            table = pd.read_csv(folder / f"{before.target}.csv")
            indices = scored_labels(before, suite, domains).samples.x.flatten().long().numpy()
            expected = pd.Series(correct).groupby(column(table).to_numpy()[indices]).mean()
            accuracies = after.scores.per_group_accuracy
            assert sorted(accuracies.values()) == pytest.approx(sorted(expected)) and before.scores.per_group_accuracy is None


def test_groups_of_a_suite_whose_baseline_stands_in_a_set_of_methods(folder):
    from tlbench import session
    from tlbench.api.data_groups import with_groups

    text = SUITE.partition("[methods.source_only]")[0].replace('"source_only"', '"nearest_neighbor"')
    (folder / "set.toml").write_text(text + '[methods."@classical"]\n', encoding="utf-8")
    suite = session.load_suite(folder / "set.toml")
    assert "logistic" in suite.methods and list(with_groups([], folder, suite, folder, parse_rule("sex"))) == []


def test_the_command_takes_groups_from_the_data(folder):
    words = ["report", str(folder / "grouped.toml"), "--results", str(folder / "results"), "--table", "groups"]
    of_data = ["--data", str(folder), "--group", "sex"]
    shown = CliRunner().invoke(cli.app, [*words, *of_data])
    assert shown.exit_code == 0 and "gaps between groups" in shown.stdout and "pairs wider" in shown.stdout
    kinds = [table["kind"] for table in json.loads(CliRunner().invoke(cli.app, [*words, *of_data, "--json"]).stdout)["tables"]]
    assert kinds == ["groups", "groups"]
    for change in (["--group", "nosuch", "--data", str(folder)], ["--group", "a >= x", "--data", str(folder)]):
        refused = CliRunner().invoke(cli.app, [*words, *change])
        assert isinstance(refused.exception, TlbenchError)
    for option, words_of_error in ((["--gate", "im"], "Leave one of them out"), (["--compare", "x", "y"], "--group is for")):
        refused = CliRunner().invoke(cli.app, [*words, *of_data, *option])
        assert words_of_error in str(refused.exception)
    several = CliRunner().invoke(cli.app, ["report", "--results", str(folder / "results"), *of_data])
    assert "Name one" in str(several.exception)
