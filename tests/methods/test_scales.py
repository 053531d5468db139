"""Solvers of shallow methods at their defaults on columns of scale 1e-4 to 1e4, against converged references."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from alignment_samples import mixed_samples
from scipy.special import log_softmax
from tiny_suite import blobs
from torch import Tensor

from tlbench import methods
from tlbench.methods.base import Predictor, ShallowMethod
from tlbench.solvers import optimal_transport, svm, transfer_components
from tlbench.solvers.kernels.design import kernel_design
from tlbench.terms import Labelled, Task

SCALES = {
    "1e-4": (1e-4, 1e-4, 1e-4, 1e-4),
    "1": (1.0, 1.0, 1.0, 1.0),
    "1e4": (1e4, 1e4, 1e4, 1e4),
    "mixed": (1e4, 10.0, 1e-1, 1e-4),
    "two": (1.0, 1.0, 1e-4, 1e-4),
}
"""The scale of each of four columns."""


def scaled_task(scale: str, count: int = 60) -> Task:
    """Three overlapping classes of `count` samples a domain; the target is shifted and turned."""
    draw = torch.Generator().manual_seed(0)
    source, target = blobs(1, count), blobs(2, count, 0.5).x
    noise = 1.5 * torch.randn(2, count, 4, generator=draw)
    unit = torch.tensor(SCALES[scale])
    return Task(3, Labelled((source.x + noise[0]) * unit, source.y), 0.7 * (target + noise[1]).roll(1, dims=1) * unit, None)


def fitted(name: str, task: Task) -> tuple[ShallowMethod, Predictor]:
    torch.manual_seed(0)
    method = methods.method_class(name)(**methods.method_options(name, {}))
    assert isinstance(method, ShallowMethod)
    return method, method.fit(task)


# --- generalised eigenproblems ----------------------------------------------------------------------------------------


def exact_components(design_NR: Tensor, contrast_NQ: Tensor, penalty: float, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The leading eigenvalues (K,) and coefficients (R, K) of (Z'HZ, penalty I + F F'), in 80 digits."""
    with mpmath.workdps(80):
        z, e = mpmath.matrix(design_NR.tolist()), mpmath.matrix(contrast_NQ.tolist())
        centring = mpmath.eye(z.rows) - mpmath.ones(z.rows) / z.rows
        lower = mpmath.cholesky(penalty * mpmath.eye(z.cols) + (z.T * e) * (z.T * e).T)
        inverse = mpmath.inverse(lower)
        inner = inverse * (z.T * centring * z) * inverse.T
        values, vectors = mpmath.eigsy((inner + inner.T) / 2)
        coefficients = inverse.T * vectors
        leading = range(z.cols - 1, z.cols - 1 - count, -1)
        return (
            np.array([float(values[k]) for k in leading]),
            np.array([[float(coefficients[row, k]) for k in leading] for row in range(z.cols)]),
        )


@pytest.mark.parametrize("iterated", [False, True], ids=["dense", "iterated"])
@pytest.mark.parametrize("kernel", ["primal", "linear", "rbf"])
@pytest.mark.parametrize("scale", SCALES)
def test_transfer_components_are_those_of_80_digits(scale, kernel, iterated, monkeypatch):
    """Each component to 1e-4 of itself that the rounding of the scatter leaves so exact, however small beside the first."""
    if iterated:
        monkeypatch.setattr(transfer_components, "DENSE_COLUMNS", 0)
    x = torch.cat([mixed_samples(1, 8, 4), mixed_samples(2, 6, 4) + 1]) * torch.tensor(SCALES[scale]).double()
    design = kernel_design(x, kernel)
    contrast = transfer_components.normalize_contrasts(transfer_components.mean_contrast(8, 6, x))
    count, notes = min(4, design.width), []
    values, coefficients = transfer_components.leading_components(
        transfer_components.Scatter(design), design.transpose_matmul(contrast), 1.0, count, note=notes.append
    )
    columns = design.columns(x)
    exact_values, exact = exact_components(columns, contrast, 1.0, count)
    rounding = np.finfo(float).eps * np.linalg.norm(columns.numpy() - columns.numpy().mean(axis=0), 2) ** 2
    assert not notes
    assert np.allclose(values.numpy(), exact_values, rtol=1e-6, atol=rounding)
    resolved = exact_values > 1e5 * rounding  # of mixed columns in the dual the mismatch hides all that is so large
    assert resolved[0] or (scale, kernel) == ("mixed", "linear")
    ours, theirs = (columns.numpy() @ one[:, resolved] for one in (coefficients.numpy(), exact))
    ours *= np.sign((ours * theirs).sum(axis=0))
    assert np.abs((ours - theirs) / np.abs(theirs).max(axis=0)).max(initial=0.0) < 1e-4


def test_small_components_beside_large_ones_are_those_of_the_dense_solver(monkeypatch):
    """315 columns of scale 1e-4 beside five of scale 1: eigenvalues of 1e-8 of the first, above the iteration's rounding."""
    unit = torch.where(torch.arange(320) < 5, 1.0, 1e-4).double()
    x = torch.randn(120, 320, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) * unit
    x[70:] += 0.3 * unit
    design, notes = kernel_design(x, "primal"), []
    mismatch = design.transpose_matmul(transfer_components.normalize_contrasts(transfer_components.mean_contrast(70, 50, x)))
    dense = transfer_components.leading_components(transfer_components.Scatter(design), mismatch, 1.0, 32)
    monkeypatch.setattr(transfer_components, "DENSE_COLUMNS", 0)
    iterated = transfer_components.leading_components(transfer_components.Scatter(design), mismatch, 1.0, 32, note=notes.append)
    assert dense[0][31] < 1e-6 * dense[0][0] and not notes
    assert torch.allclose(iterated[0], dense[0], rtol=1e-7)
    for theirs, ours in zip(*(design.matmul(one[1][:, :20]).T for one in (dense, iterated)), strict=True):
        assert torch.allclose(ours * torch.sign(ours @ theirs), theirs, atol=1e-4 * float(theirs.abs().max()))


@pytest.mark.parametrize("scale", [2.0**-13, 2.0**13], ids=["1e-4", "1e4"])
@pytest.mark.parametrize(("name", "options"), [("tca", {"kernel": "rbf"}), ("jda", {}), ("bda", {}), ("tjm", {})])
def test_components_do_not_depend_on_the_unit_of_the_columns(name, options, scale):
    """Where the kernel takes the median distance or samples of unit length, another unit changes nothing at all."""
    task = scaled_task("1")
    assert task.source is not None and task.target is not None
    other = Task(3, Labelled(scale * task.source.x, task.source.y), scale * task.target)
    scores = []
    for one, unit in ((task, 1.0), (other, scale)):
        torch.manual_seed(0)
        method = methods.method_class(name)(**methods.method_options(name, options))
        scores.append(method.fit(one)(unit * blobs(9, 45, 0.5).x).argmax(dim=1))
    assert torch.equal(*scores)


def test_components_below_rounding_are_noted():
    """Two columns at 1e4 hide two at 1e-4, whose squares are below the rounding of the others."""
    task = scaled_task("1")
    assert task.source is not None and task.target is not None
    unit = torch.tensor([1e4, 1e4, 1e-4, 1e-4])
    method = methods.method_class("tca")(**methods.method_options("tca", {"kernel": "primal", "scale": "scatter"}))
    method.fit(Task(3, Labelled(unit * task.source.x, task.source.y), unit * task.target))
    assert [note for note in method.notes if note.startswith("2 of 4 components have a scatter below rounding")], method.notes


# --- support vector machines ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("scale", "is_solved"), [("1e-4", True), ("1", True), ("1e4", False), ("mixed", False)])
def test_a_machine_at_the_default_cost_is_optimal_or_says_that_it_is_not(scale, is_solved):
    """The objective against the dual's of scikit-learn's machine at a tolerance of 1e-10, or a note of `dasvm`.

    With overlapping classes at 1e4 a cost of 1 leaves no slack, and libsvm takes more iterations than its limit.
    """
    from sklearn.svm import SVC

    task = scaled_task(scale, 30)
    assert task.source is not None
    x, sign = task.source.x.double(), torch.where(task.source.y == 1, 1.0, -1.0).double()
    cost = methods.method_options("dasvm", {})["c"]
    decision, converged = svm.fit_binary_svm(x, sign, cost)
    assert converged == is_solved
    method, _ = fitted("dasvm", task)
    assert any("SVMs stopped after 100000 iterations" in note for note in method.notes) == (not is_solved)
    if is_solved:
        reference = SVC(kernel="linear", C=cost, tol=1e-10).fit(x.numpy(), sign.numpy())
        normal = decision(torch.eye(4).double()) - decision(torch.zeros(1, 4).double())
        objective = float(normal @ normal / 2 + cost * (1 - sign * decision(x)).clamp_min(0).sum())
        dual = np.abs(reference.dual_coef_).sum() - np.square(reference.dual_coef_ @ reference.support_vectors_).sum() / 2
        assert abs(objective - dual) < 1e-5 * dual


# --- optimal transport ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", SCALES)
def test_the_class_sparse_plan_at_its_defaults_meets_its_optimality_conditions(scale):
    """Marginals, and cost + slope of the class term + weight log G a sum of a function of i and one of j."""
    pytest.importorskip("ot", reason="POT is not installed (extra `ot`)")
    task, options = scaled_task(scale, 24), methods.method_options("ot_class", {})
    assert task.source is not None and task.target is not None
    cost = optimal_transport.cost_matrix(task.source.x.double(), task.target.double()[:20], options["unit"])
    onehot = F.one_hot(task.source.y, 3)
    plan, moved, met = optimal_transport.group_lasso_plan(
        cost, onehot, options["entropy"], options["group"], outer=options["outer"], iterations=options["iterations"]
    )
    assert met and moved <= optimal_transport.PLAN_TOLERANCE
    assert float((plan.sum(dim=0) - 1 / 20).abs().max()) < 1e-8 and float((plan.sum(dim=1) - 1 / 24).abs().max()) < 1e-8
    slope = onehot.double() @ (0.5 * (onehot.double().T @ plan + 1e-3).rsqrt())
    potential = cost + options["group"] * slope + options["entropy"] * plan.clamp_min(1e-300).log()
    mixed = potential - potential.mean(dim=0) - potential.mean(dim=1, keepdim=True) + potential.mean()
    assert float(mixed[plan > 1e-200].abs().max()) < 1e-5


def test_a_class_sparse_plan_that_creeps_is_noted():
    """The fourth column alone decides who is near whom, and Sinkhorn's iteration meets the marginals slowly."""
    pytest.importorskip("ot", reason="POT is not installed (extra `ot`)")
    task, unit = scaled_task("1"), torch.tensor([1e-4, 1e-1, 10.0, 1e4])
    assert task.source is not None and task.target is not None
    method = methods.method_class("ot_class")(**methods.method_options("ot_class", {"outer": 3}))
    method.fit(Task(3, Labelled(unit * task.source.x, task.source.y), unit * task.target))
    assert "The marginals of the plan are not met to 1e-8 after 200 iterations." in method.notes


@pytest.mark.filterwarnings("ignore:Line search of Newton solver")  # at the limit of rounding, on some processors
@pytest.mark.parametrize("scale", SCALES)
def test_jdot_at_its_defaults_is_the_alternation_of_exact_solvers(scale):
    """POT's network simplex and scikit-learn's logistic regression at a tolerance of 1e-12, in turn."""
    ot = pytest.importorskip("ot", reason="POT is not installed (extra `ot`)")
    from sklearn.linear_model import LogisticRegression

    task, options = scaled_task(scale), methods.method_options("jdot", {})
    method, predictor = fitted("jdot", task)
    assert not method.notes and task.source is not None and task.target is not None
    source, target = task.source.x.double().numpy(), task.target.double().numpy()
    y, balance = task.source.y.numpy(), options["balance"]
    distance = ((source[:, None] - target[None]) ** 2).sum(axis=2)
    distance /= distance.mean()
    cost, previous = distance, np.inf
    for _ in range(options["rounds"] + 1):
        plan = ot.emd(np.full(60, 1 / 60), np.full(60, 1 / 60), cost)
        total = float((plan * cost).sum())
        if cost is not distance and abs(previous - total) <= 1e-5 * abs(total):
            break
        previous = total if cost is not distance else np.inf
        shares = np.eye(3)[y].T @ plan * 60
        label, sample = np.nonzero(shares > 1e-12)
        learner = LogisticRegression(C=options["c"], tol=1e-12, max_iter=1000, solver="newton-cholesky")
        learner.fit(target[sample], label, sample_weight=shares[label, sample])
        logs = np.maximum(log_softmax(learner.decision_function(target), axis=1), -30)
        cost = (1 - balance) * distance - balance * logs.T[y]
    expected = torch.from_numpy(learner.predict_proba(target))
    assert torch.allclose(predictor(task.target).softmax(dim=1), expected, atol=1e-4)
