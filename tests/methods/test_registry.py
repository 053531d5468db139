"""The registry of methods: names, plugin files, options, and what a suite does not grant."""

from __future__ import annotations

from importlib.metadata import EntryPoint

import pytest
from plugin_files import PLAIN_LOSS, plugged
from tiny_suite import CPU

from tlbench import checks, clock, engine, methods, plugins
from tlbench.errors import NotApplicableError, TlbenchError
from tlbench.methods import base
from tlbench.terms import Case, Task

OLD_NAMES = [("Trained", "DeepMethod"), ("Solved", "ShallowMethod"), ("Turn", "AlternatingUpdate"), ("Rows", "Passes")]


def test_the_first_methods_are_registered():
    names = {
        *("source_only", "target_only", "joint", "linear_probe", "fine_tune", "discriminator_reweight"),
        *("coral", "dann", "multi_task", "nearest_neighbor", "logistic"),
    }
    assert names <= set(methods.method_names())


def test_a_plugin_may_not_take_the_name_of_a_shipped_method(tmp_path):
    with pytest.raises(TlbenchError, match="There is already a method 'dann'"), plugged(tmp_path, "dann", ""):
        pass
    with pytest.raises(TlbenchError, match="There is no such Python file"):
        methods.register_file(tmp_path / "nothing.py")
    file = tmp_path / "not-a-name.py"
    file.write_text("")
    with pytest.raises(TlbenchError, match="Python identifier"):
        methods.register_file(file)


def test_unknown_methods_and_options_are_guessed():
    with pytest.raises(TlbenchError, match="Did you mean 'source_only'"):
        methods.method_class("source_onyl")
    with pytest.raises(TlbenchError, match="Did you mean 'weight'"):
        methods.method_options("dann", {"wieght": 1.0})
    with pytest.raises(TlbenchError, match=r"weight.*greater than or equal to 0"):
        methods.method_options("dann", {"weight": -1.0})
    assert methods.method_options("dann", {"weight": 2}) == {"weight": 2.0, "hidden": 256, "gamma": 10.0}


def test_a_method_that_the_suite_does_not_grant_is_not_applicable():
    case = Case(suite="toy", suite_version=1, entry="r", method="target_only", sources=("a",), target="b", seed=0)
    task = Task(3, checks.toy_samples(1), checks.toy_samples(2).x)
    with pytest.raises(NotApplicableError, match="target_only reads target_labeled, which the suite does not grant"):
        engine.fit(case, checks.toy_suite(), task, clock.Clock(CPU), lambda use: 0, CPU)


@pytest.mark.parametrize(("old", "new"), OLD_NAMES)
def test_a_plugin_of_an_older_tlbench_is_told_the_new_name_of_a_class(tmp_path, old, new):
    header = f'"""old: a plugin."""\nfrom tlbench.methods.base import {old}\n'
    with plugged(tmp_path, "old", "", header) as name, pytest.raises(TlbenchError) as raised:
        methods.method_class(name)
    assert f"{old!r} is now called {new!r}. Write `from tlbench import {new}`." in str(raised.value)


def test_other_names_are_no_attributes_of_the_module():
    assert not hasattr(base, "no_such_name")
    with pytest.raises(ImportError, match="cannot import name"):
        exec("from tlbench.methods.base import no_such_name")


def test_a_plugin_of_an_older_tlbench_is_told_the_new_name_of_a_split(tmp_path):
    body = 'class Old(DeepMethod):\n    reads = frozenset({"few"})\n' + PLAIN_LOSS
    with plugged(tmp_path, "old", body) as name, pytest.raises(TlbenchError) as raised:
        checks.check_method(name)
    assert "Old.reads names 'few', which is now called 'target_labeled'. Rename it." in str(raised.value)


def test_a_file_that_is_no_valid_python_is_refused_before_anything_runs(tmp_path):
    file = tmp_path / "torn.py"
    file.write_text("class Torn(\n")
    with pytest.raises(TlbenchError, match="The file cannot be imported: SyntaxError"):
        methods.register_file(file)


def test_methods_of_an_installed_package_come_in_by_entry_points(monkeypatch):
    point = EntryPoint("theirs", "tlbench.methods.adversarial.dann:DANN", "tlbench.methods")
    broken = EntryPoint("broken", "no_such_package.method", "tlbench.methods")
    monkeypatch.setattr(plugins, "entry_points", lambda group: {"theirs": point, "broken": broken})
    assert methods.method_class("theirs") is methods.method_class("dann")
    assert methods.method_summary("theirs") == "(entry point tlbench.methods.adversarial.dann:DANN)"
    with pytest.raises(TlbenchError, match=r"entry point broken of tlbench\.methods: no_such_package.* cannot be imported"):
        methods.method_class("broken")


def test_a_version_counts_the_learner_that_the_options_name():
    """A change of a learner's fits must not run the entries again that take another learner."""
    for name in ("coral_map", "jda", "kmm"):
        kind = methods.method_class(name)
        versions = [kind.version_with(methods.method_options(name, {"learner": learner})) for learner in ("svm", "logistic")]
        assert versions == [kind.version, kind.version + 1]
    assert methods.method_class("dann").version_with({}) == methods.method_class("dann").version
