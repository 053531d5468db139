"""The attention weights of DELTA against a loop by hand, with scikit-learn's classifier."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from fine_tuning_samples import build, wave
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from torch import nn
from toy_training import fit_deep

from tlbench.nn.net import Backbone, Net


class WholePass:
    """A pass over all of a few samples, as `begin` gets it."""

    def __init__(self, x: torch.Tensor, y: torch.Tensor) -> None:
        self.x, self.y = x, y

    def map(self, split: str, function: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
        with torch.no_grad():
            return function(self.x)

    def labels(self, split: str) -> torch.Tensor:
        return self.y


def test_the_channels_of_delta_weigh_what_the_loss_rises_without_them():
    """By hand: every channel of every stage is set to 0 in a copy of the outputs, and the rest of the network runs on."""
    torch.manual_seed(0)
    stages = [
        nn.Sequential(nn.Conv2d(1, 5, 3), nn.ReLU()),
        nn.Conv2d(5, 4, 3),
        nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()),
    ]
    net = Net(Backbone(stages, 4), 3)
    x, y = torch.randn(24, 1, 8, 8), torch.arange(24) % 3
    x[y == 1] += 0.5
    x[y == 2, :, :4] -= 0.8
    method = build("delta", net, attention=True)
    method.eval()
    method.copy_backbone(WholePass(x, y))
    with torch.no_grad():
        learner = LogisticRegression(tol=1e-10, solver="newton-cholesky").fit(net.backbone(x).double().numpy(), y.numpy())
        for number in range(3):
            rises = []
            for channel in range(4 + (number == 0)):
                losses = []
                for mask in (1.0, 0.0):
                    value = x
                    for index, stage in enumerate(stages):
                        value = stage(value)
                        if index == number:
                            value = value.clone()
                            value[:, channel] *= mask
                    losses.append(log_loss(y.numpy(), learner.predict_proba(value.double().numpy())))
                rises.append(losses[1] - losses[0])
            standardised = (np.array(rises) - np.mean(rises)) / np.std(rises)
            expected = np.exp(standardised / 5) / np.exp(standardised / 5).sum()
            assert method.weights[number].numpy() == pytest.approx(expected, abs=1e-4)
            assert np.ptp(expected) > 0.05


def test_delta_with_attention_learns_and_ends_elsewhere():
    plain, weighted = (fit_deep("delta", alpha=1.0, attention=attention) for attention in (False, True))
    assert plain.weights is None and [float(one.sum()) for one in weighted.weights] == pytest.approx([1.0, 1.0])
    x = wave(16, 6)
    assert not torch.equal(plain.predict(x), weighted.predict(x))
