"""Simulated data: the distribution is the one that is stated, and so is the accuracy of its best classifier."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from tlbench import data
from tlbench.data.readers import simulated
from tlbench.data.readers.simulated import Options, bayes_accuracy, draw_samples, mixture

SHIFTS = ("covariate", "target", "concept", "subspace")
AMOUNTS = {"covariate": 1.0, "target": 3.0, "concept": 0.4, "subspace": 1.3}
COUNT = 200_000


def options(shift: Any, part: Any = "source", **more: Any) -> Options:
    return Options(shift=shift, part=part, **{"amount": AMOUNTS[shift], **more})


def densities(of: Options, x_N2: Any) -> Any:
    """p(x, c) of samples (N, 2) for every class (N, C), by the formula of the mixture."""
    mix = mixture(of)
    bells = np.exp(-0.5 * np.square(x_N2[:, None] - mix.means).sum(axis=2)) / (2 * np.pi) * mix.weights
    return np.stack([bells[:, mix.classes == c].sum(axis=1) for c in range(of.labels)], axis=1)


def accuracy(of: Options, samples_of: Options) -> float:
    """The accuracy of the best classifier of one domain on samples of another."""
    x, y, _ = draw_samples(samples_of)
    return float((densities(of, x).argmax(axis=1) == y).mean())


@pytest.mark.parametrize("labels", [2, 4])
@pytest.mark.parametrize("part", ["source", "target"])
@pytest.mark.parametrize("shift", SHIFTS)
def test_the_bayes_accuracy_is_that_of_the_best_classifier(shift: str, part: str, labels: int) -> None:
    """By Monte Carlo: within four standard errors."""
    of = options(shift, part, labels=labels, count=COUNT)
    stated = bayes_accuracy(of)
    assert abs(accuracy(of, of) - stated) < 4 * np.sqrt(stated * (1 - stated) / COUNT)


@given(separation=st.floats(0.1, 8), labels=st.integers(2, 5))
@settings(deadline=None, max_examples=10)
def test_the_bayes_accuracy_has_a_closed_form_without_shift(separation: float, labels: int) -> None:
    """C unit Gaussians in a row: the outer two lose one tail, the others two."""
    tail = norm.cdf(-separation / 2)
    expected = 1 - 2 * tail * (labels - 1) / labels
    for shift in ("target", "subspace"):
        stated = bayes_accuracy(options(shift, labels=labels, separation=separation))
        assert stated == pytest.approx(expected, abs=5e-5)


def test_the_bayes_accuracy_of_unequal_shares_in_closed_form() -> None:
    """Two classes with log ratio a, d apart: the threshold is a / d off the middle."""
    a, d = 3.0, 3.0
    share = 1 / (1 + np.exp(-a))
    expected = share * norm.cdf(d / 2 + a / d) + (1 - share) * norm.cdf(d / 2 - a / d)
    assert bayes_accuracy(options("target", "target")) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("shift", SHIFTS)
def test_without_amount_source_and_target_are_alike(shift: str) -> None:
    one, two = (mixture(options(shift, part, amount=0.0)) for part in ("source", "target"))
    assert np.allclose(one.means, two.means) and np.allclose(one.weights, two.weights)
    assert (one.classes == two.classes)[one.weights > 0].all()


@pytest.mark.parametrize("labels", [2, 3])
def test_what_stays_under_a_shift_stays(labels: int) -> None:
    x = np.random.default_rng(0).normal(scale=3, size=(500, 2))

    def both(shift: str) -> tuple[Any, Any]:
        source, target = (densities(options(shift, part, labels=labels), x) for part in ("source", "target"))
        return source, target

    source, target = both("covariate")  # labels given features
    np.testing.assert_allclose(
        source / source.sum(axis=1, keepdims=True), target / target.sum(axis=1, keepdims=True), atol=1e-9
    )
    slope, _ = np.polyfit(x[:, 1], np.log(target.sum(axis=1) / source.sum(axis=1)), 1)
    assert slope == pytest.approx(1.0)  # amount
    source, target = both("target")  # features given labels
    ratio = target / source
    np.testing.assert_allclose(ratio, np.broadcast_to(ratio[0], ratio.shape), rtol=1e-9)
    assert np.log(ratio[0, 0] / ratio[0, -1]) == pytest.approx(3.0)  # amount
    source, target = both("concept")  # features
    np.testing.assert_allclose(source.sum(axis=1), target.sum(axis=1), rtol=1e-9)
    assert not np.allclose(source, target)


def test_what_a_shift_costs_is_what_it_should() -> None:
    """The source's best classifier on target samples, against the target's own."""
    loss_of = {}
    for shift in SHIFTS:
        source, target = (options(shift, part, count=50_000) for part in ("source", "target"))
        loss_of[shift] = bayes_accuracy(target) - accuracy(source, target)
    assert abs(loss_of["covariate"]) < 0.005  # the labels' relation to the features is the same: only fitting suffers
    assert 0.03 < loss_of["target"] < 0.06
    assert 0.3 < loss_of["concept"] < 0.4  # nearly the share that is moved
    assert loss_of["subspace"] > 0.5  # worse than chance
    # the line half-way, which the two share, tells the classes apart in both
    x, y, _ = draw_samples(options("subspace", "target", count=50_000))
    assert ((x[:, 0] > 0) == y).mean() == pytest.approx(norm.cdf(1.5 * np.cos(1.3 * np.pi / 4)), abs=0.01)


def test_many_dimensions_are_the_plane_and_noise(tmp_path: Path) -> None:
    of = options("subspace", dimensions=20, count=20_000, seed=4)
    x, y = simulated.read(of, tmp_path)
    inside, labels, _ = draw_samples(of)
    assert x.shape == (20_000, 20) and np.array_equal(y, labels)
    basis, *_ = np.linalg.lstsq(x, inside, rcond=None)
    np.testing.assert_allclose(x @ basis, inside, atol=1e-8)
    np.testing.assert_allclose(basis.T @ basis, np.eye(2), atol=1e-8)
    other, _ = simulated.read(of.model_copy(update={"part": "target"}), tmp_path)
    turned = draw_samples(of.model_copy(update={"part": "target"}))[0]
    np.testing.assert_allclose(other @ basis, turned, atol=1e-8)  # source and target share the plane
    noise = x - inside @ basis.T
    assert np.linalg.eigvalsh(np.cov(noise.T))[2:] == pytest.approx(np.ones(18), abs=0.07)


def test_samples_follow_their_seed_and_part(tmp_path: Path) -> None:
    table = {"reader": "simulated", "shift": "target", "part": "source", "count": 50}
    fingerprints = set()
    for more in ({}, {"part": "target"}, {"seed": 1}, {"labels": 3}, {"dimensions": 3}):
        repeated = []
        for _ in range(2):
            declaration, errors = data.declare("d", {**table, **more}, {})
            assert declaration is not None, errors
            repeated.append(data.load(declaration, tmp_path).fingerprint)
        assert repeated[0] == repeated[1]
        fingerprints.add(repeated[0])
    assert len(fingerprints) == 5


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"shift": "concpet"}, "shift: Unknown value 'concpet'. Did you mean 'concept'?"),
        ({"part": "both"}, "part: Unknown value 'both'. Available: source, target."),
        ({"shift": "concept", "amount": 1.5}, "must be a share of the samples, from 0 to 1"),
        ({"amount": -1.0}, "amount = -1.0 should be greater than or equal to 0"),
        ({"labels": 1}, "labels = 1 should be greater than or equal to 2"),
        ({"dimensions": 1}, "dimensions = 1 should be"),
        ({"amount": float("inf")}, "amount = inf should be"),
        ({"sigma": 1.0}, "Unknown key 'sigma'"),
    ],
)
def test_an_error_is_reported(more: dict[str, Any], message: str) -> None:
    declaration, errors = data.declare("d", {"reader": "simulated", "shift": "target", "part": "source", **more}, {})
    assert declaration is None and message in " ".join(errors)
