"""Weights of reweighting methods: those of other packages, known answers, and properties."""

from __future__ import annotations

import pytest
import torch
from golden_arrays import GoldenArrays
from reweighting_samples import FAMILY, mean_one, shifted_pair, weights

from tlbench.solvers import sampling
from tlbench.solvers.kernels import gaussian, nystrom
from tlbench.solvers.reweighting import kernel_mean_matching

theirs = GoldenArrays("reweighting")


def test_kmm_is_that_of_adapt_and_skada():
    """adapt's interior point, and skada's SLSQP with an upper bound that bites: the same program, other solvers."""
    source, target = theirs("source"), theirs("target")
    options = {"gamma": float(theirs.arrays["gamma"]), "tolerance": 1e-13, "steps": 50_000}
    assert torch.allclose(weights("kmm", source, target, **options), theirs("kmm"), atol=1e-5)
    bounded = weights("kmm", source, target, bound=2.0, **options)
    assert torch.allclose(bounded, theirs("kmm_bound_2"), atol=1e-5) and float(bounded.max()) == pytest.approx(2.0)


def test_density_ratios_are_those_of_skada():
    source, target = theirs("source"), theirs("target")
    assert torch.allclose(mean_one(weights("density_ratio", source, target, bandwidth=1.0)), theirs("kde"), rtol=1e-12)
    ratio = weights("gaussian_ratio", source, target, shrinkage=0.0)
    assert torch.allclose(mean_one(ratio), mean_one(theirs("gaussian")), rtol=1e-10)


@pytest.mark.parametrize("k", [1, 5])
def test_nearest_neighbour_weights_are_those_of_adapt(k):
    ours = weights("nearest_neighbor_weights", theirs("source"), theirs("target"), neighbors=k, smoothing=False)
    assert torch.equal(ours, theirs(f"nearest_{k}").double())
    assert float(ours.sum()) == k * 45


def test_target_shift_weights_are_those_of_skada():
    """Its C weights against ours; its inverse of an N x N label kernel limits the agreement (to 2.7e-5 where it was tried)."""
    y = theirs("y_source")
    ours = weights("mmd_target_shift", theirs("source"), theirs("target"), y, gamma=float(theirs.arrays["gamma"]))
    assert torch.allclose(torch.stack([ours[y == c][0] for c in (0, 1)]), theirs("mmd_target_shift").flatten(), rtol=1e-3)


def atoms() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Two atoms far apart: 60 and 40 source samples, 20 and 80 target samples; the true weights are 1/3 and 2."""
    atom = torch.tensor([[0.0, 0.0], [40.0, 0.0]], dtype=torch.float64)
    source, target = atom[[0] * 60 + [1] * 40], atom[[0] * 20 + [1] * 80]
    return source, target, torch.tensor([1 / 3] * 60 + [2.0] * 40, dtype=torch.float64)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("kmm", {"gamma": 1.0, "tolerance": 1e-10}),
        ("kliep", {"gamma": 1.0, "tolerance": 1e-12}),
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
    actual = weights(name, source, target, **options)
    alpha = options.get("alpha", 0.0)
    scaled = name in {"density_ratio", "discriminator_odds"}
    # the odds of a sample come from a fit without it, which counts other samples
    tolerance = 0.4 if name == "discriminator_odds" else 1e-6
    assert torch.allclose(mean_one(actual) if scaled else actual, true / (alpha * true + 1 - alpha), rtol=tolerance)


def test_two_atoms_and_their_neighbours():
    source, target, _ = atoms()
    actual = weights("nearest_neighbor_weights", source, target, smoothing=False)
    assert [float(actual[:60].sum()), float(actual[60:].sum())] == [20.0, 80.0]


@pytest.mark.parametrize("shares", [(0.25, 0.75), (0.5, 0.5)])
def test_one_atom_a_class_gives_the_ratio_of_class_shares(shares):
    y = torch.tensor([0] * 10 + [1] * 10)
    atom = torch.tensor([[0.0], [30.0]], dtype=torch.float64)
    counts = [round(20 * s) for s in shares]
    target = atom[[0] * counts[0] + [1] * counts[1]]
    true = torch.tensor(shares).double()[y] / 0.5
    assert torch.allclose(weights("mmd_target_shift", atom[y], target, y, gamma=1.0), true, atol=1e-8)
    assert torch.allclose(weights("bbse", atom[y], target, y), true, atol=1e-8)


@pytest.mark.parametrize("name", ["kmm", "density_ratio", "gaussian_ratio", "nearest_neighbor_weights"])
def test_samples_weigh_the_same_where_nothing_has_shifted(name):
    source, _ = shifted_pair()
    options = {"gamma": 20.0, "tolerance": 1e-10} if name == "kmm" else {}
    actual = mean_one(weights(name, source, source.clone(), **options))
    assert torch.allclose(actual, torch.ones(80).double(), atol=1e-5)


@pytest.mark.parametrize("name", FAMILY)
def test_weights_follow_their_samples(name):
    """Permuting the source permutes the weights, permuting the target changes none."""
    source, target = shifted_pair()
    y, order = (source[:, 0] > 0).long(), torch.randperm(80, generator=torch.Generator().manual_seed(1))
    actual = mean_one(weights(name, source, target, y))
    assert torch.allclose(mean_one(weights(name, source[order], target, y[order])), actual[order], rtol=1e-5, atol=1e-7)
    assert torch.allclose(mean_one(weights(name, source, target.flip(0), y)), actual, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", [n for n in FAMILY if n != "bbse"])
def test_every_ratio_prefers_samples_where_the_target_is(name):
    """The true log ratio is known: the weights rise with it."""
    source, target = shifted_pair(300, 300, columns=1, shift=0.8)
    y = (source[:, 0] > 0.3).long()
    actual = weights(name, source, target, y)
    true = torch.distributions.Normal(0.8, 0.8).log_prob(source[:, 0]) - torch.distributions.Normal(0, 1).log_prob(source[:, 0])
    ranks = [v.argsort().argsort().double() for v in (actual, true)]
    least = 0.4 if name in {"nearest_neighbor_weights", "mmd_target_shift"} else 0.6
    assert float(torch.corrcoef(torch.stack(ranks))[0, 1]) > least


def test_a_larger_bound_never_raises_the_objective():
    source, target = shifted_pair()
    apply, kappa = kernel_mean_matching.kernel_and_mean(source, target, 0.4, None)
    values = []
    for bound in (1.5, 3.0, 10.0, 1000.0):
        w = weights("kmm", source, target, gamma=0.4, bound=bound, tolerance=1e-9)
        values.append(float(0.5 * w @ apply(w) - kappa @ w))
    assert values == sorted(values, reverse=True) and values[0] > values[-1] + 1e-3


def test_relative_ratios_are_bounded_and_alpha_0_is_the_plain_one():
    source, target = shifted_pair()
    fixed = {"gamma": 0.4, "ridge": 0.01}
    assert torch.equal(weights("rulsif", source, target, alpha=0.0, **fixed), weights("ulsif", source, target, **fixed))
    assert float(weights("rulsif", source, target, alpha=0.5, **fixed).max()) < 1.5 / 0.5
    large = weights("ulsif", source, target, gamma=0.4, ridge=1e9)
    torch.manual_seed(0)
    centers = sampling.random_subset(target, 100)
    phi = [gaussian.gram(x, centers, 0.4) for x in (source, target)]
    assert torch.allclose(mean_one(large), mean_one(phi[0] @ phi[1].mean(dim=0)), rtol=1e-6)


def test_equal_covariances_make_the_gaussian_log_ratio_linear():
    source, _ = shifted_pair(200, 10)
    logs = weights("gaussian_ratio", source, source + torch.tensor([1.0, 0.0, -0.5]), shrinkage=0.0).log()
    design = torch.cat([source, torch.ones(200, 1).double()], dim=1)
    left = logs - design @ torch.linalg.lstsq(design, logs[:, None]).solution[:, 0]
    assert float(left.abs().max()) < 1e-10


def test_landmarks_lose_little_where_both_forms_fit():
    """Width by the median rule, 400 source samples through 100 landmarks: weights, and the objective that they reach."""
    source, target = shifted_pair(400, 300)
    gamma = nystrom.pooled_median_gamma(source, target)
    apply, kappa = kernel_mean_matching.kernel_and_mean(source, target, gamma, None)
    values = []
    for exact in (5000, 1):
        w = weights("kmm", source, target, gamma=gamma, exact_rows=exact, landmarks=100)
        values.append(float(0.5 * w @ apply(w) - kappa @ w))
    assert values[1] == pytest.approx(values[0], rel=1e-3)
