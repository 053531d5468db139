"""Optimal transport methods: blocks, soft labels, notes and errors."""

from __future__ import annotations

import sys

import pytest
import torch
import torch.nn.functional as F
from tiny_suite import blobs
from transport_samples import gaussian_samples

from tlbench import methods
from tlbench.errors import TlbenchError
from tlbench.methods import shallow
from tlbench.methods.base import ShallowMethod
from tlbench.solvers import base_learners, optimal_transport
from tlbench.terms import Labelled, Task

ot = pytest.importorskip("ot", reason="POT is not installed (extra `ot`)")


METHODS = ("ot_exact", "ot_entropic", "ot_class", "ot_labels", "jdot")


def task(shift: float = 0.5, count: int = 60) -> Task:
    return Task(3, blobs(1, count), blobs(2, count, shift).x)


def fitted(name: str, given: Task, **options: object) -> tuple[ShallowMethod, torch.Tensor]:
    torch.manual_seed(0)
    method = methods.method_class(name)(**methods.method_options(name, options))
    assert isinstance(method, ShallowMethod)
    return method, method.fit(given)(blobs(9, 45, 0.5).x)


def test_transport_in_blocks_is_noted_and_stays_near():
    given = task(count=300)
    method, scores = fitted("ot_exact", given, block=150)
    assert "300 and 300 samples are transported in blocks of at most 150." in method.notes
    y = blobs(9, 45).y
    accuracies = [float((s.argmax(1) == y).double().mean()) for s in (scores, fitted("ot_exact", given)[1])]
    assert accuracies[0] >= accuracies[1] - 0.1


def test_soft_labels_are_weights():
    x, shares = gaussian_samples(1, 30), torch.softmax(gaussian_samples(2, 30), dim=1)
    method = methods.method_class("ot_labels")(**methods.method_options("ot_labels", {"learner": "logistic"}))
    hard = shallow.fit_soft_labels(method, x, F.one_hot(shares.argmax(1), 3).double(), regression=False)
    assert torch.allclose(hard(x), base_learners.fit_learner("logistic", x, shares.argmax(1), 3)(x), atol=1e-6)
    assert not torch.allclose(shallow.fit_soft_labels(method, x, shares, regression=False)(x), hard(x), atol=1e-2)


@pytest.mark.parametrize("name", METHODS)
def test_bad_input_gives_numbers(name):
    given = task()
    identical = Task(3, Labelled(torch.zeros(9, 4), torch.arange(9) % 3), torch.zeros(7, 4))
    method = methods.method_class(name)(**methods.method_options(name, {}))
    assert not bool(torch.isnan(method.fit(identical)(torch.zeros(5, 4))).any())
    one = methods.method_class(name)(**methods.method_options(name, {}))
    assert not bool(torch.isnan(one.fit(Task(3, given.source, given.target[:1]))(given.target)).any())
    mask = given.source.y != 2
    lacking = methods.method_class(name)(**methods.method_options(name, {}))
    scores = lacking.fit(Task(3, given.source[mask], given.target))(given.target)
    assert not bool(torch.isnan(scores).any()) and "The source has no samples of class 2." in lacking.notes


def test_an_unconverged_plan_is_noted(monkeypatch):
    monkeypatch.setattr(optimal_transport, "MAX_NEWTON_STEPS", 0)
    method, _ = fitted("ot_entropic", task(), iterations=1, entropy=0.01)
    assert any("marginals of the plan are not met" in note for note in method.notes)


def test_without_pot_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "ot", None)
    with pytest.raises(TlbenchError, match=r"tlbench\[ot\]"):
        fitted("ot_exact", task())
