"""Old keys of suites: each is refused once, with its new name."""

from __future__ import annotations

import pytest
from suite_tables import suite_errors

from tlbench.suite.renamed_keys import RENAMED

OLD_KEYS = {
    "trunk": ("net__trunk", "mlp", "net.trunk", "backbone"),
    "optimiser": ("train__optimiser", "sgd", "train.optimiser", "optimizer"),
    "together": ("train__together", "on", "train.together", "vmap_seeds"),
    "rows": ("data__rows", 100, "data.rows", "samples"),
    "rows of a domain": ("domains__a__rows", 100, "domains.a.rows", "samples"),
    "few_weight": ("methods__coral__few_weight", 1.0, "methods.coral.few_weight", "target_weight"),
    "trunk_lr": ("methods__coral__trunk_lr", 0.1, "methods.coral.trunk_lr", "backbone_lr"),
}


def test_every_renamed_key_is_tried():
    renamed = [(table, old, new) for table, names in RENAMED.items() for old, new in names.items()]
    tried = [(where.split(".")[0], where.split(".")[-1], new) for _, _, where, new in OLD_KEYS.values()]
    assert sorted(renamed) == sorted(tried)


@pytest.mark.parametrize("key", OLD_KEYS)
def test_a_renamed_key_is_refused_once_with_its_new_name(key):
    path, value, where, new = OLD_KEYS[key]
    errors = suite_errors(**{path: value}).splitlines()[1:]
    assert errors == [f"  {where}: This key is now called {new!r}. Rename it."]


def test_renamed_keys_hide_no_other_error():
    message = suite_errors(train__optimiser="sgd", train__step=3)
    assert "train.optimiser: This key is now called 'optimizer'" in message and "Did you mean 'steps'?" in message


def test_a_table_that_is_none_is_left_to_the_schema():
    assert suite_errors(train=3).splitlines()[1:] == ["  train = 3 should be a valid dictionary or instance of Training."]
    assert "methods.coral = 3 should be a valid dictionary" in suite_errors(methods__coral=3)
