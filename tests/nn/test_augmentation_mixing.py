"""MixUp and CutMix against torchvision's, the distribution of their shares; noise and factors of series."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from augmented_samples import floats, generator, pipeline
from scipy.stats import kstest
from torchvision.transforms.v2 import CutMix as TorchvisionCutMix
from torchvision.transforms.v2 import MixUp as TorchvisionMixUp

from tlbench.nn.augmentation import mixing, series


def test_mixed_samples_and_labels_are_those_of_torchvision(monkeypatch):
    x, y = floats(), torch.tensor([0, 1, 2, 0, 2, 1])
    monkeypatch.setattr(TorchvisionMixUp, "make_params", lambda self, flat: {"lam": 0.3})
    expected_x, expected_y = TorchvisionMixUp(num_classes=3)(x, y)
    parameters = torch.tensor([0.3, 0.3, 0, 0, 0, 0]).expand(6, -1)
    assert torch.allclose(mixing.mixed_samples(x, parameters, 6), expected_x)
    assert torch.allclose(mixing.mixed_labels(y, parameters, 6, 3), expected_y)

    share, center_y, center_x = torch.tensor(0.35, dtype=torch.float64), torch.tensor(4), torch.tensor(21)
    monkeypatch.setattr(torch.distributions.Beta, "sample", lambda self, shape: share)
    draws = iter([center_x[None], center_y[None]])
    with monkeypatch.context() as patched:
        patched.setattr(torch, "randint", lambda *arguments, **options: next(draws))
        theirs = TorchvisionCutMix(num_classes=3).make_params([x])
    left, top, right, bottom = theirs["box"]
    box = mixing.rectangle(share, center_y, center_x, 17, 24)
    assert [int(edge) for edge in box] == [top, bottom, left, right]
    monkeypatch.setattr(TorchvisionCutMix, "make_params", lambda self, flat: theirs)
    expected_x, expected_y = TorchvisionCutMix(num_classes=3)(x, y)
    parameters = torch.tensor([theirs["lam_adjusted"], 1, *map(float, box)]).expand(6, -1)
    assert torch.allclose(mixing.mixed_samples(x, parameters, 6), expected_x)
    assert torch.allclose(mixing.mixed_labels(y, parameters, 6, 3), expected_y)


def test_samples_are_mixed_within_their_batch_and_targets_in_the_same_shares():
    x, parameters = torch.arange(6.0)[:, None], torch.tensor([0.25, 0.25, 0, 0, 0, 0]).expand(6, -1)
    expected = 0.25 * x + 0.75 * torch.tensor([2.0, 0, 1, 5, 3, 4])[:, None]
    assert torch.allclose(mixing.mixed_samples(x, parameters, 3), expected)
    assert torch.allclose(mixing.mixed_labels(10 * x, parameters, 3, 1), 10 * expected)


@pytest.mark.parametrize("kind", ["mixup", "cutmix"])
def test_shares_follow_the_beta_distribution(kind):
    parameters = pipeline({"kind": kind, "alpha": 0.5}).draw((40_000,), generator())
    share = parameters[:, 0].double()
    assert share.min() >= 0 and share.max() <= 1
    if kind == "mixup":
        assert float(share.mean()) == pytest.approx(0.5, abs=0.01)
        assert float(share.var()) == pytest.approx(1 / 8, rel=0.02)  # 1 / (4 (2 alpha + 1))
        assert torch.equal(parameters[:, 0], parameters[:, 1]) and not parameters[:, 2:].any()
    else:
        top, bottom, left, right = parameters[:, 2:].double().T
        assert torch.allclose(share, 1 - (bottom - top) * (right - left) / (17 * 24), atol=1e-6)
        assert float(share.mean()) > 0.5  # rectangles are cut at the edges


def test_where_both_are_listed_each_sample_draws_mixup_or_cutmix():
    parameters = pipeline({"kind": "mixup"}, {"kind": "cutmix"}).draw((20_000,), generator())
    is_mixup = (parameters[:, 2:] == 0).all(dim=1) & (parameters[:, 0] == parameters[:, 1])
    assert float((parameters[:, 1] == 1).double().mean()) == pytest.approx(0.5, abs=0.02)
    assert float(is_mixup.double().mean()) == pytest.approx(0.5, abs=0.02)


def test_noise_is_standard_normal_and_follows_from_its_seed():
    seeds = torch.randint(series.SEEDS, (400,), generator=generator())
    noise = series.noise(seeds, 1000)
    assert torch.equal(noise, series.noise(seeds.float(), 1000)) and torch.equal(noise[3:4, :7], series.noise(seeds[3:4], 7))
    numbers = noise.double().flatten().numpy()
    assert kstest(numbers, "norm").pvalue > 1e-3
    assert abs(numbers.mean()) < 0.006 and abs(numbers.std() - 1) < 0.005 and abs((numbers**4).mean() - 3) < 0.1
    neighbours = series.noise(torch.arange(400), 1000).double().numpy()  # seeds in a row
    for a, b in ((noise[:, 1:], noise[:, :-1]), (neighbours[1:], neighbours[:-1]), (noise[1:, 3:], noise[:-1, :-3])):
        assert abs(np.corrcoef(np.ravel(a), np.ravel(b))[0, 1]) < 0.006


def test_series_get_noise_and_factors_for_each_channel():
    x = torch.randn(300, 4, 50, generator=generator())
    factors = pipeline({"kind": "scaling", "sigma": 0.2}, shape=(4, 50))
    parameters = factors.draw((300,), generator(1))
    assert torch.allclose(factors.views(x, parameters), x * parameters[:, :, None])
    assert float(parameters.mean()) == pytest.approx(1, abs=0.02) and float(parameters.std()) == pytest.approx(0.2, rel=0.1)
    jitter = pipeline({"kind": "jitter", "sigma": 0.3}, {"kind": "mixup"}, shape=(4, 50))
    parameters = jitter.draw((300,), generator(1))
    views = jitter.views(x, parameters)
    assert float((views - x).std()) == pytest.approx(0.3, rel=0.01) and abs(float((views - x).mean())) < 0.01
    assert torch.equal(views[5:6], jitter.views(x[5:6], parameters[5:6]))
