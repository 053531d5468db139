"""`tlbench.list_methods` and `tlbench.list_suites`: small DataFrames by name."""

from __future__ import annotations

from plugin_files import PLAIN_LOSS, READS_BOTH, plugged

import tlbench
from tlbench import methods
from tlbench.suite import shipped_suites


def test_methods_are_listed_with_family_kind_and_reads():
    frame = tlbench.list_methods()
    assert frame.index.tolist() == methods.method_names() and frame.index.name == "name"
    assert list(frame.columns) == ["family", "kind", "reads", "tasks", "summary"]
    assert frame.loc["dann"].tolist()[:4] == ["adversarial", "deep", "source, target", "classification, regression"]
    assert frame.loc["kmm", "family"] == "reweighting" and frame.loc["kmm", "kind"] == "shallow"
    assert frame["summary"].str.len().min() > 5 and set(frame["kind"]) == {"deep", "shallow"}


def test_a_plugin_is_listed(tmp_path):
    with plugged(tmp_path, "of_a_test", "class OfATest(DeepMethod):\n" + READS_BOTH + PLAIN_LOSS):
        frame = tlbench.list_methods([tmp_path / "of_a_test.py"])
    assert frame.loc["of_a_test"].tolist()[:3] == ["plugin", "deep", "source, target"]


def test_suites_are_listed_with_their_sizes():
    frame = tlbench.list_suites()
    assert frame.index.tolist() == list(shipped_suites())
    quickstart = tlbench.load_suite("quickstart")
    assert frame.loc["quickstart", "pairs"] == len(quickstart.pairs)
    assert frame.loc["quickstart", "methods"] == len(quickstart.methods)
    assert (
        set(frame["task"]) == {"classification", "multi_task", "pixels", "regression", "spans", "tokens"}
        and (frame["version"] >= 1).all()
    )
