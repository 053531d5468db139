"""Published searches: what is drawn, what is run and resumed, and what each rule of model selection makes of it."""

from __future__ import annotations

import pytest
from command_line import tlbench

from tlbench import published, records, reports, session
from tlbench.errors import TlbenchError
from tlbench.published import random_search, search_text
from tlbench.reports.domain_selection import by_configuration, select
from tlbench.suite.pairs import pair_label, validation_pairs
from tlbench.sweep.draws import draw

SUITE = """
name = "turned"
version = 1
pairs = { leave_one_out = true }
[data]
reader = "scikit_learn"
name = "digits"
[domains]
a = { shifts = [{ kind = "part", index = 0, of = 9 }] }
b = { shifts = [{ kind = "part", index = 1, of = 9 }, { kind = "rotation", degrees = 30.0 }] }
c = { shifts = [{ kind = "part", index = 2, of = 9 }, { kind = "rotation", degrees = 60.0 }] }
[protocol]
grants = ["source"]
[train]
steps = 20
batch = 16
trace = 0
[methods.source_only]
[methods.vrex]
"""
FIGURES = {
    rule: {"b+c:a": 60.0, "a+c:b": 70.0, "a+b:c": 50.0} for rule in ("source_validation", "leave_one_domain_out", "oracle")
}


@pytest.fixture
def search(tmp_path):
    """A search on three small domains."""
    (tmp_path / "turned.toml").write_text(SUITE)
    return random_search.PublishedSearch(
        title="Turned digits",
        suite=str(tmp_path / "turned.toml"),
        source="someone",
        trials=2,
        seed=0,
        lr=(1e-3, 1e-1),
        seeds=(0,),
        conventions=("Small.",),
        statements=(random_search.Statement(rule="oracle", kind="order", rows=("VREx",), lower=("ERM",)),),
        rows=(
            random_search.SearchedRow(name="ERM", entry="source_only", figures=FIGURES),
            random_search.SearchedRow(name="VREx", entry="vrex", ranges=("weight=0.1:1000:log",), figures=FIGURES),
        ),
    )


@pytest.mark.parametrize("name", published.search_names())
def test_a_published_search_names_entries_ranges_and_pairs_of_its_suite(name):
    search = published.load_search(name)
    suite = session.load_suite(search.suite)
    labels = {pair_label(pair) for pair in suite.pairs}
    for trial in (0, 1):
        random_search.trial_suite(search, suite, trial, search.rows, suite.pairs)
    for row in search.rows:
        assert row.entry in suite.methods and all(set(by_pair) == labels for by_pair in row.figures.values())
    names = {row.name for row in search.rows}
    assert all({*one.rows, *one.lower} <= names and one.rule in search.rules for one in search.statements)


def test_draws_follow_from_their_key_and_stay_between_the_ends():
    drawn = [draw(0.1, 1000.0, True, 0, trial, "vrex", "weight") for trial in range(200)]
    assert drawn[:200] == [draw(0.1, 1000.0, True, 0, trial, "vrex", "weight") for trial in range(200)]
    assert 0.1 <= min(drawn) < 1 and 100 < max(drawn) <= 1000.0
    assert 70 < sum(weight < 10 for weight in drawn) < 130  # half of them below the geometric mean


def test_the_first_trial_is_the_suite_and_the_rows_of_a_trial_share_the_rate(search):
    suite = session.load_suite(search.suite)
    first, second = (random_search.trial_suite(search, suite, trial, search.rows, suite.pairs) for trial in (0, 1))
    assert first.train == suite.train and first.methods["vrex.trial-0"].options == suite.methods["vrex"].options
    assert second.train.lr != suite.train.lr and 0.1 <= second.methods["vrex.trial-1"].options["weight"] <= 1000
    assert list(second.methods) == ["source_only.trial-1", "vrex.trial-1"]


def test_a_search_runs_resumes_and_selects_by_each_rule(search, tmp_path):
    results = tmp_path / "results"
    random_search.run_search(search, results=results, device="cpu", trials=1)
    assert len(list(records.iterate_records(results, ("turned",)))) == 2 * (3 + 6)
    accuracies = random_search.run_search(search, results=results, device="cpu")
    on_file = list(records.iterate_records(results, ("turned",)))
    assert len(on_file) == 2 * 2 * (3 + 6) and {record.status for record in on_file} == {"done"}

    of_vrex = {
        name: of_seed[0]
        for name, of_seed in by_configuration(
            [record for record in on_file if record.method == "vrex"], lambda record: record.entry
        ).items()
    }
    pair = (("b", "c"), "a")
    values = {name: (scored["c:b"].target + scored["b:c"].target) / 2 for name, scored in of_vrex.items()}
    expected = max(values, key=values.get)
    selected = select("leave_one_domain_out", of_vrex, pair)
    assert selected.configuration == expected and selected.value == pytest.approx(values[expected])
    assert accuracies["leave_one_domain_out", "VREx", "b+c:a"] == pytest.approx(100 * of_vrex[expected]["b+c:a"].target)
    (table,) = reports.tables(reports.frame(on_file), "selection")
    means = {rule: [] for rule in ("source_validation", "leave_one_domain_out", "oracle")}
    for (rule, row, _), accuracy in accuracies.items():
        if row == "VREx":
            means[rule].append(accuracy)
    tidy = table.data[(table.data["entry"] == "vrex") & (table.data["quantity"] == "accuracy")].set_index("subgroup")["value"]
    assert tidy.to_dict() == pytest.approx({rule: sum(of) / 3 for rule, of in means.items()})
    assert "(" in table.cells.loc["vrex", "oracle (target labels)"] and "(" not in table.cells.loc["source_only"].iloc[-1]
    for row in ("ERM", "VREx"):
        for label in FIGURES["oracle"]:
            others = [accuracies[rule, row, label] for rule in ("source_validation", "leave_one_domain_out")]
            assert accuracies["oracle", row, label] >= max(others)


def test_the_pairs_of_cross_validation():
    assert validation_pairs((("a", "b", "c"), "d")) == [(("b", "c"), "a"), (("a", "c"), "b"), (("a", "b"), "c")]
    assert validation_pairs((("a",), "d")) == []


def test_statements_and_their_text(search):
    accuracies = {("oracle", "ERM", pair): 60.0 for pair in FIGURES["oracle"]}
    order = search.statements[0]
    assert search_text.holds(search, accuracies, order) is None
    assert "VREx above ERM: unknown, for cases are missing" in search_text.text(search, accuracies)
    accuracies |= {("oracle", "VREx", pair): 61.04 for pair in FIGURES["oracle"]}
    assert search_text.holds(search, accuracies, order) is True
    level = random_search.Statement(rule="oracle", kind="level", rows=("VREx",), points=1.0)
    apart = random_search.Statement(rule="oracle", kind="no_order", rows=("VREx", "ERM"), points=1.0)
    assert search_text.holds(search, accuracies, level) is True  # 61.0 and 60.0, as they are printed
    assert search_text.holds(search, accuracies, apart) is False
    text = search_text.text(search, accuracies, "markdown")
    assert "| VREx" in text and "61.0 / 50.0" in text and "oracle (selects by the labels of the target)" in text
    assert "VREx above ERM: holds" in text and "Published by someone" in text


def test_what_a_search_lacks(search, tmp_path):
    with pytest.raises(TlbenchError, match="The search has 2 trials"):
        random_search.run_search(search, results=tmp_path, trials=3)
    with pytest.raises(TlbenchError, match="'IRM' of the table"):
        random_search.run_search(search, results=tmp_path, rows=["IRM"])
    with pytest.raises(TlbenchError, match="'a:b' of the table"):
        random_search.run_search(search, results=tmp_path, pairs=["a:b"])
    refused = tlbench("reproduce", "mnist_usps_subset", "--trials", "2", cwd=tmp_path)
    assert refused.returncode == 2 and "is a table without trials" in refused.stderr
