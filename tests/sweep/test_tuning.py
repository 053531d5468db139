"""[tuning]: the same trials for every method entry and the baseline, and a configuration for each rule."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from command_line import tlbench
from tiny_suite import CPU, SUITE, blobs, domain, suite

from tlbench import engine, records, reports, session
from tlbench.errors import TlbenchError
from tlbench.records.candidates import label_free_facts
from tlbench.records.rule_numbers import rule_number
from tlbench.suite.pairs import pair_label, validation_pairs
from tlbench.suite.tuning import Tuning
from tlbench.sweep import tune_by_rule, tuning_suites

TABLES = {"selection": {"checkpoints": 1}, "tuning": {"trials": 3, "lr": [1e-4, 1e-1]}}
ENTRIES = {"source_only": {}, "dann": {}, "logistic": {"c": 2.0}, "nearest_neighbor": {}}


def test_every_entry_has_the_same_trials_and_the_first_is_its_own_configuration():
    first, second, third = tuning_suites(suite(methods=ENTRIES, **TABLES))
    assert set(first.methods) == {f"{name}.trial-0" for name in ENTRIES}
    assert first.methods["logistic.trial-0"].options == {"c": 2.0} and first.train.lr == suite().train.lr
    assert {"source_only.trial-1", "dann.trial-1", "logistic.trial-1"} <= set(second.methods)
    rates = {second.train.lr, third.train.lr}
    assert len(rates) == 2 and all(1e-4 <= rate <= 1e-1 for rate in rates)
    assert second.methods["dann.trial-1"].options != third.methods["dann.trial-2"].options
    assert second.methods == tuning_suites(suite(methods=ENTRIES, **TABLES))[1].methods  # drawn from the key alone


def test_ranges_of_the_suite_and_what_is_wrong_with_them():
    tables = {**TABLES, "tuning": {"trials": 4, "ranges": {"dann": ["weight=0.5:2"]}}}
    drawn = [one.methods[f"dann.trial-{n}"].options for n, one in enumerate(tuning_suites(suite(methods=ENTRIES, **tables)))]
    assert drawn[0] == {} and all(set(one) == {"weight"} and 0.5 <= one["weight"] <= 2 for one in drawn[1:])
    with pytest.raises(TlbenchError, match="dan"):
        tuning_suites(suite(methods=ENTRIES, **{**TABLES, "tuning": {"ranges": {"dan": ["weight=1:2"]}}}))
    with pytest.raises(TlbenchError, match=r"has no table \[tuning\]"):
        tuning_suites(suite())
    with pytest.raises(TlbenchError, match="no range of learning rates"):
        suite(tuning={"lr": [0.1, 0.01]})
    plain, tuned = suite(selection={}), suite(selection={}, tuning={})
    assert plain.hash == tuned.hash  # no number of a case depends on it


@pytest.fixture(scope="module")
def tuned(tmp_path_factory):
    """The records of three trials of two methods and their baseline."""
    folder = tmp_path_factory.mktemp("tuned")
    domains = {"a": domain("a", blobs(0, 90)), "b": domain("b", blobs(1, 60, shift=1.0))}
    entries = {name: ENTRIES[name] for name in ("source_only", "dann")}
    for one in tuning_suites(suite(methods=entries, train={"steps": 12}, protocol={"seeds": [0, 1]}, **TABLES)):
        for case in one.cases():
            records.append(folder, engine.run_case(case, one, domains, CPU))
    return folder


def test_rules_choose_a_configuration_and_the_baseline_is_tuned_as_well(tuned):
    on_file = list(records.iterate_records(tuned, ()))
    chosen = reports.rule_selections(tuned, on_file)
    assert set(chosen["entry"]) == {"source_only", "dann"} and set(chosen["trials"]) == {3}
    accuracy = {(one.entry, one.seed): one.scores.target_accuracy for one in on_file}
    whole = chosen[~chosen["rule"].str.startswith("k_labels")]
    for line in whole.itertuples():
        entry = "source_only.trial-0" if line.configuration == "unadapted" else f"{line.entry}.{line.configuration}"
        assert line.accuracy == pytest.approx(accuracy[entry, line.seed])
    assert set(chosen.loc[chosen["rule"] == "last", "configuration"]) == {"trial-0"}
    assert "unadapted" not in set(chosen.loc[chosen["is_baseline"], "configuration"])
    seconds = sum(one.cost.train_seconds for one in on_file if one.entry.startswith("dann") and one.seed == 0)
    of_dann = chosen[(chosen["entry"] == "dann") & (chosen["seed"] == 0)]
    assert of_dann["trial_seconds"].unique() == pytest.approx([seconds])
    tables = reports.tables(reports.frame(on_file), "selection", selections=chosen)
    assert tables[0].cells.loc["dann", "im"] and tables[-1].title.endswith("configurations")
    assert tables[-1].cells.loc["source_only", "trials"] == "3"


def test_permuted_target_labels_choose_the_same_configurations(tuned, tmp_path):
    domains = {"a": domain("a", blobs(0, 90)), "b": domain("b", blobs(1, 60, shift=1.0))}
    samples = domains["b"].samples
    order = np.random.default_rng(0).permutation(len(samples.y))
    permuted = {**domains, "b": domain("b", type(samples)(samples.x, samples.y[order]))}
    entries = {name: ENTRIES[name] for name in ("source_only", "dann")}
    for one in tuning_suites(suite(methods=entries, train={"steps": 12}, protocol={"seeds": [0, 1]}, **TABLES)):
        for case in one.cases():
            records.append(tmp_path, engine.run_case(case, one, permuted, CPU))
    first, second = (
        reports.rule_selections(folder, records.iterate_records(folder, ())).set_index(["entry", "seed", "rule"])
        for folder in (tuned, tmp_path)
    )
    free = [rule for rule in first.index.unique("rule") if not rule.startswith("k_labels")]
    first, second = (one[one.index.get_level_values("rule").isin(free)]["configuration"] for one in (first, second))
    assert len(first) > 30 and first.equals(second)


def test_the_command_runs_all_trials_and_resumes(tmp_path):
    for name, seed in (("a", 1), ("b", 2)):
        samples = blobs(seed, 90)
        np.savez(tmp_path / f"{name}.npz", x=samples.x.numpy(), y=samples.y.numpy())
    text = SUITE + "[methods.dann]\n[selection]\ncheckpoints = 1\n[tuning]\ntrials = 2\nlr = [1e-3, 1e-2]\n"
    (tmp_path / "tiny.toml").write_text(text)
    first = tlbench("sweep", "tiny.toml", cwd=tmp_path)
    assert first.returncode == 0, first.stderr
    assert "configurations" in first.stdout and "3 cases run, 0 on file" in first.stderr
    again = tlbench("sweep", "tiny.toml", cwd=tmp_path)
    assert again.returncode == 0 and "0 cases run, 3 on file" in again.stderr and again.stdout == first.stdout
    wrong = tlbench("sweep", "tiny.toml", "--trials", "3", cwd=tmp_path)
    assert wrong.returncode == 2 and "--method" in wrong.stderr


OPTUNA = {"trials": 3, "lr": [1e-4, 1e-1], "sampler": "optuna", "rule": "im"}


def test_optuna_raises_the_number_of_one_rule_for_every_entry(tmp_path):
    """The first trial is the declared entry, the best has the highest mean number, and a second call runs nothing."""
    optuna = pytest.importorskip("optuna", reason="the extra `sweep` is not installed")
    for name, seed in (("a", 1), ("b", 2)):
        samples = blobs(seed, 90)
        np.savez(tmp_path / f"{name}.npz", x=samples.x.numpy(), y=samples.y.numpy())
    text = SUITE + "[methods.dann]\n[methods.nearest_neighbor]\n[selection]\ncheckpoints = 1\n[tuning]\ntrials = 3\n"
    (tmp_path / "tiny.toml").write_text(text + 'lr = [1e-3, 1e-1]\nsampler = "optuna"\nrule = "im"\n')
    first = tlbench("sweep", "tiny.toml", cwd=tmp_path)
    assert first.returncode == 0, first.stderr
    assert "configurations" in first.stdout and "source_only: trial" in first.stderr and "the highest im" in first.stderr
    results = tmp_path / "out" / "tuning_im"
    on_file = {record.entry: record for record in records.iterate_records(results, ())}
    entries = "source_only", "coral", "dann", "nearest_neighbor"
    trials = {f"{name}.trial-{number}" for name in entries for number in range(3)}
    assert set(on_file) == trials
    assert on_file["dann.trial-0"].options == on_file["dann.trial-0"].options | {"weight": 1.0}
    study = optuna.load_study(study_name="sweep", storage=f"sqlite:///{results}/.studies/tiny/source_only/study.db")
    rates = [trial.params.get("train.lr") for trial in study.trials]
    assert rates[0] is None and all(1e-3 <= rate <= 1e-1 for rate in rates[1:]) and rates[1] != rates[2]
    facts = {entry: label_free_facts(results, "tiny", record.scores.label_free_facts) for entry, record in on_file.items()}
    numbers = {entry: rule_number(facts[entry], "im", -1, 0) for entry in trials if entry.startswith("dann")}
    best = max(numbers, key=numbers.get).removeprefix("dann.trial-")
    assert f"dann: trial {best} of 3 has the highest im, {max(numbers.values()):.4g}" in first.stderr
    again = tlbench("sweep", "tiny.toml", cwd=tmp_path)
    assert again.returncode == 0 and again.stdout == first.stdout
    assert len(list(records.iterate_records(results, ()))) == len(on_file)


def test_what_is_wrong_with_the_rule_of_optuna():
    for table, words in (
        ({"sampler": "optuna"}, "State the rule"),
        ({"rule": "im"}, "Leave rule out"),
        ({"sampler": "grid"}, "random"),
    ):
        with pytest.raises(TlbenchError, match=words):
            suite(selection={}, tuning=table)
    for rule, words in (("k_labels", "k_labels"), ("imm", "Did you mean 'im'")):
        tables = {"selection": {"checkpoints": 1}, "tuning": OPTUNA | {"rule": rule}}
        with pytest.raises(TlbenchError, match=words):
            next(tune_by_rule(suite(methods=ENTRIES, **tables), Path("nowhere"), Path(), lambda plan, results: []))


def test_where_no_target_is_granted_trials_run_on_the_pairs_of_a_cross_validation():
    """Such a suite needs no facts of a target."""
    loaded = session.load_suite("rotated_mnist")
    loaded = dataclasses.replace(loaded, tuning=Tuning(trials=2), selection=None)
    trials = tuning_suites(loaded)
    assert len(trials[0].pairs) == 6 + 6 * 5 and trials[0].pairs[:6] == loaded.pairs
    (pair,) = (pair for pair in loaded.pairs if pair[1] == "angle_0")
    assert tuning_suites(loaded, [pair_label(pair)])[1].pairs == (pair, *validation_pairs(pair))
    with pytest.raises(TlbenchError, match="angle_9"):
        tuning_suites(loaded, ["angle_90:angle_0"])
