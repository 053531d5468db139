"""Declarations: checked tables, or all errors of a table at once."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from domain_tables import declaration_errors
from small_files import IRIS, NPZ

from tlbench import data
from tlbench.data.domain_keys import CommonKeys


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = "import sys, tlbench.data; print(*({'torch', 'sklearn', 'scipy', 'pandas'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == ""


def test_readers_shifts_and_preparations_are_listed_with_a_line_each() -> None:
    assert set(data.readers.names()) >= {"idx", "mat", "npz", "scikit_learn", "svmlight"}
    assert set(data.preparation.names()) >= {"row_sum", "zscore", "l2", "log1p", "resize", "grey", "scale", "to_uint8"}
    assert "rotation" in data.shifts.names()
    for listing in (data.readers, data.shifts, data.preparation):
        assert list(listing.summaries()) == listing.names()
        assert all(listing.summaries().values())


@pytest.mark.parametrize("name", data.readers.names())
def test_no_reader_takes_a_common_key(name: str) -> None:
    assert not set(data.readers.get(name).Options.model_fields) & set(CommonKeys.model_fields)


def test_a_declaration_is_checked_and_plain() -> None:
    table = NPZ | {"classes": [0, 1], "shifts": [{"kind": "part", "index": 0, "of": 2}], "test": {"x": "x_test"}}
    declaration, errors = data.declare("d", table, {"licence": "CC0", "prepare": ["l2"]})
    assert errors == [] and declaration is not None
    assert declaration.classes == ("0", "1") and declaration.licence == "CC0"
    assert declaration.shifts[0].options == {"index": 0, "of": 2, "seed": 0}
    options = {"path": ["d.npz"], "files": None, "x": "x_test", "y": ["y"], "group": None, "where": {}, "axes": None}
    assert declaration.test is not None and declaration.test.options == options
    assert data.Declaration.model_validate_json(declaration.model_dump_json()) == declaration


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"reader": "matt"}, "domains.d: Unknown reader 'matt'. Did you mean 'mat'?"),
        ({"reader": 3}, "domains.d: reader = 3 should be a valid string"),
        ({"pth": "a"}, "domains.d: Unknown key 'pth'. Did you mean 'path'?"),
        ({"shap": [1]}, "domains.d: Unknown key 'shap'. Did you mean 'shape'?"),
        ({"path": 3}, "domains.d: path = 3 should be a valid "),
        ({"samples": 0}, "domains.d: samples = 0 should be greater than 0"),
        ({"samples": True}, "domains.d: samples = True should be a valid integer"),
        ({"shape": [1, 0]}, "domains.d: shape[1] = 0 should be greater than 0"),
        ({"classes": ["a", "a"]}, "'a' is there twice"),
        ({"shifts": {"kind": "noise"}}, "domains.d: shifts = {'kind': 'noise'} should be a valid list"),
        ({"shifts": ["nois"]}, "domains.d.shifts[0]: Unknown kind 'nois'. Did you mean 'noise'?"),
        ({"shifts": [{"sigma": 1}]}, "domains.d.shifts[0]: An entry must be a name or a table with the key 'kind'"),
        ({"shifts": ["noise"]}, "domains.d.shifts[0] (noise): The key 'sigma' is missing"),
        ({"shifts": [{"kind": "noise", "sigma": -1}]}, "sigma = -1 should be greater than or equal to 0"),
        ({"shifts": [{"kind": "noise", "sigma": 1, "sed": 1}]}, "Unknown key 'sed'. Did you mean 'seed'?"),
        ({"shifts": [{"kind": "noise", "sigma": 1, "seed": "a"}]}, "seed = 'a' should be a valid integer"),
        ({"shifts": [{"kind": "part", "index": 2, "of": 2}]}, "index = 2 must be below of = 2"),
        ({"shifts": ["label_shift"]}, "Give either priors or alpha"),
        ({"shifts": [{"kind": "label_shift", "priors": [0.5, 0.4]}]}, "sum to 0.9"),
        ({"prepare": ["zscor"]}, "domains.d.prepare[0]: Unknown kind 'zscor'. Did you mean 'zscore'?"),
        ({"prepare": [{"kind": "zscore", "ddof": 2}]}, "ddof = 2 should be less than or equal to 1"),
        ({"test": 3}, "domains.d: test = 3 should be a valid dictionary"),
        ({"test": {"pth": "a"}}, "domains.d.test: Unknown key 'pth'. Did you mean 'path'?"),
        ({"test": {"shifts": []}}, "domains.d.test: The key 'shifts' holds for main and test samples alike"),
        ({"test": {"reader": "mt"}}, "domains.d.test: Unknown reader 'mt'. Did you mean 'mat'?"),
        ({"test": {"reader": "idx"}}, "domains.d.test: The key 'images' is missing"),
    ],
)
def test_each_error_names_the_key_the_rule_and_the_way_out(change: dict[str, Any], message: str) -> None:
    declaration, errors = data.declare("d", NPZ | change, {})
    assert declaration is None
    assert any(message in sentence for sentence in errors), errors


def test_missing_keys_are_named_with_their_meaning() -> None:
    assert declaration_errors({"path": "d.npz"})[0].startswith("domains.d: The key 'reader' is missing. Available readers: ")
    (error,) = declaration_errors({"reader": "npz", "path": "a", "x": "x"})
    assert error.startswith("domains.d: Labels come from one place. Give y = an array")


def test_all_errors_are_reported_at_once_and_each_once() -> None:
    errors = declaration_errors(NPZ | {"path": 1, "samples": 0, "shifts": ["a"], "prepare": ["b"], "test": {"y": 2}})
    assert len(errors) == 5


def test_tables_override_defaults_whose_errors_are_one_sentence_for_all_domains() -> None:
    defaults = {"reader": "mat", "x": "fts", "y": "labels", "colums": True}
    first, second = (data.declare(name, {"path": "a.mat"}, defaults)[1] for name in ("a", "b"))
    assert first == second == ["data: Unknown key 'colums'. Did you mean 'columns'?"]
    declaration, errors = data.declare("c", IRIS, {"reader": "mat", "x": "fts", "prepare": ["l2"]})
    assert errors == [] and declaration is not None
    assert declaration.main.options == {"name": "iris"} and declaration.prepare[0].kind == "l2"
