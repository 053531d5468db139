"""The entry point `tlbench.transferability`: names, lazy imports, invariances, degenerate arrays, errors of one sentence."""

from __future__ import annotations

import importlib.metadata
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from transferability_arrays import ARRAYS, CANDIDATE

import tlbench
from tlbench import transferability
from tlbench.errors import TlbenchError
from tlbench.transferability.inputs import NAMES

SCORES = transferability.score_names()
OF_LABELS = [name for name in SCORES if "target_labels" in transferability.score_class(name).reads]


def test_the_folder_is_the_registry():
    models = {"logme", "leep", "nleep", "nce", "h_score", "h_score_shrunk", "transrate", "gbc", "sfda", "knn", "linear_probe"}
    domains = {"a_distance", "mmd", "coral", "frechet", "otdd", "labeled_accuracy"}
    trivial = {"model_size", "source_size", "source_accuracy", "mean_on_others", "random"}
    assert set(transferability.score_names("models")) == models
    assert set(transferability.score_names("domains")) == domains
    assert set(transferability.score_names("trivial")) == trivial
    assert set(SCORES) == models | domains | trivial
    assert all(transferability.score_summary(name).endswith(".") for name in SCORES)
    assert all(set(transferability.score_class(name).reads) <= set(NAMES) for name in SCORES)
    page = Path(tlbench.__file__).parents[1] / "docs" / "transferability.md"
    assert all(f"| `{name}` |" in page.read_text(encoding="utf-8") for name in SCORES)


def test_a_score_of_probabilities_imports_neither_torch_nor_scikit_learn():
    code = (
        "import sys, tlbench, numpy; from tlbench import transferability;"
        "value = transferability.score('leep', source_probabilities=numpy.eye(3), target_labels=[0, 1, 2]);"
        "print(value == 0, 'torch' in sys.modules, 'sklearn' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.split() == ["True", "False", "False"]


@pytest.mark.parametrize("name", [name for name in SCORES if name not in {"nleep", "linear_probe", "labeled_accuracy"}])
def test_the_order_of_samples_does_not_matter(name):
    order, arrays = np.random.RandomState(5).permutation(120), dict(CANDIDATE)
    for key in ("target_features", "target_labels", "target_values", "source_probabilities"):
        arrays[key] = arrays[key][order]
    options = {"components": False} if name in {"a_distance", "mmd", "coral", "frechet"} else {}
    tolerance = {"rel": 1e-6} if name not in {"a_distance", "mmd", "coral", "frechet", "otdd"} else {"rel": 0.7, "abs": 0.3}
    value = transferability.score(name, options=options, **arrays)
    assert value == pytest.approx(transferability.score(name, options=options, **CANDIDATE), **tolerance)


@pytest.mark.parametrize("name", OF_LABELS)
def test_the_names_of_classes_do_not_matter(name):
    renamed = {key: 7 * (3 - CANDIDATE[key]) for key in ("target_labels", "source_labels")}
    expected = transferability.score(name, **CANDIDATE)
    assert transferability.score(name, **(CANDIDATE | renamed)) == pytest.approx(expected, abs=0.05, rel=1e-6)


@pytest.mark.parametrize("name", [name for name in OF_LABELS if name not in {"otdd"}])
def test_labels_that_follow_the_features_score_higher_than_permuted_ones(name):
    permuted = {"target_labels": np.random.RandomState(3).permutation(CANDIDATE["target_labels"])}
    assert transferability.score(name, **CANDIDATE) > transferability.score(name, **(CANDIDATE | permuted))


@pytest.mark.parametrize("name", SCORES)
def test_degenerate_arrays_give_a_finite_number_or_one_sentence(name):
    features, labels = ARRAYS["features"], ARRAYS["labels"]
    constant = {"target_features": np.ones_like(features), "source_features": np.ones((80, 10))}
    zero = {"target_features": np.zeros_like(features), "source_features": np.zeros((80, 10))}
    exact = {"target_features": np.eye(4)[labels], "source_features": np.eye(4)[labels[:80]]}
    one_sample = {key: array[:1] for key, array in CANDIDATE.items() if np.ndim(array)}
    one_each = {key: array[:4] for key, array in CANDIDATE.items() if np.ndim(array) and key != "other_accuracies"}
    certain = {"source_probabilities": np.eye(6)[labels]}
    huge = {"target_features": 1e100 * features, "source_features": 1e100 * features[:80]}
    repeated = {"target_features": np.repeat(features[:, :1], 10, axis=1)}
    one_class = {"target_labels": 0 * labels, "source_labels": 0 * labels[:80]}
    for change in (constant, zero, exact, one_sample, one_each, certain, huge, repeated, one_class):
        try:
            assert math.isfinite(transferability.score(name, **(CANDIDATE | change)))
        except TlbenchError as error:
            assert "\n" not in str(error) and str(error).endswith(".")


def test_what_the_references_divide_by_zero_has_a_number():
    labels = ARRAYS["labels"]
    never = np.concatenate([ARRAYS["probabilities"], np.zeros((120, 1))], axis=1)  # a source class without mass
    expected = transferability.score("leep", **CANDIDATE)
    assert transferability.score("leep", **(CANDIDATE | {"source_probabilities": never})) == pytest.approx(expected)
    exact = CANDIDATE | {"target_features": np.eye(4)[labels]}  # a perfect fit
    assert transferability.score("logme", **exact) > 1
    with pytest.raises(TlbenchError, match="Set guard above 0"):
        transferability.score("logme", options={"guard": 0.0, "tolerance": 1e-12}, **exact)
    gap = CANDIDATE | {"target_labels": np.where(labels == 3, 5, labels)}  # no sample of classes 3 and 4
    assert transferability.score("logme", **gap) == pytest.approx(transferability.score("logme", **CANDIDATE))


@pytest.mark.parametrize(
    ("name", "change", "error"),
    [
        ("logm", {}, "Unknown score 'logm'. Did you mean 'logme'?"),
        ("logme", {"target_feature": [[1.0]]}, "Unknown array 'target_feature'. Did you mean 'target_features'?"),
        ("logme", {"target_features": None}, "Score 'logme' reads target_features, which is not given."),
        ("logme", {"target_features": ARRAYS["features"][0]}, "target_features has 1 axes"),
        ("logme", {"target_features": ARRAYS["features"][:9]}, "The numbers of samples differ: target_features has 9"),
        ("logme", {"target_labels": 0 * ARRAYS["labels"]}, "The samples are of one class."),
        ("logme", {"target_labels": ARRAYS["labels"] + 0.5}, "target_labels holds numbers that are no integers"),
        ("logme", {"target_labels": ARRAYS["labels"] - 1}, "target_labels holds -1"),
        ("logme", {"target_features": ARRAYS["features"] * np.nan}, "target_features has 1200 values of 1200"),
        ("mmd", {"source_features": ARRAYS["wide"]}, "The numbers of features differ: source_features has 150"),
        ("leep", {"source_probabilities": ARRAYS["features"]}, "source_probabilities are not from 0 to 1"),
        ("leep", {"source_probabilities": np.ones((120, 1))}, "source_probabilities has one class"),
        ("labeled_accuracy", {"source_labels": 10 + ARRAYS["labels"][:80]}, "The source has none of the classes"),
        ("linear_probe", {"target_labels": np.arange(120)}, "A class has one sample"),
        ("nleep", {"target_labels": np.arange(120)}, "NLEEP fits 600 components to 120 samples that differ."),
    ],
)
def test_what_does_not_fit_is_one_sentence(name, change, error):
    with pytest.raises(TlbenchError) as caught:
        transferability.score(name, **(CANDIDATE | change))
    assert str(caught.value).startswith(error) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("logme", {"tolerance": 0.0}),
        ("logme", {"determinant": "half"}),
        ("knn", {"neighbors": 0}),
        ("knn", {"distance": "l1"}),
        ("gbc", {"covariance": "full"}),
        ("sfda", {"shrinkage": 2.0}),
        ("nleep", {"variance": 0.0}),
        ("linear_probe", {"folds": 1}),
        ("mmd", {"max_samples": 1}),
        ("transrate", {"distortion": "a"}),
    ],
)
def test_an_option_out_of_its_range_is_an_error(name, options):
    with pytest.raises(TlbenchError, match=r"^Option .* is .*\."):
        transferability.score(name, options=options, **CANDIDATE)


def test_a_third_party_score_is_an_entry_point(monkeypatch, tmp_path):
    (tmp_path / "own_transferability.py").write_text(
        "from dataclasses import dataclass\nfrom tlbench.transferability import TransferabilityScore\n\n"
        "@dataclass(frozen=True)\nclass Width(TransferabilityScore):\n    reads = ('target_features',)\n\n"
        "    def value(self, inputs):\n        return inputs.target_features.shape[1]\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    entry = importlib.metadata.EntryPoint("width", "own_transferability:Width", transferability.ENTRY_POINTS)
    from tlbench import plugins

    known = plugins.entry_points
    monkeypatch.setattr(
        plugins, "entry_points", lambda group: {"width": entry} if group == transferability.ENTRY_POINTS else known(group)
    )
    assert transferability.score("width", **CANDIDATE) == 10
    assert "width" in transferability.score_names()
