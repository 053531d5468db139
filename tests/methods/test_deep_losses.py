"""Losses of single deep methods: weights of terms, heads, class balance, gradients."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from tiny_suite import CPU
from toy_training import fit_deep

from tlbench import checks, methods
from tlbench.engine.data.inputs import map_in_chunks
from tlbench.engine.runtime.seeds import seeded_rng
from tlbench.nn import augmentation, backbones
from tlbench.nn.gradient_reversal import reversal_schedule
from tlbench.nn.net import Net
from tlbench.terms import Labelled, Step, Task


def test_multi_task_has_a_head_for_each_source():
    samples = checks.toy_samples(1)
    two = Labelled(samples.x, samples.y, torch.arange(120) % 2)
    method = fit_deep("multi_task", Task(3, two, checks.toy_samples(2).x, checks.toy_samples(3, 15)))
    assert len(method.heads) == 2
    start = fit_deep("multi_task", Task(3, two, checks.toy_samples(2).x, checks.toy_samples(3, 15)), steps=1)
    for one, other in zip(method.heads, start.heads, strict=True):
        assert not torch.equal(one.weight, other.weight)


@pytest.mark.parametrize("name", ["coral", "dann"])
def test_the_loss_is_linear_in_the_weight(name):
    """loss(weight) is CE + weight * term: a straight line in the weight."""
    net = Net(backbones.build_backbone("mlp", (6,), {"hidden": [8]}), 3)
    source, target = checks.toy_samples(1, 32), checks.toy_samples(2, 32, shift=0.7).x
    losses = []
    for weight in (0.0, 1.0, 3.0):
        torch.manual_seed(0)
        method = methods.method_class(name)(net, **methods.method_options(name, {"weight": weight}))
        losses.append(float(method.loss(Step(source, target, progress=0.5)).detach()))
    assert losses[2] - losses[0] == pytest.approx(3 * (losses[1] - losses[0]), abs=1e-6)
    assert losses[0] == pytest.approx(float(F.cross_entropy(net(source.x), source.y).detach()))


def test_the_class_balance_of_mean_teacher_is_that_of_the_authors_code():
    """Summed over classes and times the share of confident teachers; least where classes are used evenly."""
    net = Net(backbones.build_backbone("mlp", (6,), {"hidden": [8]}), 3)
    x, labels = torch.randn(12, 6, generator=torch.Generator().manual_seed(0)), torch.arange(12) % 3

    def loss(**options):
        method = methods.method_class("mean_teacher")(net, **{**methods.method_options("mean_teacher", {}), **options})
        with seeded_rng(0, CPU):  # the same views
            return float(method.loss(Step(source=Labelled(x, labels), target=x, indices={}, progress=0.5)).detach())

    all_confident = {"threshold": 0.0, "weight": 2.0}
    imbalance = (loss(balance=1.0, **all_confident) - loss(balance=0.0, **all_confident)) / 2
    assert imbalance > 0.999 * 3 * -(np.log(1 / 3) / 3 + 2 / 3 * np.log(2 / 3))
    with seeded_rng(0, CPU), torch.no_grad():
        mean = net(augmentation.weak(x)).softmax(dim=1).mean(dim=0).double().numpy()
    assert imbalance == pytest.approx(-(np.log(mean) / 3 + 2 / 3 * np.log(1 - mean)).sum(), rel=1e-4)
    assert loss(threshold=1.0, balance=1.0) == loss(threshold=1.0, balance=0.0)  # the teacher is confident nowhere


def test_dann_pushes_the_backbone_against_the_discriminator():
    net = Net(backbones.build_backbone("mlp", (6,), {"hidden": [8]}), 3)
    method = methods.method_class("dann")(net, **methods.method_options("dann", {}))
    source, target = checks.toy_samples(1, 32), checks.toy_samples(2, 32, shift=0.7).x
    first = net.backbone.stages[0][1].weight

    def gradient(progress: float) -> torch.Tensor:
        return torch.autograd.grad(method.loss(Step(source, target, progress=progress)), first)[0]

    task = torch.autograd.grad(F.cross_entropy(net(source.x), source.y), first)[0]
    assert torch.allclose(gradient(0.0), task, atol=1e-7)
    pushed = gradient(0.3) - task
    assert torch.allclose(gradient(1.0) - task, pushed * reversal_schedule(1.0) / reversal_schedule(0.3), rtol=1e-3, atol=1e-6)


def test_a_shallow_method_predicts_samples_in_any_chunks():
    fitted = checks.fit_method("logistic", checks.toy_task())
    x = checks.toy_samples(4, 90).x
    whole = map_in_chunks(fitted.predictor, x, fitted.inputs, 90)
    assert torch.allclose(whole, map_in_chunks(fitted.predictor, x, fitted.inputs, 7), atol=1e-12)
