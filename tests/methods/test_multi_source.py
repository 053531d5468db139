"""Methods for several sources: their losses beside published code, laws, and what they gain over pooled sources.

The golden numbers come from that code, run on its own; a comment names the repository and the commit.
"""

from __future__ import annotations

import pytest
import torch
from shifted_toys import accuracy, moved
from source_samples import CLASSES_OF_SAMPLES, SAMPLES, SIZE, for_sources
from wave_samples import is_close, wave

from tlbench import checks
from tlbench.methods.multi_source._sources import source_shares
from tlbench.methods.multi_source.darn import source_weights
from tlbench.terms import Labelled, Step

TARGET_BD = wave(SIZE, 8, 44) * 1.5
DOMAIN = torch.arange(3).repeat_interleave(SIZE)
MULTI_SOURCE = ["m3sda", "mdan", "darn"]


def step_of(count, order=None):
    """A step of the first sources, one after the other or in another order."""
    x, y = torch.cat(SAMPLES[:count]).requires_grad_(), torch.cat(CLASSES_OF_SAMPLES[:count])
    order = torch.arange(len(y)) if order is None else order
    return Step(Labelled(x[order], y[order], DOMAIN[order]), TARGET_BD.clone().requires_grad_(), progress=0.5), x


def with_adversaries(name, count, **options):
    """An adversarial method whose domain classifiers are those of the golden numbers."""
    method = for_sources(name, count, domain_weight=0.5, **options)
    method.adversaries.weight.data = torch.cat([wave(1, 8, 50 + i) for i in range(count)])
    method.adversaries.bias.data = torch.cat([wave(1, 1, 60 + i)[0] for i in range(count)])
    return method


@pytest.mark.parametrize(("moments", "value"), [(2, 5.4848290), (5, 23.6549581)])
def test_moment_distance(moments, value):
    # junfengwen/DARN at 585fc99: msda_regulizer of utils.py, whose sums over the distances to the target and over pairs of
    # sources are divided by their numbers, as in the paper: 7.8371210 / 3 + 8.6173658 / 3, and 36.4078684 / 3 + 34.5570059 / 3
    method, (step, _) = for_sources("m3sda", 3, moments=moments), step_of(3)
    distance = method.moment_distance(step.source.x, step.target, source_shares(step.source, 3))
    assert is_close(distance, value)


@pytest.mark.parametrize(
    ("name", "sharpness", "value", "of_source", "of_target"),
    [
        (
            *("mdan", 1.0, 5.98844),
            [-0.0216151, -0.0314432, -0.02444, 0.0373631, -0.009899, 0.0104992, -0.042339, 0.032378],
            [-0.0038186, -0.0237867, -0.0560495, 0.0142271, 0.0163011, -0.0059658, -0.0410594, 0.0339911],
        ),
        (
            *("darn", 1.0, 5.1134286),
            [-0.0749032, -0.1089607, -0.0846926, 0.1294753, -0.0343031, 0.0363831, -0.1467184, 0.1122],
            [-0.0321216, -0.0363665, -0.0205893, 0.0348777, -0.0237206, 0.0285457, -0.0355695, -0.0124605],
        ),
        (
            *("darn", 4.0, 18.0536194),
            [-0.4852776, -0.7059267, -0.5487004, 0.8388348, -0.2222405, 0.2357162, -0.9505484, 0.7269135],
            [-0.0907205, -0.0791617, 0.0066995, 0.0863081, -0.090127, 0.0919445, -0.0558988, -0.078108],
        ),
    ],
)
def test_losses_of_adversarial_methods(name, sharpness, value, of_source, of_target):
    # junfengwen/DARN at 585fc99: DarnBase in the modes dynamic (MDAN) and L2 (DARN) with mu = 0.5 and gamma as given; the
    # gradients by the first sample of the last source and of the target
    method, (step, x) = with_adversaries(name, 3, sharpness=sharpness), step_of(3)
    loss = method.loss(step)
    by_source, by_target = torch.autograd.grad(loss, (x, step.target))
    assert is_close(loss, value) and is_close(by_source[2 * SIZE], of_source) and is_close(by_target[0], of_target)


@pytest.mark.parametrize("name", ["mdan", "darn"])
def test_one_source_is_adversarial_adaptation(name):
    # junfengwen/DARN at 585fc99: DarnBase with one source, which is DANN; DARN's |weights| is then the constant 1
    method, (step, x) = with_adversaries(name, 1), step_of(1)
    loss = method.loss(step)
    assert is_close(loss - float(name == "darn"), 5.4362173)
    first = [-0.1524306, -0.182086, -0.0295221, 0.270634, -0.1759353, 0.1640133, -0.2283254, 0.0409674]
    assert is_close(torch.autograd.grad(loss, x)[0][0], first)


@pytest.mark.parametrize("scale", [0.01, 0.3, 1.0, 5.0, 100.0])
def test_weights_of_darn_are_a_minimum(scale):
    """No step towards another source lowers <w, losses> + |w|, and none of the weights is negative."""
    for start in range(5):
        losses = scale * wave(1, 7, start)[0]
        weights = source_weights(losses)
        assert float(weights.sum()) == pytest.approx(1, abs=1e-5) and bool((weights >= 0).all())
        gradient = losses + weights / weights.norm()
        assert float((gradient - gradient.min())[weights > 0].max()) < 1e-3 * max(scale, 1)
    assert torch.equal(source_weights(torch.tensor([2.0])), torch.ones(1))


@pytest.mark.parametrize("name", MULTI_SOURCE)
def test_a_source_without_a_sample_in_the_batch_counts_nowhere(name):
    """Of three sources with samples of two, the loss is that for these two."""
    step, _ = step_of(2)
    three, two = for_sources(name, 3), for_sources(name, 2)
    if name == "m3sda":
        three.heads[1].load_state_dict(two.heads[1].state_dict())
    else:
        two.adversaries.load_state_dict({key: value[:2] for key, value in three.adversaries.state_dict().items()})
    assert torch.allclose(three.loss(step), two.loss(step), atol=1e-5)
    order = torch.tensor([3, 10, 0, 7, 11, 1, 2, 9, 8, 4, 6, 5])
    assert torch.allclose(two.loss(step_of(2, order)[0]), two.loss(step), atol=1e-5)
    for value in torch.autograd.grad(three.loss(step), step.target):
        assert bool(value.isfinite().all())


def test_equal_domains_have_equal_moments():
    method = for_sources("m3sda", 2)
    source = Labelled(TARGET_BD.repeat(2, 1), torch.arange(2 * SIZE) % 4, DOMAIN[: 2 * SIZE])
    distance = method.moment_distance(source.x, TARGET_BD, source_shares(source, 2))
    assert float(distance) == pytest.approx(0, abs=1e-6)


def test_m3sda_averages_its_heads():
    method = for_sources("m3sda", 2)
    mean = torch.stack([head(TARGET_BD).softmax(dim=1) for head in method.heads]).mean(dim=0)
    assert torch.allclose(method.predict(TARGET_BD).exp(), mean, atol=1e-6)
    off = for_sources("m3sda", 2, weight=0.0)
    assert torch.equal(off.predict(TARGET_BD), off.net(TARGET_BD))


def pooled_sources() -> Labelled:
    """Two sources, rotated by 0.3 in opposite directions and shifted by different amounts."""
    first, second = moved(1, 0.3, 0.0), moved(3, -0.3, -1.0)
    domain = torch.arange(2).repeat_interleave(len(first))
    return Labelled(torch.cat([first.x, second.x]), torch.cat([first.y, second.y]), domain)


GAINS = {"m3sda": {}, "mdan": {"domain_weight": 0.1}, "darn": {"domain_weight": 0.1}}


@pytest.mark.parametrize("name", MULTI_SOURCE)
def test_it_gains_over_pooled_sources(name):
    """On a target that is rotated as the first source is, and shifted further than both."""
    pooled = accuracy("source_only", pooled_sources(), 0.3, 1.5)
    assert pooled < 0.85 and accuracy(name, pooled_sources(), 0.3, 1.5, **GAINS[name]) > 0.95


@pytest.mark.parametrize("name", MULTI_SOURCE)
def test_no_step_synchronises(name):
    assert checks.host_syncs(name) == []
