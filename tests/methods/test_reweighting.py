"""Instance reweighting: weights against other packages and known answers, laws, bad input, and what it does on shifted data."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from sklearn.covariance import ledoit_wolf

from tlbench import checks, methods
from tlbench.data.readers import simulated
from tlbench.errors import TlbenchError
from tlbench.solvers import (
    base_learners,
    boosting,
    density_ratios,
    domain_classifier,
    kernel_mean_matching,
    kernels,
    label_shift,
    nystrom,
    svm,
)
from tlbench.terms import Labelled, Task

GOLDEN = np.load(Path(__file__).parents[1] / "golden" / "reweighting.npz")
"""Weights of other packages; golden/reweighting.py made them."""
RATIOS = (
    "kmm",
    "kliep",
    "ulsif",
    "rulsif",
    "density_ratio",
    "gaussian_ratio",
    "nearest_neighbor_weights",
    "discriminator_odds",
)
FAMILY = (*RATIOS, "mmd_target_shift", "bbse")


def theirs(name: str) -> torch.Tensor:
    return torch.tensor(GOLDEN[name])


def method(name: str, **options: Any) -> Any:
    torch.manual_seed(0)
    return methods.method_class(name)(**methods.method_options(name, options))


def weights(
    name: str, source: torch.Tensor, target: torch.Tensor, y: torch.Tensor | None = None, **options: Any
) -> torch.Tensor:
    """The weights of a method, as they come out of it."""
    labels = torch.arange(len(source)) % 2 if y is None else y
    classes = 1 if labels.is_floating_point() else int(labels.max()) + 1
    task = Task(classes, Labelled(source, labels), target, regression=labels.is_floating_point())
    return method(name, **options).weights(Labelled(source.double(), labels), target.double(), task)


def same_scale(w: torch.Tensor) -> torch.Tensor:
    return w / w.mean()


def pair(
    rows: int = 80, others: int = 60, columns: int = 3, shift: float = 0.6, seed: int = 0
) -> tuple[torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(seed)
    source = torch.randn(rows, columns, generator=draw, dtype=torch.float64)
    return source, 0.8 * torch.randn(others, columns, generator=draw, dtype=torch.float64) + shift


# --- against other packages -----------------------------------------------------------------------------------------


def test_kmm_is_that_of_adapt_and_skada():
    """adapt's interior point, and skada's SLSQP with an upper bound that bites: the same program, other solvers."""
    source, target = theirs("source"), theirs("target")
    options = {"gamma": float(GOLDEN["gamma"]), "tolerance": 1e-13, "steps": 50_000}
    assert torch.allclose(weights("kmm", source, target, **options), theirs("kmm"), atol=1e-5)
    bounded = weights("kmm", source, target, bound=2.0, **options)
    assert torch.allclose(bounded, theirs("kmm_bound_2"), atol=1e-5) and float(bounded.max()) == pytest.approx(2.0)


@pytest.mark.parametrize(("name", "alpha"), [("ulsif", 0.0), ("rulsif", 0.1)])
def test_least_squares_ratios_are_those_of_adapt(name, alpha):
    centres = theirs(f"{name}_centres")
    phi = [kernels.gram(rows, centres, float(GOLDEN["gamma"])) for rows in (theirs("source"), theirs("target"))]
    theta = density_ratios.ulsif(*density_ratios.moments(*phi, alpha), float(GOLDEN["ridge"]))
    assert torch.allclose(phi[0] @ theta, theirs(name).flatten(), atol=1e-12)


def test_kliep_is_more_likely_than_that_of_adapt_by_less_than_its_stopping_rule():
    """adapt's Frank-Wolfe has not converged: ours may only be better, and it is by less than 1e-4."""
    source, target, centres, gamma = theirs("source"), theirs("target"), theirs("kliep_centres"), float(GOLDEN["gamma"])
    columns, mean, kept = density_ratios.likelihood_columns(
        kernels.gram(target, centres, gamma), kernels.gram(source, centres, gamma)
    )
    beta, left = density_ratios.mixture(columns, tolerance=1e-8, steps=100_000)
    assert kept.all() and left <= 1e-8 and (columns.T @ (1 / (columns @ beta)) / len(target) <= 1 + 1e-8).all()
    ours = kernels.gram(source, centres, gamma) @ (beta / mean)
    assert float(ours.mean()) == pytest.approx(1.0, abs=1e-12)
    assert torch.allclose(ours, theirs("kliep").flatten(), atol=0.05)
    # their weights are on source rows only: their objective is read off the alpha that gives those weights
    alpha = torch.linalg.lstsq(kernels.gram(source, centres, gamma), theirs("kliep").reshape(-1, 1)).solution[:, 0]
    their_objective = (kernels.gram(target, centres, gamma) @ alpha).clamp_min(1e-300).log().mean()
    gain = float((columns @ beta).log().mean() - their_objective)
    assert -1e-8 < gain < 1e-4


def test_density_ratios_are_those_of_skada():
    source, target = theirs("source"), theirs("target")
    assert torch.allclose(same_scale(weights("density_ratio", source, target, bandwidth=1.0)), theirs("kde"), rtol=1e-12)
    gaussian = weights("gaussian_ratio", source, target, shrinkage=0.0)
    assert torch.allclose(same_scale(gaussian), same_scale(theirs("gaussian")), rtol=1e-10)


@pytest.mark.parametrize("k", [1, 5])
def test_nearest_neighbour_weights_are_those_of_adapt(k):
    ours = weights("nearest_neighbor_weights", theirs("source"), theirs("target"), neighbors=k, smoothing=False)
    assert torch.equal(ours, theirs(f"nearest_{k}").double())
    assert float(ours.sum()) == k * 45


def test_discriminator_odds_are_those_of_adapt():
    """Its logistic regression sees all rows, ours none that it scores: so ours is fitted on all rows here."""
    x = torch.cat([theirs("source"), theirs("target")])
    y = (torch.arange(len(x)) >= 60).long()
    slope, intercept = domain_classifier.fit_odds(x, y, torch.ones(len(x)).double(), 2.0, 50)
    assert torch.allclose((theirs("source") @ slope + intercept).exp(), theirs("odds"), rtol=1e-6)
    scores = base_learners.logistic(x, y, 2, penalty=2.0)(x)
    assert torch.allclose(scores[:, 1] - scores[:, 0], x @ slope + intercept, atol=1e-3)


def test_target_shift_weights_are_those_of_skada():
    """Its C weights against ours; its inverse of an N x N label kernel limits the agreement (to 2.7e-5 where it was tried)."""
    y = theirs("y_source")
    ours = weights("mmd_target_shift", theirs("source"), theirs("target"), y, gamma=float(GOLDEN["gamma"]))
    assert torch.allclose(torch.stack([ours[y == c][0] for c in (0, 1)]), theirs("mmd_target_shift").flatten(), rtol=1e-3)


def adapt_beta(error: float) -> float:
    """e / (2 - e) in place of the paper's e / (1 - e)."""
    return error / (2 - error)


def test_the_boosting_loop_is_that_of_adapt_but_for_its_beta():
    x, y = torch.cat([theirs("source"), theirs("few")]), torch.cat([theirs("y_source"), theirs("y_few")])
    boosted = boosting.two_domain_boosting(
        lambda w: base_learners.svm(x, y, 2, c=0.05, weight_N=w),
        lambda scorer: (scorer(x).argmax(1) != y).double(),
        torch.arange(len(y)) >= 60,
        rounds=8,
        beta=adapt_beta,
    )
    assert boosted.errors == pytest.approx(GOLDEN["boost_errors"].tolist(), abs=1e-10)
    assert torch.allclose(torch.stack(boosted.weights)[:, :60], theirs("boost_weights"), atol=1e-12)


def test_boosting_for_regression_is_that_of_adapt_but_for_its_beta():
    x, y = torch.cat([theirs("source"), theirs("few")]), torch.cat([theirs("y"), theirs("said")])[:, None]

    def wrong(scorer: base_learners.Scorer) -> torch.Tensor:
        error = (scorer(x) - y).abs().mean(dim=1)
        return error / error.max()

    boosted = boosting.two_domain_boosting(
        lambda w: base_learners.ridge(x, y, weight_N=w), wrong, torch.arange(len(y)) >= 60, 8, adapt_beta
    )
    assert boosted.errors == pytest.approx(GOLDEN["r2_errors"].tolist(), abs=1e-10)
    assert torch.allclose(torch.stack(boosted.weights)[:, :60], theirs("r2_weights"), atol=1e-12)
    # of eight rounds its last four have a say, the paper's last five
    said = torch.stack([scorer(theirs("target")) for scorer in boosted.scorers[4:]])
    voices = -torch.tensor(boosted.betas[4:]).double().log()
    assert torch.allclose(boosting.weighted_median(said, voices)[:, 0], theirs("r2_predicted").flatten(), atol=1e-10)


def test_dasvm_agrees_with_skada_on_nearly_all_rows():
    """skada takes in rows by another rule after its first round: the last machines are close, not equal."""
    sign = torch.tensor(np.where(GOLDEN["dasvm_y"] == 1, 1.0, -1.0))
    ended = svm.dasvm(theirs("dasvm_source"), sign, theirs("dasvm_target"), c=1.0, count=3, rounds=200)
    ours = (ended.machine(theirs("dasvm_target")) > 0).long()
    assert float((ours == theirs("dasvm")).double().mean()) >= 0.95 and 0 < ended.rounds < 200


# --- known answers --------------------------------------------------------------------------------------------------


def atoms() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Two atoms far apart: 60 and 40 source rows, 20 and 80 target rows; the true weights are 1/3 and 2."""
    place = torch.tensor([[0.0, 0.0], [40.0, 0.0]], dtype=torch.float64)
    source, target = place[[0] * 60 + [1] * 40], place[[0] * 20 + [1] * 80]
    return source, target, torch.tensor([1 / 3] * 60 + [2.0] * 40, dtype=torch.float64)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("kmm", {"gamma": 1.0, "tolerance": 1e-14}),
        ("kliep", {"gamma": 1.0, "tolerance": 1e-13}),
        ("ulsif", {"gamma": 1.0, "ridge": 0.0}),
        ("rulsif", {"gamma": 1.0, "ridge": 0.0, "alpha": 0.2}),
        ("rulsif", {"gamma": 1.0, "ridge": 0.0, "alpha": 0.0}),
        ("density_ratio", {"bandwidth": 1.0}),
        ("discriminator_odds", {"penalty": 1e-6, "effective": 0.0}),
    ],
    ids=str,
)
def test_two_atoms_have_their_true_weights(name, options):
    source, target, true = atoms()
    found = weights(name, source, target, **options)
    alpha = options.get("alpha", 0.0)
    scaled = name in {"density_ratio", "discriminator_odds"}
    # the odds of a row come from a fit without it, which counts other rows
    tolerance = 0.4 if name == "discriminator_odds" else 1e-6
    assert torch.allclose(same_scale(found) if scaled else found, true / (alpha * true + 1 - alpha), rtol=tolerance)


def test_two_atoms_and_their_neighbours():
    source, target, _ = atoms()
    found = weights("nearest_neighbor_weights", source, target, smoothing=False)
    assert [float(found[:60].sum()), float(found[60:].sum())] == [20.0, 80.0]


@pytest.mark.parametrize("shares", [(0.25, 0.75), (0.5, 0.5)])
def test_one_atom_a_class_gives_the_ratio_of_class_shares(shares):
    y = torch.tensor([0] * 10 + [1] * 10)
    place = torch.tensor([[0.0], [30.0]], dtype=torch.float64)
    counts = [round(20 * s) for s in shares]
    target = place[[0] * counts[0] + [1] * counts[1]]
    true = torch.tensor(shares).double()[y] / 0.5
    assert torch.allclose(weights("mmd_target_shift", place[y], target, y, gamma=1.0), true, atol=1e-8)
    assert torch.allclose(weights("bbse", place[y], target, y), true, atol=1e-8)


def test_class_weights_from_a_confusion_of_known_shares():
    generator = torch.Generator().manual_seed(0)
    given = torch.rand(4, 4, generator=generator).double() + 3 * torch.eye(4).double()
    given = given / given.sum(dim=0)
    prior, later = torch.tensor([0.1, 0.2, 0.3, 0.4]).double(), torch.tensor([0.4, 0.3, 0.2, 0.1]).double()
    joint, share = given * prior, given @ later
    found, lost = label_shift.class_weights(joint, share, 1e-6)
    assert lost == 0 and torch.allclose(found, later / prior, atol=1e-12)
    assert torch.allclose(label_shift.class_weights(joint, joint.sum(dim=1), 1e-6)[0], torch.ones(4).double())
    turn = torch.tensor([2, 0, 3, 1])
    assert torch.allclose(label_shift.class_weights(joint[turn][:, turn], share[turn], 1e-6)[0], found[turn])
    alike = torch.full((2, 2), 0.25).double()  # a classifier that says nothing
    found, lost = label_shift.class_weights(alike, torch.tensor([0.5, 0.5]).double(), 1e-2)
    assert lost == 1 and torch.allclose(found, torch.ones(2).double())


def test_leaving_pairs_out_in_closed_form_is_leaving_them_out():
    source, target = pair(30, 24)
    centres, ridges = target[:10], [0.01, 0.1, 1.0]
    phi = [kernels.gram(rows, centres, 0.3) for rows in (source, target)]
    pairs = torch.stack([torch.randperm(30)[:20], torch.randperm(24)[:20]])
    found = density_ratios.leave_one_out(phi[0], phi[1], ridges, pairs)
    for ridge, score in zip(ridges, found, strict=True):
        losses = []
        for i, j in pairs.T.tolist():
            left = [phi[0][torch.arange(30) != i], phi[1][torch.arange(24) != j]]
            theta = density_ratios.ulsif(*density_ratios.moments(left[0], left[1], 0.0), ridge)
            losses.append((phi[0][i] @ theta) ** 2 / 2 - phi[1][j] @ theta)
        assert score == pytest.approx(float(torch.stack(losses).mean()), abs=1e-12)


@pytest.mark.parametrize("bound", [1.2, 50.0])
def test_the_quadratic_program_is_solved(bound):
    """Against SLSQP, with a band that bites and weights of unequal cost."""
    source, target = pair(25, 20)
    apply, kappa = kernel_mean_matching.kernel_and_mean(source, target, 0.4, None)
    cost = torch.linspace(0.5, 2.0, 25).double()
    limits = {"upper": bound, "low": 5.0, "high": 12.0}
    ours, gap = kernel_mean_matching.minimize(apply, kappa, cost, tolerance=1e-12, steps=100_000, **limits)
    matrix = kernels.gram(source, source, 0.4).numpy()
    slsqp = minimize(
        lambda w: 0.5 * w @ matrix @ w - kappa.numpy() @ w,
        np.full(25, 0.3),
        jac=lambda w: matrix @ w - kappa.numpy(),
        bounds=[(0, bound)] * 25,
        constraints=[
            {"type": "ineq", "fun": lambda w: 12 - cost.numpy() @ w, "jac": lambda w: -cost.numpy()},
            {"type": "ineq", "fun": lambda w: cost.numpy() @ w - 5, "jac": lambda w: cost.numpy()},
        ],
        options={"ftol": 1e-15, "maxiter": 2000},
    )
    value = float(0.5 * ours @ apply(ours) - kappa @ ours)
    assert gap <= 1e-12 and value <= slsqp.fun + 1e-9 and value == pytest.approx(slsqp.fun, abs=1e-5)
    assert float(cost @ ours) <= 12 + 1e-9 and float(ours.min()) >= 0 and float(ours.max()) <= bound + 1e-12


def test_a_projection_is_the_nearest_point():
    draw = torch.Generator().manual_seed(3)
    for low, high in ((4.0, 5.0), (0.0, 1.0), (9.0, 9.0)):
        v, cost = 3 * torch.randn(12, generator=draw).double(), 0.5 + torch.rand(12, generator=draw).double()
        ours = kernel_mean_matching.project(v, cost, 1.5, low, high)
        assert low - 1e-9 <= float(cost @ ours) <= high + 1e-9 and float(ours.min()) >= 0 and float(ours.max()) <= 1.5
        # the nearest point of a convex set: no corner lies on the other side of it
        for slope in torch.randn(20, 12, generator=draw).double():
            corner = kernel_mean_matching.best_corner(slope, cost, 1.5, low, high)
            assert float((v - ours) @ (corner - ours)) <= 1e-8
            assert float(slope @ corner) <= float(slope @ ours) + 1e-9


def test_shrinkage_is_that_of_scikit_learn():
    source, _ = pair(40, 10, columns=6)
    cov, amount = ledoit_wolf(source.numpy())
    _, ours, shrinkage = density_ratios.shrunk_covariance(source, None)
    assert shrinkage == pytest.approx(amount) and np.allclose(ours.numpy(), cov)


# --- laws -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["kmm", "density_ratio", "gaussian_ratio", "nearest_neighbor_weights"])
def test_rows_count_alike_where_nothing_has_shifted(name):
    source, _ = pair()
    options = {"gamma": 20.0, "tolerance": 1e-13} if name == "kmm" else {}
    found = same_scale(weights(name, source, source.clone(), **options))
    assert torch.allclose(found, torch.ones(80).double(), atol=1e-5)


@pytest.mark.parametrize("name", FAMILY)
def test_weights_follow_their_rows(name):
    """Permuting the source permutes the weights, permuting the target changes none."""
    source, target = pair()
    y, turn = (source[:, 0] > 0).long(), torch.randperm(80, generator=torch.Generator().manual_seed(1))
    found = same_scale(weights(name, source, target, y))
    assert torch.allclose(same_scale(weights(name, source[turn], target, y[turn])), found[turn], rtol=1e-5, atol=1e-7)
    assert torch.allclose(same_scale(weights(name, source, target.flip(0), y)), found, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", [n for n in FAMILY if n != "bbse"])
def test_every_ratio_prefers_rows_where_the_target_is(name):
    """The true log ratio is known: the weights rise with it."""
    source, target = pair(300, 300, columns=1, shift=0.8)
    y = (source[:, 0] > 0.3).long()
    found = weights(name, source, target, y)
    true = torch.distributions.Normal(0.8, 0.8).log_prob(source[:, 0]) - torch.distributions.Normal(0, 1).log_prob(source[:, 0])
    ranks = [v.argsort().argsort().double() for v in (found, true)]
    least = 0.4 if name in {"nearest_neighbor_weights", "mmd_target_shift"} else 0.6
    assert float(torch.corrcoef(torch.stack(ranks))[0, 1]) > least


def test_a_larger_bound_never_raises_the_objective():
    source, target = pair()
    apply, kappa = kernel_mean_matching.kernel_and_mean(source, target, 0.4, None)
    values = []
    for bound in (1.5, 3.0, 10.0, 1000.0):
        w = weights("kmm", source, target, gamma=0.4, bound=bound, tolerance=1e-9, steps=20_000)
        values.append(float(0.5 * w @ apply(w) - kappa @ w))
    assert values == sorted(values, reverse=True) and values[0] > values[-1] + 1e-3


def test_relative_ratios_are_bounded_and_alpha_0_is_the_plain_one():
    source, target = pair()
    fixed = {"gamma": 0.4, "ridge": 0.01}
    assert torch.equal(weights("rulsif", source, target, alpha=0.0, **fixed), weights("ulsif", source, target, **fixed))
    assert float(weights("rulsif", source, target, alpha=0.5, **fixed).max()) < 1.5 / 0.5
    large = weights("ulsif", source, target, gamma=0.4, ridge=1e9)
    torch.manual_seed(0)
    centres = nystrom.random_landmarks(target, 100)
    phi = [kernels.gram(rows, centres, 0.4) for rows in (source, target)]
    assert torch.allclose(same_scale(large), same_scale(phi[0] @ phi[1].mean(dim=0)), rtol=1e-6)


def test_equal_covariances_make_the_gaussian_log_ratio_linear():
    source, _ = pair(200, 10)
    logs = weights("gaussian_ratio", source, source + torch.tensor([1.0, 0.0, -0.5]), shrinkage=0.0).log()
    design = torch.cat([source, torch.ones(200, 1).double()], dim=1)
    left = logs - design @ torch.linalg.lstsq(design, logs[:, None]).solution[:, 0]
    assert float(left.abs().max()) < 1e-10


def test_weights_are_tempered_until_enough_rows_hold_them():
    logs = torch.linspace(-40, 40, 200).double()
    power = domain_classifier.tempering(logs, 0.25)
    w = torch.softmax(power * logs, dim=0)
    assert 0 < power < 1 and float(1 / (200 * w.square().sum())) == pytest.approx(0.25, abs=1e-3)
    assert domain_classifier.tempering(0.01 * logs, 0.25) == 1.0


def test_landmarks_lose_little_where_both_forms_fit():
    """Width by the median rule, 400 source rows through 100 landmarks: weights, and the objective that they reach."""
    source, target = pair(400, 300)
    gamma = nystrom.median_gamma(source, target)
    apply, kappa = kernel_mean_matching.kernel_and_mean(source, target, gamma, None)
    values = []
    for exact in (5000, 1):
        w = weights("kmm", source, target, gamma=gamma, exact_rows=exact, landmarks=100)
        values.append(float(0.5 * w @ apply(w) - kappa @ w))
    assert values[1] == pytest.approx(values[0], rel=1e-3)


def test_a_large_kernel_in_float32_loses_nothing_that_counts(monkeypatch):
    source, target = pair(300, 200)
    values = []
    for most in (1000, 100):
        monkeypatch.setattr(kernel_mean_matching, "SINGLE", most)
        w = weights("kmm", source, target, gamma=0.4)
        apply, kappa = kernel_mean_matching.kernel_and_mean(source, target, 0.4, None)
        values.append(float(0.5 * w @ apply(w) - kappa @ w))
    assert values[1] == pytest.approx(values[0], rel=1e-5)


@pytest.mark.parametrize("name", ["kmm", "ulsif", "rulsif", "density_ratio", "gaussian_ratio"])
def test_single_and_double_precision_agree(name):
    """The methods work in float64; the same algebra in float32 gives weights within 2 per cent of the mean weight."""
    source, target = pair()
    fixed: dict[str, dict[str, Any]] = {
        "kmm": {"gamma": 0.4, "bound": 3.0},
        "ulsif": {"gamma": 0.4, "ridge": 0.1},
        "rulsif": {"gamma": 0.4, "ridge": 0.1},
        "density_ratio": {"bandwidth": 0.7},
        "gaussian_ratio": {"shrinkage": 0.1},
    }
    double = same_scale(weights(name, source, target, **fixed[name]))
    y = torch.arange(80) % 2
    task = Task(2, Labelled(source.float(), y), target.float())
    single = method(name, **fixed[name]).weights(Labelled(source.float(), y), target.float(), task)
    assert single.dtype == torch.float32
    assert float((same_scale(single) - double).abs().max()) < 0.02


# --- TrAdaBoost and DASVM -------------------------------------------------------------------------------------------


def test_boosting_takes_weight_from_wrong_source_rows_only():
    x, y = torch.cat([theirs("source"), theirs("few")]), torch.cat([theirs("y_source"), theirs("y_few")])
    is_target = torch.arange(len(y)) >= 60
    boosted = boosting.two_domain_boosting(
        lambda w: base_learners.svm(x, y, 2, weight_N=w), lambda s: (s(x).argmax(1) != y).double(), is_target, 6
    )
    factors = []
    for before, after, scorer, beta in zip(boosted.weights, boosted.weights[1:], boosted.scorers, boosted.betas, strict=False):
        wrong = scorer(x).argmax(1) != y
        ratio = after / before
        right = ratio[~wrong]
        assert torch.allclose(right, right[0].expand(len(right)))  # who is right keeps its weight, but for the sum
        assert (ratio[wrong & ~is_target] < right[0]).all() and (ratio[wrong & is_target] > right[0]).all()
        factors.append(beta)
    assert all(0 < beta < 1 for beta in factors)


def test_one_round_of_boosting_is_the_learner_on_pooled_rows():
    task = checks.toy_task()
    assert task.source is not None and task.target_labeled is not None
    x, y = torch.cat([task.source.x, task.target_labeled.x]), torch.cat([task.source.y, task.target_labeled.y])
    pooled = base_learners.svm(x, y, 3)(checks.toy_samples(4, 90).x).argmax(1)
    assert torch.equal(
        checks.outcome("tradaboost", task, {"rounds": 1}).argmax(1),
        base_learners.svm(x, y, 3)(checks.toy_samples(4, 90, shift=0.7).x).argmax(1),
    )
    assert pooled.shape == (90,)


def test_the_weighted_median_is_the_first_that_reaches_half():
    values = torch.tensor([[[1.0]], [[5.0]], [[2.0]]])
    assert float(boosting.weighted_median(values, torch.tensor([1.0, 1.0, 1.0]))) == 2.0
    assert float(boosting.weighted_median(values, torch.tensor([1.0, 5.0, 1.0]))) == 5.0
    assert float(boosting.weighted_median(values, torch.tensor([2.0, 1.0, 1.0]))) == 1.0


def test_without_a_target_row_in_the_margin_the_exchange_is_one_fit():
    source = torch.tensor([[-1.0, 0.0], [-2.0, 1.0], [1.0, 0.0], [2.0, -1.0]]).double()
    target = torch.tensor([[-5.0, 0.0], [-6.0, 2.0], [5.0, 1.0], [7.0, 0.0]]).double()
    ended = svm.dasvm(source, torch.tensor([-1.0, -1.0, 1.0, 1.0]).double(), target, c=1.0, count=1, rounds=50)
    assert ended.rounds == 0 and ended.source_left == 4
    plain, solved = svm.fit_svm(target, torch.tensor([-1.0, -1.0, 1.0, 1.0]).double(), 1.0)
    assert solved and torch.equal(ended.machine(target), plain(target))


def test_products_that_are_known_change_nothing_in_the_exchange():
    source, sign, target = theirs("dasvm_source"), 2.0 * theirs("dasvm_y") - 1, theirs("dasvm_target")
    known = svm.products(source, target)
    assert known is not None and known.shape == (160, 160)
    one, two = (svm.dasvm(source, sign, target, c=1.0, count=3, rounds=200, known=k) for k in (known, None))
    assert (one.rounds, one.source_left) == (two.rounds, two.source_left) and one.rounds > 5
    assert torch.allclose(one.machine(target), two.machine(target), atol=1e-6)


# --- bad input ------------------------------------------------------------------------------------------------------


def fitted(
    name: str, source: Labelled, target: torch.Tensor, classes: int = 2, **options: Any
) -> tuple[torch.Tensor, tuple[str, ...]]:
    """Scores of the target rows, and the notes."""
    made = method(name, **options)
    task = Task(classes, source if "source" in made.reads else None, target, Labelled(target[:6], torch.arange(6) % 2))
    with torch.no_grad():
        predictor = made.fit(task)
        return predictor(target), made.notes


def degenerate() -> dict[str, tuple[Labelled, torch.Tensor]]:
    source, target = (rows.float() for rows in pair(40, 30))
    y = (source[:, 0] > 0).long()
    return {
        "far apart": (Labelled(source, y), target + 1e4),
        "an empty column": (Labelled(source * torch.tensor([1.0, 1.0, 0.0]), y), target * torch.tensor([1.0, 1.0, 0.0])),
        "all columns empty": (Labelled(source * 0, y), target * 0),
        "one class": (Labelled(source, y * 0), target),
        "more columns than rows": (Labelled(torch.randn(6, 40), torch.arange(6) % 2), torch.randn(8, 40)),
        "two target rows": (Labelled(source, y), target[:2].repeat(3, 1)),
        "huge": (Labelled(source * 1e18, y), target * 1e18),
    }


@pytest.mark.parametrize("name", [*FAMILY, "tradaboost", "dasvm"])
@pytest.mark.parametrize("fault", degenerate())
def test_bad_input_ends_in_numbers_or_in_a_sentence(name, fault):
    source, target = degenerate()[fault]
    options = {"learner": "ridge"} if name in FAMILY else {}
    try:
        scores, _ = fitted(name, source, target, **options)
    except TlbenchError as error:
        assert len(str(error)) > 20
        return
    assert scores.shape == (len(target), 2) and not bool(torch.isnan(scores).any())


def test_weights_that_vanish_are_said_to():
    source, target = (rows.float() for rows in pair(40, 30))
    y = (source[:, 0] > 0).long()
    scores, notes = fitted("kliep", Labelled(source, y), target + 1e4, gamma=1.0)
    assert "all weights vanish: source rows count alike" in notes
    assert torch.allclose(scores, base_learners.logistic(source, y, 2)(target + 1e4))
    _, notes = fitted("gaussian_ratio", Labelled(source, y), target + 8)
    assert any("weights rest on few rows" in note for note in notes)
    with pytest.raises(TlbenchError, match="not finite"):
        fitted("kmm", Labelled(source, y), target * float("inf"))
    with pytest.raises(TlbenchError, match=r"bound = 0\.001"):
        fitted("kmm", Labelled(source, y), target, bound=0.001)


def test_sources_are_pooled_and_the_record_says_so():
    task = checks.toy_task()
    assert task.source is not None
    two = Task(3, Labelled(task.source.x, task.source.y, torch.arange(120) % 2), task.target, task.target_labeled)
    assert checks.fit("kmm", two).notes == ("2 sources pooled",)


def test_a_kernel_beyond_its_rows_goes_through_landmarks_with_a_note():
    fit = checks.fit("kmm", checks.toy_task(), {"exact_rows": 50, "landmarks": 40})
    assert "kernel of 120 source rows through 40 landmarks (Nystrom)" in fit.notes


# --- what it does on shifted data -----------------------------------------------------------------------------------


def simulated_pair(shift: str, seed: int, count: int = 400) -> tuple[Labelled, Labelled]:
    amount = {"covariate": 1.0, "target": 3.0, "subspace": 1.3}[shift]
    made = []
    for part in ("source", "target"):
        options = simulated.Options(shift=shift, part=part, amount=amount, count=count, seed=seed)
        x, y = simulated.read(options, None)
        made.append(Labelled(torch.tensor(x).float(), torch.tensor(y)))
    return made[0], made[1]


def gains(name: str, shift: str, seeds: int = 6, count: int = 400, learner: str = "ridge") -> np.ndarray:
    """Accuracy on the target minus that of the same linear learner without weights, in points, for each seed."""
    found = []
    for seed in range(seeds):
        source, target = simulated_pair(shift, seed, count)
        with torch.no_grad():
            scores = method(name, learner=learner).fit(Task(2, source, target.x))(target.x)
            plain = base_learners.fit_learner(learner, source.x, source.y, 2)(target.x)
        found.append([float((s.argmax(1) == target.y).double().mean()) for s in (scores, plain)])
    return 100 * np.diff(np.array(found)[:, ::-1], axis=1)[:, 0]


def interval(values: np.ndarray) -> tuple[float, float]:
    """95 per cent, Student's t."""
    from scipy.stats import t

    half = t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / math.sqrt(len(values))
    return values.mean() - half, values.mean() + half


@pytest.mark.parametrize("name", RATIOS)
def test_reweighting_helps_a_misspecified_model_under_covariate_shift(name):
    """A line can't follow both groups; weights tell it which of them the target is in."""
    assert interval(gains(name, "covariate"))[0] > 0


@pytest.mark.parametrize("name", ["bbse", "mmd_target_shift"])
def test_class_weights_help_under_label_shift(name):
    assert interval(gains(name, "target", count=1000, learner="logistic"))[0] > 0


@pytest.mark.parametrize("name", FAMILY)
def test_reweighting_does_not_mend_a_subspace_shift(name):
    """The boundary turns by 117 degrees: no weighting of the source rows turns it."""
    assert interval(gains(name, "subspace", seeds=4))[0] < 0.5
