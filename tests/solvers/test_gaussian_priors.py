"""Posteriors, evidence and Laplace's approximation against closed forms and scikit-learn."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from linear_samples import linear, mirrored
from scipy.optimize import minimize
from sklearn.linear_model import BayesianRidge, LogisticRegression
from sklearn.linear_model import Ridge as TheirRidge

from tlbench import checks
from tlbench.solvers import base_learners, gaussian_priors


def test_power_1_is_pooling_and_the_order_of_domains_does_not_matter():
    (xs, ys), (xt, yt) = linear(60, 1), linear(12, 2, change=1.0)
    prior, nothing = 0.5 * torch.eye(5).double(), torch.zeros(5, 1).double()
    one = gaussian_priors.posterior(xt, yt, *gaussian_priors.posterior(xs, ys, prior, nothing, 0.2), 0.2)
    two = gaussian_priors.posterior(xs, ys, *gaussian_priors.posterior(xt, yt, prior, nothing, 0.2), 0.2)
    x, y = torch.cat([xs, xt]).numpy(), torch.cat([ys, yt]).numpy()
    pooled = TheirRidge(alpha=0.5 * 0.2, fit_intercept=False).fit(x, y)
    assert np.allclose(one[1].T.numpy(), pooled.coef_, atol=1e-12)
    assert all(torch.allclose(a, b) for a, b in zip(one, two, strict=True))
    assert float(torch.linalg.eigvalsh(one[0] - prior).min()) > 0  # no variance grows
    assert torch.allclose(gaussian_priors.posterior(xs, ys, prior, nothing + 1, 0.2, power=0.0)[1], nothing + 1)


def test_a_round_prior_is_the_biased_ridge():
    x, y = linear(12, 2)
    start = torch.randn(5, 1, generator=torch.Generator().manual_seed(0)).double()
    _, mean = gaussian_priors.posterior(x, y, torch.eye(5).double() / 0.4, start, 0.2)
    w, _ = base_learners.ridge_regression(*mirrored(x, y), penalty=2 * 0.2 / 0.4, toward_KD=start.T)
    assert torch.allclose(mean.T, w, atol=1e-12)


def test_the_evidence_is_largest_where_scikit_learn_finds_it():
    x, y = linear(80, 3)
    peer = BayesianRidge(alpha_1=0, alpha_2=0, lambda_1=0, lambda_2=0, max_iter=1000, tol=1e-9).fit(x.numpy(), y[:, 0].numpy())
    tau2, noise = gaussian_priors.maximize_evidence(x, y)
    # one degree of freedom goes to the intercept here, none there
    assert tau2 == pytest.approx(1 / peer.lambda_, rel=0.02) and noise == pytest.approx(1 / peer.alpha_, rel=0.03)


@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e4])
@pytest.mark.parametrize("count", [4, 12, 80])
def test_the_evidence_of_centred_samples_is_largest(scale, count):
    """The marginal likelihood in the N - 1 directions that are orthogonal to the mean, at its own optimum by scipy."""
    x, y = linear(count, 3)
    x = x * torch.logspace(0, math.log10(scale), x.shape[1]).double()
    rest = torch.linalg.qr(torch.cat([torch.ones(count, 1).double(), torch.eye(count).double()[:, 1:]], dim=1)).Q[:, 1:]
    left, values, _ = torch.linalg.svd(rest.T @ x)
    squares = torch.nn.functional.pad(values.square(), (0, count - 1 - len(values))).numpy()
    projected = (left.T @ (rest.T @ y))[:, 0].square().numpy()

    def loss(logs: np.ndarray) -> float:
        variances = np.exp(logs[0]) * squares + np.exp(logs[1])
        return float((np.log(variances) + projected / variances).sum() / 2)

    tau2, noise = gaussian_priors.maximize_evidence(x, y)
    ours = np.log([tau2, noise])
    if noise > 1e-8 * float((y - y.mean()).square().mean()):  # else the floor of the noise holds
        best = min(
            minimize(loss, ours + shift, method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-12}).fun for shift in (0, 1)
        )
        assert loss(ours) <= best + 1e-6


def test_the_log_evidence_is_that_of_a_gaussian():
    x, y = linear(7, 4)
    precision, mean = 2 * torch.eye(5).double(), torch.full((5, 1), 0.3).double()
    true = torch.distributions.MultivariateNormal((x @ mean)[:, 0], 0.2 * torch.eye(7).double() + x @ x.T / 2).log_prob(y[:, 0])
    assert gaussian_priors.log_evidence(x, y, precision, mean, 0.2) == pytest.approx(float(true))


@pytest.mark.parametrize("diagonal", [False, True])
def test_the_most_likely_weights_are_those_of_scikit_learn(diagonal):
    """A round prior at 0: softmax regression without intercept."""
    samples = checks.toy_samples(1)
    x = samples.x.double()
    precision = torch.full((3, 6), 0.8).double() if diagonal else 0.8 * torch.eye(6).double().expand(3, 6, 6)
    w = gaussian_priors.map_coefficients(x, samples.y, torch.zeros(3, 6).double(), precision)
    peer = LogisticRegression(C=1 / 0.8, fit_intercept=False, tol=1e-12, max_iter=10_000).fit(x.numpy(), samples.y.numpy())
    assert np.abs((w - w.mean(dim=0)).numpy() - (peer.coef_ - peer.coef_.mean(axis=0))).max() < 1e-5


@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e4])
def test_the_most_likely_weights_at_their_defaults_have_no_slope(scale):
    """On columns of very different scale, with a flat prior of the intercept."""
    samples = checks.toy_samples(1)
    x = gaussian_priors.with_intercept_column(samples.x.double() * torch.logspace(0, math.log10(scale), 6).double())
    precision = gaussian_priors.prior_precision(0.8, x).expand(3, 7)
    mean = 0.1 * torch.randn(3, 7, generator=torch.Generator().manual_seed(0)).double()
    notes: list[str] = []
    w = gaussian_priors.map_coefficients(x, samples.y, mean, precision, note=notes.append)
    residual = (x @ w.T).softmax(dim=1) - torch.nn.functional.one_hot(samples.y, 3)
    slope = residual.T @ x + precision * (w - mean)
    assert notes == [] and float((slope / x.abs().sum(dim=0)).abs().max()) < 1e-6
    gaussian_priors.map_coefficients(x, samples.y, mean, precision, iterations=1, note=notes.append)
    assert "stopped after 1 iterations" in notes[0]


def test_the_curvature_is_the_second_derivative():
    x, w = checks.toy_samples(1, 9).x.double(), torch.randn(3, 6, generator=torch.Generator().manual_seed(0)).double()
    y = torch.arange(9) % 3
    full = torch.autograd.functional.hessian(lambda w: torch.nn.functional.cross_entropy(x @ w.T, y, reduction="sum"), w)
    blocks = torch.stack([full[c, :, c] for c in range(3)])
    assert torch.allclose(gaussian_priors.laplace_curvature(x, w, diagonal=False), blocks)
    assert torch.allclose(gaussian_priors.laplace_curvature(x, w, diagonal=True), torch.stack([b.diagonal() for b in blocks]))
