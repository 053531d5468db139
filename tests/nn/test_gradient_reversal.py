"""Gradient reversal and its schedule."""

from __future__ import annotations

import pytest
import torch

from tlbench.nn.gradient_reversal import reversal_schedule, reverse_gradient


@pytest.mark.parametrize("k", [0.0, 0.3, 1.0, 7.0])
def test_reversal_is_the_identity_and_minus_k_times_the_gradient(k):
    x = torch.randn(5, 4, generator=torch.Generator().manual_seed(0), requires_grad=True)
    weights = torch.randn(5, 4, generator=torch.Generator().manual_seed(1))
    assert torch.equal(reverse_gradient(x, k), x)
    (plain,) = torch.autograd.grad((x.square() * weights).sum(), x)
    (reversed_,) = torch.autograd.grad((reverse_gradient(x, k).square() * weights).sum(), x)
    assert torch.equal(reversed_, -k * plain)


def test_the_schedule_goes_from_0_to_nearly_1():
    assert reversal_schedule(0.0) == 0.0
    assert 0.999 < reversal_schedule(1.0) < 1.0
    values = [reversal_schedule(p / 10) for p in range(11)]
    assert values == sorted(values)
    assert reversal_schedule(0.5, gamma=20.0) == pytest.approx(reversal_schedule(1.0, gamma=10.0))
