"""`tlbench.fit`: deep and shallow methods on arrays and tensors, and clear errors for what does not fit."""

from __future__ import annotations

import doctest

import numpy as np
import pytest
import torch
from torch import Tensor

import tlbench
from tlbench.api import arrays
from tlbench.errors import TlbenchError

TRAIN = {"steps": 60, "batch": 32, "lr": 0.01}
NAMES = np.array(["ant", "bee", "cat"])


def blobs(seed: int, count: int = 90, shift: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Separated classes: x (N, 5), class names (N,)."""
    y = np.arange(count) % 3
    return 3 * np.eye(3, 5)[y] + np.random.default_rng(seed).normal(0, 0.4, (count, 5)) + shift, NAMES[y]


SOURCE, TARGET = blobs(0), blobs(1, shift=0.5)
LABELED = blobs(2, 9, 0.5)


class Scaled(tlbench.DeepMethod):
    """A method of a notebook: it stands in no file of its own."""

    reads = frozenset({"source"})
    weight: float = tlbench.Field(1.0, description="of the loss")

    def loss(self, step: tlbench.Step) -> Tensor:
        return self.weight * self.supervised(step)


def test_the_example_of_the_docstring_runs():
    results = doctest.testmod(arrays)
    assert results.failed == 0 and results.attempted >= 7


@pytest.mark.parametrize("method", ["source_only", "coral", "dann", "nearest_neighbor", "subspace_alignment", "kmm", "tent"])
def test_deep_and_shallow_methods_predict_the_labels_of_users(method):
    net = {"backbone": "mlp", "hidden": [16], "batch_norm": True} if method == "tent" else None
    predictor = tlbench.fit(method, SOURCE, TARGET[0], net=net, train=TRAIN, device="cpu")
    predicted, scores = predictor.predict(TARGET[0]), predictor.decision_function(TARGET[0])
    assert predictor.classes is not None and predictor.classes.tolist() == NAMES.tolist()
    assert predicted.shape == (90,) and scores.shape == (90, 3) and np.isfinite(scores).all()
    assert (predicted == TARGET[1]).mean() > 0.9


def test_labelled_target_samples_are_passed_on():
    with_labels = tlbench.fit("target_only", None, target_labeled=LABELED, train=TRAIN, device="cpu")
    assert (with_labels.predict(TARGET[0]) == TARGET[1]).mean() > 0.8
    tuned = tlbench.fit("fine_tune", SOURCE, target_labeled=LABELED, train=TRAIN, device="cpu")
    assert (tuned.predict(TARGET[0]) == TARGET[1]).mean() > 0.9


def test_tensors_arrays_and_lists_give_the_same_predictor():
    codes = np.searchsorted(NAMES, SOURCE[1])
    forms = [
        (SOURCE[0], codes, TARGET[0]),
        (torch.tensor(SOURCE[0]), torch.tensor(codes), torch.tensor(TARGET[0])),
        (SOURCE[0].tolist(), codes.tolist(), TARGET[0].tolist()),
    ]
    scores = [
        tlbench.fit("coral", (x, y), target, train=TRAIN, device="cpu").decision_function(TARGET[0]) for x, y, target in forms
    ]
    assert np.array_equal(scores[0], scores[1]) and np.array_equal(scores[0], scores[2])


def test_the_seed_decides_the_predictor_and_options_change_it():
    def scores(**settings):
        return tlbench.fit("coral", SOURCE, TARGET[0], train=TRAIN, device="cpu", **settings).decision_function(TARGET[0])

    assert np.array_equal(scores(), scores(seed=0)) and not np.array_equal(scores(), scores(seed=1))
    assert not np.array_equal(scores(), scores(weight=50.0))


def test_several_sources_are_pooled_or_told_apart():
    predictor = tlbench.fit("coral_map", [SOURCE, blobs(5, shift=0.2)], TARGET[0], device="cpu")
    assert (predictor.predict(TARGET[0]) == TARGET[1]).mean() > 0.9
    assert any("2 sources" in note for note in predictor.notes)


@pytest.mark.parametrize("columns", [None, 2])
def test_regression_gives_values_in_the_units_of_the_labels(columns):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(120, 4))
    y = 10 * x[:, 0] + 50 if columns is None else np.stack([10 * x[:, 0] + 50, x[:, 1]], axis=1)
    predictor = tlbench.fit("ridge", (x, y), device="cpu")
    assert predictor.classes is None and predictor.predict(x).shape == y.shape
    assert np.abs(predictor.predict(x) - y).max() < 1.0
    deep = tlbench.fit("source_only", (x, y), train={**TRAIN, "steps": 300}, device="cpu")
    assert np.corrcoef(deep.predict(x).reshape(120, -1)[:, 0], y.reshape(120, -1)[:, 0])[0, 1] > 0.95


@pytest.mark.parametrize(
    ("shape", "backbone"), [((3, 32), "conv1d"), ((1, 12, 12), "convnet"), ((1, 28, 28), "lenet")], ids=["series", "12", "28"]
)
def test_series_and_images_get_a_backbone_of_their_own(shape, backbone):
    rng = np.random.default_rng(0)
    y = np.arange(40) % 2
    x = rng.integers(0, 100, (40, *shape), dtype=np.uint8) + 100 * y.reshape(-1, *[1] * len(shape)).astype(np.uint8)
    predictor = tlbench.fit("source_only", (x, y), train={"steps": 30, "batch": 16}, device="cpu")
    assert predictor.predict(x).dtype == y.dtype and predictor.decision_function(x).shape == (40, 2)
    assert backbone in type(predictor.method.net.backbone.stages[0]).__module__ or predictor.method.net.backbone.width > 0


def test_a_class_and_a_file_are_methods_too(tmp_path):
    plain = tlbench.fit("source_only", SOURCE, train=TRAIN, device="cpu").decision_function(TARGET[0])
    mine = tlbench.fit(Scaled, SOURCE, train=TRAIN, device="cpu").decision_function(TARGET[0])
    assert np.array_equal(plain, mine)
    doubled = tlbench.fit(Scaled, SOURCE, train=TRAIN, device="cpu", weight=2.0).decision_function(TARGET[0])
    assert not np.array_equal(plain, doubled)


@pytest.mark.parametrize(
    ("message", "call"),
    [
        (
            r"Method 'dann' reads target, which is not given. Pass target=x, or choose",
            lambda: tlbench.fit("dann", SOURCE),
        ),
        ("reads source and target, which are not given", lambda: tlbench.fit("dann", None)),
        ("reads target_labeled, which is not given. Pass target_labeled=", lambda: tlbench.fit("target_only", SOURCE)),
        ("Unknown method 'dan_n'. Did you mean", lambda: tlbench.fit("dan_n", SOURCE)),
        (
            "Unknown option 'wieght' of coral. Did you mean 'weight'",
            lambda: tlbench.fit("coral", SOURCE, TARGET[0], wieght=1.0),
        ),
        ("Unknown key 'stepz'. Did you mean 'steps'", lambda: tlbench.fit("source_only", SOURCE, train={"stepz": 3})),
        ("Unknown backbone 'mpl'. Did you mean 'mlp'", lambda: tlbench.fit("source_only", SOURCE, net={"backbone": "mpl"})),
        ("frozen backbone", lambda: tlbench.fit("source_only", SOURCE, net={"frozen": True})),
        ("source has 90 samples and labels of shape", lambda: tlbench.fit("source_only", (SOURCE[0], SOURCE[1][:-1]))),
        ("source is no pair of samples and labels", lambda: tlbench.fit("source_only", SOURCE[0])),
        ("Samples have different shapes: source .5,., target .4,", lambda: tlbench.fit("coral", SOURCE, TARGET[0][:, :4])),
        ("target holds values that are NaN", lambda: tlbench.fit("coral", SOURCE, TARGET[0] * np.nan)),
        ("target has the shape .90,.. Give samples", lambda: tlbench.fit("coral", SOURCE, TARGET[0][:, 0])),
        ("source can't be read as an array of numbers", lambda: tlbench.fit("source_only", (np.array([["a"]]), ["a"]))),
        ("All labels are .'ant'.. Give at least two", lambda: tlbench.fit("source_only", (SOURCE[0][::3], SOURCE[1][::3]))),
        ("not one-hot", lambda: tlbench.fit("source_only", (SOURCE[0], np.eye(3, dtype=int)[np.arange(90) % 3]))),
        (
            "does classification, and these labels are of regression",
            lambda: tlbench.fit("mcc", (TARGET[0], TARGET[0][:, 0]), TARGET[0]),
        ),
        ("labels that are no numbers, and the task is regression", lambda: tlbench.fit("ridge", SOURCE, task="regression")),
        ("is no method. Derive it from tlbench.DeepMethod", lambda: tlbench.fit(dict, SOURCE)),
        ("Unknown device 'gpu'", lambda: tlbench.fit("source_only", SOURCE, device="gpu")),
    ],
)
def test_errors_name_what_does_not_fit(message, call):
    with pytest.raises(TlbenchError, match=message):
        call()


def test_prediction_refuses_samples_of_another_shape():
    predictor = tlbench.fit("nearest_neighbor", SOURCE, device="cpu")
    with pytest.raises(TlbenchError, match=r"x has samples of shape .4,., but the method was fitted on .5,"):
        predictor.predict(TARGET[0][:, :4])
