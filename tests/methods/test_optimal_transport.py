"""Optimal transport methods: plans are those of POT, maps and labels follow the laws, large sets go in blocks."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from tiny_suite import blobs

from tlbench import methods
from tlbench.errors import TlbenchError
from tlbench.methods.base import ShallowMethod
from tlbench.solvers import base_learners, optimal_transport
from tlbench.terms import Labelled, Task

ot = pytest.importorskip("ot", reason="POT is not installed (extra `ot`)")
NEW = ("ot_exact", "ot_entropic", "ot_class", "ot_labels", "jdot")


def rows(seed: int, count: int, shift: float = 0.0) -> torch.Tensor:
    return torch.randn(count, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) + shift


def exact(cost: torch.Tensor, *_: torch.Tensor) -> torch.Tensor:
    return optimal_transport.exact_plan(cost)


def task(shift: float = 0.5, count: int = 60) -> Task:
    return Task(3, blobs(1, count), blobs(2, count, shift).x)


def fitted(name: str, given: Task, **options: object) -> tuple[ShallowMethod, torch.Tensor]:
    torch.manual_seed(0)
    method = methods.method_class(name)(**methods.method_options(name, options))
    assert isinstance(method, ShallowMethod)
    return method, method.fit(given)(blobs(9, 45, 0.5).x)


def test_the_exact_map_is_that_of_pot():
    x, y = rows(1, 40), rows(2, 30, 1.0)
    peer = ot.da.EMDTransport().fit(Xs=x.numpy(), Xt=y.numpy()).transform(Xs=x.numpy())
    assert np.allclose(optimal_transport.transport(x, y, exact, 100, "none"), peer, atol=1e-12)


def test_the_entropic_plan_is_that_of_pot_and_costs_more_than_the_exact_one():
    cost = optimal_transport.cost(rows(1, 40), rows(2, 30, 1.0), "median")
    margins = [np.full(n, 1 / n) for n in cost.shape]
    plan, converged = optimal_transport.sinkhorn_plan(cost, 0.1, 5000, 1e-12)
    peer = ot.sinkhorn(*margins, cost.numpy(), 0.1, numItermax=5000, stopThr=1e-12)
    assert converged and np.allclose(plan, peer, atol=1e-10)
    assert float((plan * cost).sum()) >= float((optimal_transport.exact_plan(cost) * cost).sum())
    assert torch.allclose(plan.sum(1), torch.full((40,), 1 / 40).double())


def test_the_class_sparse_plan_is_that_of_pot():
    x, y, labels = rows(1, 40), rows(2, 30, 1.0), torch.arange(40) % 3
    cost = optimal_transport.cost(x, y, "median")
    plan, _ = optimal_transport.group_lasso_plan(cost, F.one_hot(labels, 3), 0.2, 0.1, iterations=1000)
    margins = [np.full(n, 1 / n) for n in cost.shape]
    peer = ot.da.sinkhorn_lpl1_mm(
        margins[0], labels.numpy(), margins[1], cost.numpy(), 0.2, 0.1, numItermax=10, numInnerItermax=1000
    )
    assert np.allclose(plan, peer, atol=1e-8)


def test_carried_labels_are_those_of_pot():
    x, y, labels = rows(1, 40), rows(2, 30, 1.0), torch.arange(40) % 3
    peer = ot.da.EMDTransport(max_iter=10**6).fit(Xs=x.numpy(), Xt=y.numpy()).transform_labels(ys=labels.numpy())
    ours = optimal_transport.carry_labels(x, F.one_hot(labels, 3), y, exact, 100, "none")
    assert np.allclose(ours, peer, atol=1e-10)
    # class shares come out as the source's
    assert torch.allclose(ours.mean(dim=0), F.one_hot(labels, 3).double().mean(dim=0))


def test_the_same_rows_stay_and_a_large_entropy_moves_all_to_the_mean():
    x = rows(1, 40)
    order = torch.randperm(40, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(optimal_transport.transport(x, x[order], exact, 100, "none"), x)
    blurred = optimal_transport.transport(
        x, rows(2, 30, 1.0), lambda cost, *_: optimal_transport.sinkhorn_plan(cost, 1e4)[0], 100, "median"
    )
    assert torch.allclose(blurred, rows(2, 30, 1.0).mean(0).expand(40, 3), atol=1e-3)


def test_blocks_cover_every_row_once_and_do_not_follow_the_order_of_the_rows():
    x, y = rows(1, 100), rows(2, 30)
    torch.manual_seed(0)
    made = optimal_transport.blocks(x, y, 30)
    assert sorted(torch.cat([s for s, _ in made]).tolist()) == list(range(100)) and len(made) == 4
    assert all(sorted(t.tolist()) == list(range(30)) for _, t in made)
    order = torch.randperm(100)
    torch.manual_seed(0)
    turned = optimal_transport.blocks(x[order], y, 30)
    assert all(torch.equal(x[a], x[order][b]) for (a, _), (b, _) in zip(made, turned, strict=True))


def test_transport_in_blocks_is_said_and_stays_near():
    given = task(count=300)
    method, scores = fitted("ot_exact", given, block=150)
    assert "300 and 300 rows transported in blocks of at most 150" in method.notes
    y = blobs(9, 45).y
    right = [float((s.argmax(1) == y).double().mean()) for s in (scores, fitted("ot_exact", given)[1])]
    assert right[0] >= right[1] - 0.1


def test_soft_labels_are_weights():
    from tlbench.methods import shallow

    x, shares = rows(1, 30), torch.softmax(rows(2, 30), dim=1)
    hard = shallow.fit_soft("logistic", x, F.one_hot(shares.argmax(1), 3).double(), c=1.0, regression=False)
    assert torch.allclose(hard(x), base_learners.fit_learner("logistic", x, shares.argmax(1), 3)(x), atol=1e-6)
    assert not torch.allclose(shallow.fit_soft("logistic", x, shares, c=1.0, regression=False)(x), hard(x), atol=1e-2)


@pytest.mark.parametrize("name", NEW)
def test_bad_input_gives_numbers(name):
    given = task()
    alike = Task(3, Labelled(torch.zeros(9, 4), torch.arange(9) % 3), torch.zeros(7, 4))
    method = methods.method_class(name)(**methods.method_options(name, {}))
    assert not bool(torch.isnan(method.fit(alike)(torch.zeros(5, 4))).any())
    one = methods.method_class(name)(**methods.method_options(name, {}))
    assert not bool(torch.isnan(one.fit(Task(3, given.source, given.target[:1]))(given.target)).any())
    kept = given.source.y != 2
    lacking = methods.method_class(name)(**methods.method_options(name, {}))
    scores = lacking.fit(Task(3, given.source[kept], given.target))(given.target)
    assert not bool(torch.isnan(scores).any()) and "the source has no row of class 2" in lacking.notes


def test_distances_that_overflow_are_an_error():
    with pytest.raises(TlbenchError, match="distances between these rows overflow"):
        optimal_transport.cost(1e200 * rows(1, 4), rows(2, 3), "none")


def test_an_unconverged_plan_is_said():
    method, _ = fitted("ot_entropic", task(), iterations=1, entropy=0.01)
    assert any("margins are not met" in note for note in method.notes)


def test_without_pot_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "ot", None)
    with pytest.raises(TlbenchError, match=r"tlbench\[ot\]"):
        fitted("ot_exact", task())
