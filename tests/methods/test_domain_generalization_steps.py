"""Methods for domain generalisation that are more than one loss: Fish, SWAD, and MLDG with second derivatives."""

from __future__ import annotations

import pytest
import torch
from source_samples import CLASSES_OF_SAMPLES, SAMPLES, SIZE, for_sources
from toy_training import fit_deep
from wave_samples import CLASSES, is_close

from tlbench import checks
from tlbench.engine.training.optimizer import PhaseOptimizer
from tlbench.engine.training.update import update
from tlbench.methods.domain_generalization._valley import averaged_segments
from tlbench.methods.multi_source._sources import source_shares
from tlbench.nn.net import floating_state
from tlbench.suite import Training
from tlbench.terms import Labelled, Step


def step_of(count):
    """A step of the samples of the first sources, with the indices of the samples."""
    domain = torch.arange(count).repeat_interleave(SIZE)
    source = Labelled(torch.cat(SAMPLES[:count]), torch.cat(CLASSES_OF_SAMPLES[:count]), domain)
    return Step(source, indices={"source": torch.arange(len(domain))})


def fish_after(steps, count=3, **options):
    """Fish on all samples of the first sources, by Adam of rate 0.1."""
    method = for_sources("fish", count, **options)
    method.build()  # of the network that the samples need
    (phase,) = method.phases()
    optimizer = PhaseOptimizer(method, phase, Training(lr=0.1))
    optimizer.set_progress(0.0)
    for _ in range(steps):
        update(phase, step_of(count), optimizer, lambda stage: None)
    return method


def test_fish_after_two_steps():
    # facebookresearch/DomainBed at b93c22a, Fish.update twice, with meta_lr 0.3 and a linear network
    head = fish_after(2, meta_rate=0.3).net.head
    of_first_class = [0.484151, 0.7506499, 0.7111503, -0.6377953, 0.1751637, -0.3463505, 0.8157601, 0.1286953]
    assert is_close(head.weight[0], of_first_class)
    assert is_close(head.bias, [0.1455039, -0.0234906, 0.0362166, -0.1497015])


def test_fish_of_one_source_and_the_whole_way_is_source_only():
    head = fish_after(2, count=1, meta_rate=1.0).net.head
    plain = for_sources("source_only", 1)
    (phase,) = plain.phases()
    optimizer = PhaseOptimizer(plain, phase, Training(lr=0.1))
    optimizer.set_progress(0.0)
    for _ in range(2):
        update(phase, step_of(1), optimizer, lambda stage: None)
    assert torch.allclose(head.weight, plain.net.head.weight, atol=1e-6)


def test_second_order_mldg_has_the_gradient_of_the_hessian():
    """(I - rate * H) G'(w') of the paper, with the Hessian H of the training risk at w from torch's own function."""
    rate, weight, step = 0.3, 1.5, step_of(2)
    method = for_sources("mldg", 2, weight=weight, inner_rate=rate, second_order=True)
    shares_SB = source_shares(step.source, 2)
    loss = method.split_loss(step, shares_SB, torch.tensor(1))
    gradient = torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(method.net.parameters()))])
    first = torch.cat([p.detach().flatten() for p in method.net.parameters()])

    def risk(parameters, source):
        logits = step.source.x @ parameters[:-CLASSES].view(CLASSES, -1).T + parameters[-CLASSES:]
        return shares_SB[source] @ torch.nn.functional.cross_entropy(logits, step.source.y, reduction="none")

    def slope(parameters, source):
        return torch.autograd.functional.jacobian(lambda p: risk(p, source), parameters)

    hessian = torch.autograd.functional.hessian(lambda p: risk(p, 0), first)
    after = slope(first - rate * slope(first, 0), 1)
    assert torch.allclose(gradient, slope(first, 0) + weight * (after - rate * hessian @ after), atol=1e-5)
    one = for_sources("mldg", 2, weight=weight, inner_rate=rate).split_loss(step, shares_SB, torch.tensor(1))
    assert torch.allclose(one, loss)  # the value is that of the first order, and the gradient another
    assert not torch.allclose(hessian @ after, torch.zeros_like(after), atol=1e-3)


LOSSES = [1.0, 0.8, 0.6, 0.55, 0.5, 0.52, 0.51, 0.56, 0.6, 0.75, 0.9, 1.0, 1.1, 1.2]


@pytest.mark.parametrize(
    ("options", "averaged"),
    [
        ((3, 6, 0.3), [3, 4, 4, 5, 6, 7, 8]),
        ((3, 3, 0.1), [5, 6, 7]),
        ((2, 1, 0.5), [5, 6, 7, 8, 9]),
        ((4, 2, 0.05), [5, 6]),
    ],
)
def test_the_averaged_segments(options, averaged):
    # khanrc/swad at 252190e, LossValley; it agreed on 3,000 random sequences of losses, too
    assert averaged_segments(LOSSES, *options) == averaged


def test_a_loss_that_falls_to_the_end_leaves_the_last_segment():
    assert averaged_segments([3.0, 2.0, 1.0, 0.5], 3, 6, 0.3) == [3]


def test_swad_learns_from_no_sample_that_is_validation():
    method, step = for_sources("swad", 3, validation_share=0.5), step_of(3)
    validation = method.is_validation(torch.arange(3 * SIZE))
    x = step.source.x.clone().requires_grad_()
    moved = Step(Labelled(x, step.source.y, step.source.domain), indices=step.indices)
    (gradient,) = torch.autograd.grad(method.loss(moved), x)
    assert 0 < validation.sum() < 3 * SIZE
    assert torch.equal(gradient.abs().sum(dim=1) == 0, validation)


def test_swad_averages_the_steps_of_each_segment_and_the_segments():
    method = fit_deep("swad", steps=20, segments=4, converge=1, tolerance=1, ratio=10.0)
    assert method.means.steps_R.tolist() == [5.0] * 4 and (method.means.loss_R > 0).all()
    averaged = averaged_segments(method.means.loss_R.tolist(), 1, 1, 10.0)
    mean_P = torch.cat([tensor.flatten() for tensor in floating_state(method.average)])
    assert averaged == [1, 2, 3] and torch.allclose(mean_P, method.means.mean_RP[averaged].mean(dim=0))
    x = checks.toy_task().source.x
    assert torch.equal(method.predict(x), method.average(x)) and not torch.equal(method.predict(x), method.net(x))


def test_the_mean_of_a_segment():
    method = for_sources("swad", 1, segments=2)
    method.build()  # of the network that the samples need
    method.means.segment.fill_(1)
    for value in (1.0, 2.0, 6.0):
        method.net.head.weight.data.fill_(value)
        with torch.no_grad():
            method.follow(0.0)
    numbers = method.net.head.weight.numel()
    assert torch.allclose(method.means.mean_RP[1, :numbers], torch.full((numbers,), 3.0)) and not method.means.mean_RP[0].any()
