"""The loop of TrAdaBoost: errors, weights and votes."""

from __future__ import annotations

import pytest
import torch
from golden_arrays import GoldenArrays

from tlbench.solvers import base_learners
from tlbench.solvers.reweighting import boosting

theirs = GoldenArrays("reweighting")


def adapt_beta(error: float) -> float:
    """e / (2 - e) in place of the paper's e / (1 - e)."""
    return error / (2 - error)


def test_the_boosting_loop_is_that_of_adapt_but_for_its_beta():
    x, y = torch.cat([theirs("source"), theirs("target_labeled")]), torch.cat([theirs("y_source"), theirs("y_target_labeled")])
    boosted = boosting.tradaboost(
        lambda w: base_learners.fit_svm(x, y, 2, c=0.05, weight_N=w),
        lambda scorer: (scorer(x).argmax(1) != y).double(),
        torch.arange(len(y)) >= 60,
        rounds=8,
        beta=adapt_beta,
    )
    assert boosted.errors == pytest.approx(theirs.arrays["boost_errors"].tolist(), abs=1e-10)
    assert torch.allclose(torch.stack(boosted.weights)[:, :60], theirs("boost_weights"), atol=1e-12)


def test_boosting_for_regression_is_that_of_adapt_but_for_its_beta():
    x, y = (
        torch.cat([theirs("source"), theirs("target_labeled")]),
        torch.cat([theirs("column_source"), theirs("column_target_labeled")])[:, None],
    )

    def sample_errors(scorer: base_learners.Scorer) -> torch.Tensor:
        error = (scorer(x) - y).abs().mean(dim=1)
        return error / error.max()

    boosted = boosting.tradaboost(
        lambda w: base_learners.fit_ridge(x, y, weight_N=w), sample_errors, torch.arange(len(y)) >= 60, 8, adapt_beta
    )
    assert boosted.errors == pytest.approx(theirs.arrays["r2_errors"].tolist(), abs=1e-10)
    assert torch.allclose(torch.stack(boosted.weights)[:, :60], theirs("r2_weights"), atol=1e-12)
    # of eight rounds its last four vote, the paper's last five
    outputs = torch.stack([scorer(theirs("target")) for scorer in boosted.scorers[4:]])
    votes = -torch.tensor(boosted.betas[4:]).double().log()
    assert torch.allclose(boosting.weighted_median(outputs, votes)[:, 0], theirs("r2_predicted").flatten(), atol=1e-10)


def test_boosting_takes_weight_from_misclassified_source_samples_only():
    x, y = torch.cat([theirs("source"), theirs("target_labeled")]), torch.cat([theirs("y_source"), theirs("y_target_labeled")])
    is_target = torch.arange(len(y)) >= 60
    boosted = boosting.tradaboost(
        lambda w: base_learners.fit_svm(x, y, 2, weight_N=w), lambda s: (s(x).argmax(1) != y).double(), is_target, 6
    )
    factors = []
    for before, after, scorer, beta in zip(boosted.weights, boosted.weights[1:], boosted.scorers, boosted.betas, strict=False):
        errors = scorer(x).argmax(1) != y
        ratio = after / before
        correct = ratio[~errors]
        assert torch.allclose(correct, correct[0].expand(len(correct)))  # correct samples keep their weight, up to the sum
        assert (ratio[errors & ~is_target] < correct[0]).all() and (ratio[errors & is_target] > correct[0]).all()
        factors.append(beta)
    assert all(0 < beta < 1 for beta in factors)


def test_the_weighted_median_is_the_first_that_reaches_half():
    values = torch.tensor([[[1.0]], [[5.0]], [[2.0]]])
    assert float(boosting.weighted_median(values, torch.tensor([1.0, 1.0, 1.0]))) == 2.0
    assert float(boosting.weighted_median(values, torch.tensor([1.0, 5.0, 1.0]))) == 5.0
    assert float(boosting.weighted_median(values, torch.tensor([2.0, 1.0, 1.0]))) == 1.0
