"""discriminator_reweight: its weights where nothing has shifted, under a known shift, and at the cap."""

from __future__ import annotations

import pytest
import torch
from toy_training import fit_deep

from tlbench.terms import Labelled, Task


def weights_of(source: torch.Tensor, target: torch.Tensor, **options) -> torch.Tensor:
    task = Task(2, Labelled(source, torch.arange(len(source)) % 2), target)
    return fit_deep("discriminator_reweight", task, steps=2, **options).weight_N


def test_weights_are_near_one_where_nothing_has_shifted():
    generator = torch.Generator().manual_seed(0)
    a, b = torch.randn(2000, 3, generator=generator), torch.randn(1500, 3, generator=generator)
    weights = weights_of(a, b)
    assert weights.shape == (2000,) and float(weights.mean()) == pytest.approx(1.0, abs=1e-5)
    assert float(weights.std()) < 0.15 and float(weights.min()) > 0.6 and float(weights.max()) < 1.6


def test_weights_follow_the_density_ratio():
    generator = torch.Generator().manual_seed(0)
    a, b = torch.randn(600, 2, generator=generator), torch.randn(600, 2, generator=generator)
    b[:, 0] += 1.0  # the true weight of a sample x is exp(x_0 - 1/2)
    weights = weights_of(a, b, cap=100.0)
    true = (a[:, 0] - 0.5).exp()
    assert float(torch.corrcoef(torch.stack([weights, true / true.mean()]))[0, 1]) > 0.95
    assert float(weights[a[:, 0] > 0].mean()) > 3 * float(weights[a[:, 0] < -0.5].mean())
    assert float(weights.mean()) == pytest.approx(1.0, abs=1e-5)


def test_weights_are_capped():
    generator = torch.Generator().manual_seed(0)
    a, b = torch.randn(200, 2, generator=generator), torch.randn(200, 2, generator=generator) + 3
    free, capped = weights_of(a, b, cap=1e6), weights_of(a, b, cap=2.0)
    ratio = capped / free  # below the cap all weights change by the same factor
    below = free < 2.0
    assert torch.allclose(ratio[below], ratio[below][0]) and 0 < int((~below).sum()) < 100
    assert torch.allclose(capped[~below], 2.0 * ratio[below][0])
    assert torch.isfinite(weights_of(a, b + 1e3)).all()
