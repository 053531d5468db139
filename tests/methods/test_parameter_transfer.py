"""Parameter transfer: closed forms against other packages and against each other, limits, and what it gains from a source."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import BayesianRidge, LogisticRegression
from sklearn.linear_model import Ridge as TheirRidge

from tlbench import checks, methods
from tlbench.solvers import base_learners, gaussian_priors
from tlbench.terms import Labelled, Task

GOLDEN = np.load(Path(__file__).parents[1] / "golden" / "reweighting.npz")
NAMES = ("biased_regularization", "bayesian_prior", "multi_task_ridge")


def linear(rows: int, seed: int, moved: float = 0.0, columns: int = 5, noise: float = 0.3) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows and one column y = x w + noise, w moved by `moved` in its first entry."""
    draw = torch.Generator().manual_seed(seed)
    x = torch.randn(rows, columns, generator=draw, dtype=torch.float64)
    w = torch.linspace(-1, 1, columns).double()
    w[0] += moved
    return x, (x @ w + noise * torch.randn(rows, generator=draw).double())[:, None]


def mirrored(x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows and their negatives: means are 0, so that the free intercept is 0; every sum of squares doubles."""
    return torch.cat([x, -x]), torch.cat([y, -y])


# --- biased ridge and logistic regression ---------------------------------------------------------------------------


def test_the_biased_ridge_is_that_of_adapt_with_its_penalty_squared():
    x, y = mirrored(torch.tensor(GOLDEN["few"]), torch.tensor(GOLDEN["said"])[:, None])
    start = torch.tensor(GOLDEN["start"])[None]
    w, b = base_learners.ridge_regression(x, y, penalty=2 * 1.5**2, toward_KD=start)
    assert np.abs(w[0].numpy() - GOLDEN["moved"].ravel()).max() < 1e-9 and float(b.abs().max()) < 1e-12


@pytest.mark.parametrize("rows", [4, 40])
def test_the_biased_ridge_is_a_ridge_on_what_is_left(rows):
    x, y = linear(rows, 1)
    start = torch.randn(1, 5, generator=torch.Generator().manual_seed(2)).double()
    w, b = base_learners.ridge_regression(x, y, penalty=0.7, toward_KD=start)
    theirs = TheirRidge(alpha=0.7).fit(x.numpy(), (y - x @ start.T).numpy())
    assert np.allclose(w.numpy(), theirs.coef_ + start.numpy()) and np.allclose(b.numpy(), theirs.intercept_)
    assert torch.allclose(base_learners.ridge_regression(x, y, penalty=1e12, toward_KD=start)[0], start, atol=1e-9)
    exact = x @ start.T + 3.0
    for penalty in (1e-6, 1.0, 1e6):
        w, b = base_learners.ridge_regression(x, exact, penalty=penalty, toward_KD=start)
        assert torch.allclose(w, start, atol=1e-9) and torch.allclose(b, torch.tensor([3.0]).double())


def test_a_logistic_regression_with_an_offset_starts_from_it():
    source, few = checks.toy_samples(1), checks.toy_samples(3, 30, shift=0.7)
    w, b = base_learners.softmax_regression(source.x, source.y, 3)
    offset = few.x.double() @ w.T + b
    v, shift = base_learners.softmax_regression(few.x, few.y, 3, penalty=1e9, offset_NC=offset)
    assert float(v.abs().max()) < 1e-6
    # with the offset in the scores it is the regression of the sum, penalised at the difference
    v, shift = base_learners.softmax_regression(few.x, few.y, 3, penalty=0.5, offset_NC=offset)

    def value(v: torch.Tensor, shift: torch.Tensor) -> float:
        scores = few.x.double() @ (w + v).T + b + shift
        return float(torch.nn.functional.cross_entropy(scores, few.y, reduction="sum") + 0.25 * v.square().sum())

    assert value(v, shift) <= value(torch.zeros_like(v), torch.zeros_like(shift))
    for _ in range(5):
        assert value(v, shift) <= value(v + 0.01 * torch.randn_like(v), shift + 0.01 * torch.randn_like(shift)) + 1e-4


# --- the source's posterior as prior --------------------------------------------------------------------------------


def test_power_1_is_pooling_and_the_order_of_domains_does_not_matter():
    (xs, ys), (xt, yt) = linear(60, 1), linear(12, 2, moved=1.0)
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
    theirs = BayesianRidge(alpha_1=0, alpha_2=0, lambda_1=0, lambda_2=0, max_iter=1000, tol=1e-9).fit(
        x.numpy(), y[:, 0].numpy()
    )
    tau2, noise = gaussian_priors.evidence(x, y)
    # one degree of freedom goes to the intercept here, none there
    assert tau2 == pytest.approx(1 / theirs.lambda_, rel=0.02) and noise == pytest.approx(1 / theirs.alpha_, rel=0.03)


def test_the_log_evidence_is_that_of_a_gaussian():
    x, y = linear(7, 4)
    precision, mean = 2 * torch.eye(5).double(), torch.full((5, 1), 0.3).double()
    true = torch.distributions.MultivariateNormal((x @ mean)[:, 0], 0.2 * torch.eye(7).double() + x @ x.T / 2).log_prob(y[:, 0])
    assert gaussian_priors.log_evidence(x, y, precision, mean, 0.2) == pytest.approx(float(true))


@pytest.mark.parametrize("diagonal", [False, True])
def test_the_most_likely_weights_are_those_of_scikit_learn(diagonal):
    """A round prior at 0: softmax regression without intercept."""
    rows = checks.toy_samples(1)
    x = rows.x.double()
    precision = torch.full((3, 6), 0.8).double() if diagonal else 0.8 * torch.eye(6).double().expand(3, 6, 6)
    w = gaussian_priors.most_likely(x, rows.y, torch.zeros(3, 6).double(), precision)
    theirs = LogisticRegression(C=1 / 0.8, fit_intercept=False, tol=1e-12, max_iter=10_000).fit(x.numpy(), rows.y.numpy())
    assert np.abs((w - w.mean(dim=0)).numpy() - (theirs.coef_ - theirs.coef_.mean(axis=0))).max() < 1e-5


def test_the_curvature_is_the_second_derivative():
    x, w = checks.toy_samples(1, 9).x.double(), torch.randn(3, 6, generator=torch.Generator().manual_seed(0)).double()
    y = torch.arange(9) % 3
    full = torch.autograd.functional.hessian(lambda w: torch.nn.functional.cross_entropy(x @ w.T, y, reduction="sum"), w)
    blocks = torch.stack([full[c, :, c] for c in range(3)])
    assert torch.allclose(gaussian_priors.laplace_curvature(x, w, diagonal=False), blocks)
    assert torch.allclose(gaussian_priors.laplace_curvature(x, w, diagonal=True), torch.stack([b.diagonal() for b in blocks]))


# --- tasks that share a mean ----------------------------------------------------------------------------------------


def three() -> list[tuple[torch.Tensor, torch.Tensor]]:
    return [linear(30, 1), linear(20, 2, moved=0.5), linear(3, 3, moved=1.0)]


def test_tasks_with_a_mean_are_a_ridge_on_augmented_columns():
    """x / sqrt(common) in shared columns, x / sqrt(own) in the task's own: Daume's augmentation, weighted."""
    parts, common, own = three(), 0.7, 2.0
    w_0, each = gaussian_priors.mean_regularised(parts, common, own)
    wide = []
    for number, (x, _) in enumerate(parts):
        columns = torch.zeros(len(x), 20).double()
        columns[:, :5] = x / common**0.5
        columns[:, 5 * (number + 1) : 5 * (number + 2)] = x / own**0.5
        wide.append(columns)
    theirs = TheirRidge(alpha=1.0, fit_intercept=False).fit(torch.cat(wide).numpy(), torch.cat([y for _, y in parts]).numpy())
    coef = theirs.coef_.ravel()
    assert np.allclose(w_0[:, 0].numpy(), coef[:5] / common**0.5, atol=1e-10)
    assert np.allclose(each[..., 0].numpy().ravel(), coef[5:] / own**0.5, atol=1e-10)
    assert torch.allclose(w_0, own / (common + 3 * own) * (w_0 + each).sum(dim=0))


def test_limits_of_the_shared_mean_are_pooling_and_no_sharing():
    parts = three()
    pooled = [torch.cat(both) for both in zip(*parts, strict=True)]
    w_0, each = gaussian_priors.mean_regularised(parts, 0.7, 1e10)
    assert np.allclose(
        w_0.T.numpy(), TheirRidge(alpha=0.7, fit_intercept=False).fit(*(p.numpy() for p in pooled)).coef_, atol=1e-6
    )
    w_0, each = gaussian_priors.mean_regularised(parts, 1e10, 0.7)
    for (x, y), v in zip(parts, each, strict=True):
        assert np.allclose(v.T.numpy(), TheirRidge(alpha=0.7, fit_intercept=False).fit(x.numpy(), y.numpy()).coef_, atol=1e-6)
    x, y = parts[0]
    w_0, each = gaussian_priors.mean_regularised([(x, y)], 0.7, 2.0)
    alone = TheirRidge(alpha=0.7 * 2.0 / 2.7, fit_intercept=False).fit(x.numpy(), y.numpy())
    assert np.allclose((w_0 + each[0]).T.numpy(), alone.coef_)


# --- the methods ----------------------------------------------------------------------------------------------------


def error(name: str, source: Labelled, few: Labelled, x: torch.Tensor, y: torch.Tensor, **options: Any) -> float:
    """Mean squared error of a method on target rows."""
    torch.manual_seed(0)
    made = methods.method_class(name)(**methods.method_options(name, options))
    granted = {part: rows for part, rows in (("source", source), ("target_labeled", few)) if part in made.reads}
    return float((made.fit(Task(1, **granted, regression=True))(x) - y).square().mean())


@pytest.mark.parametrize("name", NAMES)
def test_a_near_source_helps_a_few_rows_and_a_far_one_does_little_harm(name):
    """Ten target rows with 12 columns: alone they leave much open. A source of other weights is found out and hardly used."""
    near, far = [], []
    for seed in range(5):
        x, y = linear(400, 100 + seed, columns=12)
        few = Labelled(*(part.float() for part in linear(15, 200 + seed, columns=12)))
        alone = error("target_ridge", few, few, x.float(), y)
        for moved, found in ((0.0, near), (6.0, far)):
            source = Labelled(*(part.float() for part in linear(300, seed, moved=moved, columns=12)))
            found.append(error(name, source, few, x.float(), y) / alone)
    assert np.median(near) < 0.5
    assert np.median(far) < 2.5


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("fault", ["one row", "one class", "empty columns", "many columns"])
def test_little_or_odd_labelled_rows_end_in_numbers(name, fault):
    source, few = checks.toy_samples(1), checks.toy_samples(3, 6)
    if fault == "one row":
        few = few[torch.tensor([0])]
    elif fault == "one class":
        few = few[few.y == 1]
    elif fault == "empty columns":
        source, few = Labelled(source.x * 0, source.y), Labelled(few.x * 0, few.y)
    else:
        wide = torch.randn(6, 200, generator=torch.Generator().manual_seed(0))
        source, few = Labelled(source.x @ wide, source.y), Labelled(few.x @ wide, few.y)
    made = methods.method_class(name)(**methods.method_options(name, {}))
    with torch.no_grad():
        scores = made.fit(Task(3, source, None, few))(few.x)
    assert scores.shape == (len(few), 3) and bool(torch.isfinite(scores).all())


def test_several_sources_are_tasks_or_a_mean_of_models():
    rows = checks.toy_samples(1)
    two = Labelled(rows.x, rows.y, torch.arange(120) % 2)
    task = Task(3, two, None, checks.toy_samples(3, 15))
    assert checks.fit("biased_regularization", task).notes == ("2 sources: the mean of their weights",)
    assert checks.fit("bayesian_prior", task).notes == ("2 sources pooled",)
    assert checks.fit("multi_task_ridge", task).notes == ()
