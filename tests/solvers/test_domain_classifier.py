"""The odds of a domain classifier, and their tempering."""

from __future__ import annotations

import pytest
import torch
from golden_arrays import GoldenArrays

from tlbench.solvers import base_learners
from tlbench.solvers.reweighting import domain_classifier

theirs = GoldenArrays("reweighting")


def test_discriminator_odds_are_those_of_adapt():
    """Its logistic regression sees all samples, ours none that it scores: so ours is fitted on all samples here."""
    x = torch.cat([theirs("source"), theirs("target")])
    y = (torch.arange(len(x)) >= 60).long()
    slope, intercept = domain_classifier.fit_odds(x, y, torch.ones(len(x)).double(), 2.0, 50)
    assert torch.allclose((theirs("source") @ slope + intercept).exp(), theirs("odds"), rtol=1e-6)
    scores = base_learners.fit_logistic(x, y, 2, penalty=2.0)(x)
    assert torch.allclose(scores[:, 1] - scores[:, 0], x @ slope + intercept, atol=1e-3)


def test_weights_are_tempered_until_enough_samples_have_them():
    logs = torch.linspace(-40, 40, 200).double()
    power = domain_classifier.tempering_power(logs, 0.25)
    w = torch.softmax(power * logs, dim=0)
    assert 0 < power < 1 and float(1 / (200 * w.square().sum())) == pytest.approx(0.25, abs=1e-3)
    assert domain_classifier.tempering_power(0.01 * logs, 0.25) == 1.0
