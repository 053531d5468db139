"""Sets of methods in suites: what a set holds, what a suite's grants leave of it, and entries of the suite's own."""

from __future__ import annotations

import pytest
from tiny_suite import SUITE

from tlbench import methods, session
from tlbench.errors import TlbenchError
from tlbench.methods import named_sets
from tlbench.methods.base import DeepMethod


def load(tmp_path, listed: str, protocol: str = ""):
    text = SUITE.partition("[methods.source_only]")[0].replace("seeds = [0]", f"seeds = [0]\n{protocol}")
    (tmp_path / "tiny.toml").write_text(listed + text if listed.startswith("methods") else text + listed)
    return session.load_suite(tmp_path / "tiny.toml")


def test_a_family_stands_for_the_methods_of_its_folder_that_the_grants_allow(tmp_path):
    suite = load(tmp_path, 'methods = ["source_only", "@adversarial"]\n')
    folder = {file.stem for file in methods.shipped_files().values() if file.parent.name == "adversarial"}
    assert next(iter(suite.methods)) == "source_only" and {"dann", "cdan", "mcd"} <= set(suite.methods) <= folder | {
        "source_only"
    }
    assert "mme" in folder and "mme" not in suite.methods  # it reads labelled target samples
    assert "mme" in load(tmp_path, 'methods = ["source_only", "@adversarial"]\n', "target_labels = 3").methods


def test_kinds_of_methods(tmp_path):
    granted = {"protocol": {"grants": ["source", "target", "stream"], "target_labels": 3}}
    of = {name: set(named_sets.members(name, granted)) for name in named_sets.KINDS}
    assert of["deep"] | of["closed_form"] == of["all"] and not of["deep"] & of["closed_form"]
    assert {"dann", "coral_map", "tent"} <= of["unsupervised"] and {"fine_tune", "mme"} <= of["few_labels"]
    assert not of["unsupervised"] & of["few_labels"] and "source_only" not in of["unsupervised"] | of["few_labels"]
    assert all(issubclass(methods.method_class(name), DeepMethod) for name in of["deep"])
    only_source = named_sets.members("all", {"protocol": {"grants": ["source"]}})
    assert {"source_only", "irm", "logistic"} <= set(only_source) and "dann" not in only_source
    assert set(named_sets.members("all", {"protocol": {"task": "regression"}})) < of["all"]
    assert "single_task" not in of["all"]  # which has a meaning for suites of several tasks alone
    assert "pada" in named_sets.members("partial", {"protocol": {"label_set": "partial"}})


def test_entries_of_the_suite_take_the_place_of_members(tmp_path):
    suite = load(tmp_path, '[methods."@adversarial"]\n[methods.source_only]\n[methods.dann]\nweight = 0.25\n')
    assert suite.methods["dann"].options == {"weight": 0.25} and suite.methods["cdan"].options == {}
    assert load(tmp_path, "[methods.source_only]\n[methods.dann]\nweight = 0.25\n").methods["dann"] == suite.methods["dann"]


@pytest.mark.parametrize(
    ("listed", "words"),
    [
        ('methods = ["@advers"]\n', "Did you mean 'adversarial'"),
        ('[methods."@adversarial"]\nweight = 1.0\n', "A set of methods has no options"),
        ('methods = ["@parameter_transfer"]\n', "None of the sets has a method"),
        ("methods = [1]\n", "methods"),
        ('methods = ["source_only", "dann", "dann"]\n', "'dann' stands there twice"),
    ],
)
def test_what_is_wrong_with_a_set(tmp_path, listed, words):
    with pytest.raises(TlbenchError, match=words):
        load(tmp_path, listed)


@pytest.mark.parametrize(
    ("protocol", "words"), [("grants = 5", "grants"), ("grants = [5]", "grants"), ("label_set = []", "label_set")]
)
def test_a_set_in_a_wrong_suite_ends_in_one_sentence(tmp_path, protocol, words):
    with pytest.raises(TlbenchError, match=words):
        load(tmp_path, 'methods = ["source_only", "@adversarial"]\n', protocol)
