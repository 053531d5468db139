"""Transport plans are those of POT; maps and labels keep their properties; large domains go in blocks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from transport_samples import exact, gaussian_samples

from tlbench import methods
from tlbench.errors import TlbenchError
from tlbench.solvers import optimal_transport

ot = pytest.importorskip("ot", reason="POT is not installed (extra `ot`)")


def test_the_exact_map_is_that_of_pot():
    x, y = gaussian_samples(1, 40), gaussian_samples(2, 30, 1.0)
    peer = ot.da.EMDTransport().fit(Xs=x.numpy(), Xt=y.numpy()).transform(Xs=x.numpy())
    assert np.allclose(optimal_transport.transport_samples(x, y, exact, 100, "none"), peer, atol=1e-12)


def test_the_entropic_plan_is_that_of_pot_and_costs_more_than_the_exact_one():
    cost = optimal_transport.cost_matrix(gaussian_samples(1, 40), gaussian_samples(2, 30, 1.0), "median")
    marginals = [np.full(n, 1 / n) for n in cost.shape]
    plan, converged = optimal_transport.sinkhorn_plan(cost, 0.1, 5000, 1e-12)
    peer = ot.sinkhorn(*marginals, cost.numpy(), 0.1, numItermax=5000, stopThr=1e-12)
    assert converged and np.allclose(plan, peer, atol=1e-10)
    assert float((plan * cost).sum()) >= float((optimal_transport.exact_plan(cost) * cost).sum())
    assert torch.allclose(plan.sum(1), torch.full((40,), 1 / 40).double())


def test_the_class_sparse_plan_is_that_of_pot():
    x, y, labels = gaussian_samples(1, 40), gaussian_samples(2, 30, 1.0), torch.arange(40) % 3
    cost = optimal_transport.cost_matrix(x, y, "median")
    plan, moved, met = optimal_transport.group_lasso_plan(cost, F.one_hot(labels, 3), 0.2, 0.1)
    assert moved <= optimal_transport.PLAN_TOLERANCE and met
    marginals = [np.full(n, 1 / n) for n in cost.shape]
    peer = ot.da.sinkhorn_lpl1_mm(
        marginals[0], labels.numpy(), marginals[1], cost.numpy(), 0.2, 0.1, numItermax=400, numInnerItermax=200
    )
    assert np.allclose(plan, peer, atol=1e-6)


def test_propagated_labels_are_those_of_pot():
    x, y, labels = gaussian_samples(1, 40), gaussian_samples(2, 30, 1.0), torch.arange(40) % 3
    peer = ot.da.EMDTransport(max_iter=10**6).fit(Xs=x.numpy(), Xt=y.numpy()).transform_labels(ys=labels.numpy())
    ours = optimal_transport.propagate_labels(x, F.one_hot(labels, 3), y, exact, 100, "none")
    assert np.allclose(ours, peer, atol=1e-10)
    # class shares come out as the source's
    assert torch.allclose(ours.mean(dim=0), F.one_hot(labels, 3).double().mean(dim=0))


def test_the_same_samples_stay_and_a_large_entropy_moves_all_to_the_mean():
    x = gaussian_samples(1, 40)
    order = torch.randperm(40, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(optimal_transport.transport_samples(x, x[order], exact, 100, "none"), x)
    blurred = optimal_transport.transport_samples(
        x, gaussian_samples(2, 30, 1.0), lambda cost, *_: optimal_transport.sinkhorn_plan(cost, 1e4)[0], 100, "median"
    )
    assert torch.allclose(blurred, gaussian_samples(2, 30, 1.0).mean(0).expand(40, 3), atol=1e-3)


def test_blocks_cover_every_sample_once_and_do_not_depend_on_their_order():
    x, y = gaussian_samples(1, 100), gaussian_samples(2, 30)
    torch.manual_seed(0)
    groups = optimal_transport.blocks(x, y, 30)
    assert sorted(torch.cat([s for s, _ in groups]).tolist()) == list(range(100)) and len(groups) == 4
    assert all(sorted(t.tolist()) == list(range(30)) for _, t in groups)
    order = torch.randperm(100)
    torch.manual_seed(0)
    permuted = optimal_transport.blocks(x[order], y, 30)
    assert all(torch.equal(x[a], x[order][b]) for (a, _), (b, _) in zip(groups, permuted, strict=True))


def test_distances_that_overflow_are_an_error():
    with pytest.raises(TlbenchError, match="distances between these samples overflow"):
        optimal_transport.cost_matrix(1e200 * gaussian_samples(1, 4), gaussian_samples(2, 3), "none")


@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e4])
@pytest.mark.parametrize("columns", [2, 30])
def test_the_entropic_plan_at_its_defaults_meets_its_optimality_conditions(scale, columns):
    """Marginals, and cost + weight log G a sum of a function of i and one of j."""
    draw = torch.Generator().manual_seed(0)
    x, y = (scale * (torch.randn(n, columns, generator=draw).double() + shift) for n, shift in ((60, 0.0), (45, 1.0)))
    x[:, 0] *= 1e-4
    y[:, 0] *= 1e-4
    options = methods.method_options("ot_entropic", {})
    cost = optimal_transport.cost_matrix(x, y, "median")
    plan, converged = optimal_transport.sinkhorn_plan(cost, options["entropy"], options["iterations"])
    assert converged
    assert float((plan.sum(dim=0) - 1 / 45).abs().max()) < 1e-8 and float((plan.sum(dim=1) - 1 / 60).abs().max()) < 1e-12
    potential = cost + options["entropy"] * plan.clamp_min(1e-300).log()
    mixed = potential - potential.mean(dim=0) - potential.mean(dim=1, keepdim=True) + potential.mean()
    assert float(mixed[plan > 1e-200].abs().max()) < 1e-9


def test_newton_steps_end_an_entropic_plan_where_sinkhorn_creeps():
    """Two groups far apart, of which the target has other shares: 100,000 iterations of Sinkhorn get there as well."""
    x, y = gaussian_samples(1, 40), gaussian_samples(2, 30)
    x[:20, 0] += 8
    y[:12, 0] += 8
    cost = optimal_transport.cost_matrix(x, y, "median")
    plan, converged = optimal_transport.sinkhorn_plan(cost, 0.2, iterations=20)
    marginals = [np.full(n, 1 / n) for n in cost.shape]
    peer = ot.sinkhorn(*marginals, cost.numpy(), 0.2, method="sinkhorn_log", numItermax=100_000, stopThr=1e-12)
    assert converged and np.allclose(plan, peer, atol=1e-8)
    assert float((plan.sum(dim=1) - 1 / 40).abs().max()) < 1e-12
