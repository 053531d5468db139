"""Balancers against TorchJD 0.18.0 and LibMTL (commit 4336804847eaa5e0b924b743d76beec7ac3fdc97), on the same numbers.

`references.npz` holds four random Jacobians (5, 100): plain, similar, of scales 0.1 to 30, and conflicting; what TorchJD makes
of them in double precision, after `torch.manual_seed(7)`; and 12 vectors of 5 losses with the gradients by the losses that
LibMTL gives, after `torch.manual_seed(5)`. `cagrad_tight` is the published program by CLARABEL with tolerances of 1e-15.
"""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch

from tlbench import balancers

REFERENCES = np.load(Path(__file__).with_name("references.npz"), allow_pickle=False)
JACOBIANS = torch.tensor(REFERENCES["jacobians"])
PRESENT = torch.ones(5, dtype=torch.bool)


def combined(name: str, jacobian: torch.Tensor) -> np.ndarray:
    balancer = balancers.make_balancer(name, len(jacobian))
    torch.manual_seed(7)
    gradient = balancer.combine(jacobian)
    assert not balancer.notes
    return gradient.numpy()


def relative_error(value: np.ndarray, reference: np.ndarray) -> float:
    return float(np.linalg.norm(value - reference) / np.linalg.norm(reference))


# TorchJD averages where LibMTL and the published code of Aligned-MTL sum, and it does not divide CAGrad by 1 + c^2
@pytest.mark.parametrize(
    ("name", "reference", "factor"),
    [
        ("pcgrad", "pcgrad", 1),
        ("gradvac", "gradvac", 1),
        ("imtl", "imtl", 1),
        ("aligned_mtl", "aligned_mtl", 1 / 5),
        ("upgrad", "upgrad", 1),
        ("cagrad", "cagrad_tight", 1.25),
    ],
)
def test_combined_gradients_are_those_of_the_reference(name, reference, factor):
    for jacobian, theirs in zip(JACOBIANS, REFERENCES[reference], strict=True):
        assert relative_error(factor * combined(name, jacobian), theirs) < 1e-6


def test_gradvac_remembers_similarities_as_the_reference_does():
    balancer = balancers.make_balancer("gradvac", 5)
    torch.manual_seed(7)
    for jacobian, theirs in zip(JACOBIANS, REFERENCES["gradvac_sequence"], strict=True):
        assert relative_error(balancer.combine(jacobian).numpy(), theirs) < 1e-6


def test_mgda_is_the_shortest_vector_over_all_supports():
    """TorchJD's Frank-Wolfe is within 3e-5 of it after 200,000 steps; the supports of five tasks can all be tried."""
    for jacobian, theirs in zip(JACOBIANS.numpy(), REFERENCES["mgda"], strict=True):
        gram, shortest = jacobian @ jacobian.T, None
        for size in range(1, 6):
            for support in map(list, itertools.combinations(range(5), size)):
                w = np.linalg.solve(gram[np.ix_(support, support)], np.ones(size))
                w /= w.sum()
                candidate = w @ jacobian[support]
                if w.min() >= 0 and (shortest is None or candidate @ candidate < shortest @ shortest):
                    shortest = candidate
        assert shortest is not None
        ours = combined("mgda", torch.tensor(jacobian))
        assert relative_error(ours, shortest) < 1e-6
        assert relative_error(ours, theirs) < 1e-4


def test_nash_mtl_meets_its_condition_and_is_near_the_reference():
    """TorchJD stops at a residual of 1e-3; the condition G a = 1 / a names the solution."""
    for jacobian, theirs in zip(JACOBIANS, REFERENCES["nash_mtl"], strict=True):
        balancer = balancers.make_balancer("nash_mtl", 5, {"max_norm": 0.0})
        gram = jacobian @ jacobian.T / (jacobian @ jacobian.T).norm()
        a = balancer.weights(jacobian @ jacobian.T, torch.ones(5), torch.arange(5))
        assert (a > 0).all()
        assert float((a * (gram @ a) - 1).abs().max()) < 1e-9
        assert relative_error(combined("nash_mtl", jacobian), theirs) < 2e-4


@pytest.mark.parametrize(
    ("name", "options"), [("uncertainty", {}), ("dwa", {"window": 3}), ("rlw", {}), ("famo", {}), ("stch", {"warm_up": 6})]
)
def test_weighted_losses_are_those_of_libmtl(name, options):
    """An epoch of LibMTL is three of the vectors; FAMO's losses after a step are the next vector."""
    balancer = balancers.make_balancer(name, 5, options).double()
    losses = torch.tensor(REFERENCES["losses"])
    torch.manual_seed(5)
    for step, theirs in enumerate(REFERENCES[name]):
        of_step = losses[step].clone().requires_grad_(True)
        balancer.loss(of_step, PRESENT).backward()
        np.testing.assert_allclose(of_step.grad.numpy(), theirs, rtol=1e-6)
        if balancer.reads_losses_after:
            with torch.no_grad():
                balancer.after(losses[(step + 1) % len(losses)], PRESENT)
