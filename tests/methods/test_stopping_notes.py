"""Every iterative method notes where the limit of its iterations comes before its stopping rule."""

from __future__ import annotations

import sys

import pytest
import torch
from tiny_suite import blobs
from wave_samples import new_method

from tlbench import methods
from tlbench.solvers import optimal_transport, svm
from tlbench.solvers.eigenvectors import leading_eigenpairs
from tlbench.terms import Labelled, Task

LIMITS = {
    "logistic": ({"iterations": 1}, "The logistic regression stopped after 1 iterations; the gradient norm"),
    "kmm": ({"steps": 1}, "The quadratic program of kernel mean matching stopped after 1 iterations; the gap"),
    "kliep": ({"steps": 1, "gamma": 0.2}, "KLIEP stopped after 1 iterations; the gap"),
    "discriminator_odds": ({"iterations": 1, "penalty": 1e-3}, "The logistic regression stopped after 1 iterations"),
    "mmd_map": ({"iterations": 1}, "The location-scale map stopped after 1 iterations; the gradient norm"),
    "jda": ({"rounds": 2, "learner": "logistic", "components": 1}, "The pseudo-labels stopped after 2 rounds"),
    "tjm": ({"rounds": 2}, "The reweighting stopped after 2 rounds; the objective fell by"),
    "ot_class": ({"outer": 2}, "The plan stopped after 2 majorisation steps"),
    "jdot": ({"rounds": 1}, "The plan and the predictor have not converged after 1 rounds."),
    "dasvm": ({"rounds": 1, "exchanged": 1}, "exchanges stopped after 1 rounds, with target samples left in the margin."),
}


def task() -> Task:
    """Overlapping classes, and a target that is shifted and turned."""
    draw = torch.Generator().manual_seed(0)
    source, target = blobs(1, 60), blobs(2, 60, 0.5).x
    noise = 1.5 * torch.randn(2, 60, source.x.shape[1], generator=draw)
    return Task(3, Labelled(source.x + noise[0], source.y), 0.7 * (target + noise[1]).roll(1, dims=1), None)


@pytest.mark.parametrize("name", LIMITS)
def test_the_record_notes_a_limit_that_comes_first(name):
    if name.startswith(("ot_", "jdot")):
        pytest.importorskip("ot", reason="POT is not installed (extra `ot`)")
    options, note = LIMITS[name]
    torch.manual_seed(0)
    method = methods.method_class(name)(**methods.method_options(name, options))
    method.fit(task())
    assert [text for text in method.notes if note in text], method.notes


@pytest.mark.parametrize(
    "name", [name for name in (*LIMITS, "ot_entropic") if name not in {"jda", "tjm"}]
)  # whose papers fix the rounds
def test_defaults_suffice(name):
    if name.startswith(("ot_", "jdot")):
        pytest.importorskip("ot", reason="POT is not installed (extra `ot`)")
    torch.manual_seed(0)
    method = methods.method_class(name)(**methods.method_options(name, {}))
    method.fit(task())
    assert not [text for text in method.notes if "stopped after" in text or "not met" in text or "converged" in text]


def test_a_plan_that_is_not_solved_is_noted(monkeypatch):
    pytest.importorskip("ot", reason="POT is not installed (extra `ot`)")
    monkeypatch.setattr(optimal_transport, "MAX_NEWTON_STEPS", 1)
    method = methods.method_class("ot_entropic")(**methods.method_options("ot_entropic", {"iterations": 1}))
    method.fit(task())
    assert "The marginals of the plan are not met to 1e-8 after 1 iterations." in method.notes


def test_assignments_of_lame_that_are_not_steady_are_noted(monkeypatch):
    """At its default limit a batch of unsure predictions and strong ties settles; after one step it has not."""
    method = new_method("lame")
    draw = torch.Generator().manual_seed(0)
    unary_BC, affinity_BB = torch.rand(12, 3, generator=draw), torch.rand(12, 12, generator=draw)
    method.solve(unary_BC, affinity_BB + affinity_BB.T)
    assert method.notes == ()
    monkeypatch.setattr(sys.modules["tlbench.methods.test_time.lame"], "STEPS", 1)
    method.solve(unary_BC, affinity_BB + affinity_BB.T)
    assert method.notes == ("lame stopped after 1 steps, before the energy of a batch was steady",)


def test_eigenvectors_note_their_residual():
    diagonal = torch.linspace(1, 1.001, 400).double()
    notes: list[str] = []
    leading_eigenpairs(lambda v: diagonal[:, None] * v, 400, 5, like=diagonal, rounds=2, note=notes.append)
    assert notes[0].startswith("The eigenvectors stopped after 2 iterations; the largest residual is")


@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e2])
def test_a_machine_of_dasvm_meets_its_optimality_conditions(scale):
    """The margin's violations and the multipliers, as scikit-learn's at a tolerance of 1e-10 have them."""
    from sklearn.svm import SVC

    source = task().source
    assert source is not None
    x, sign = scale * source.x.double(), torch.where(source.y == 1, 1.0, -1.0).double()
    x[:, 0] *= 1e-2
    decision, converged = svm.fit_binary_svm(x, sign, 1 / scale**2)
    reference = SVC(kernel="linear", C=1 / scale**2, tol=1e-10).fit(x.numpy(), sign.numpy())
    assert converged
    assert torch.allclose(decision(x), torch.from_numpy(reference.decision_function(x.numpy())), atol=1e-4)
