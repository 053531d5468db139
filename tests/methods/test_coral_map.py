"""coral_map: the source samples that its learner gets."""

from __future__ import annotations

import torch

from tlbench import methods
from tlbench.nn import distances
from tlbench.solvers import base_learners
from tlbench.terms import Labelled, Task


def two_batches() -> tuple[torch.Tensor, torch.Tensor]:
    source = torch.Generator().manual_seed(0)
    a = torch.randn(40, 6, generator=source, dtype=torch.float64)
    b = torch.randn(50, 6, generator=source, dtype=torch.float64) @ torch.randn(6, 6, generator=source).double()
    return a, b


def mapped_source(monkeypatch, source, target, ridge) -> torch.Tensor:
    """The source rows that coral_map gives its learner."""
    seen = []
    monkeypatch.setattr(base_learners, "fit_svm", lambda x, *rest, **options: seen.append(x))
    kind = methods.method_class("coral_map")
    kind(**methods.method_options("coral_map", {"ridge": ridge})).fit(Task(2, Labelled(source, torch.arange(40) % 2), target))
    return seen[0]


def test_coral_map_is_the_identity_where_covariances_are_equal(monkeypatch):
    a, _ = two_batches()
    assert torch.allclose(mapped_source(monkeypatch, a, a.flip(0) + 4, 1.0), a, atol=1e-9)


def test_coral_map_gives_the_source_the_covariance_of_the_target(monkeypatch):
    a, b = two_batches()
    mapped = mapped_source(monkeypatch, a, b, 1e-9)
    assert torch.allclose(distances.covariance(mapped), distances.covariance(b), rtol=1e-5, atol=1e-6)
    regularized = mapped_source(monkeypatch, a, b, 1.0)
    assert not torch.allclose(distances.covariance(regularized), distances.covariance(b), rtol=1e-2)
