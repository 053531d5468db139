"""Batch normalisation in methods: statistics of domains of any size, and of each domain by itself."""

from __future__ import annotations

import copy
import dataclasses

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from tests.toy_training import fit_deep
from tlbench import checks, methods
from tlbench.engine.data.inputs import chunk_sizes
from tlbench.engine.training.optimizer import PhaseOptimizer
from tlbench.engine.training.update import update
from tlbench.errors import NotApplicableError
from tlbench.nn import backbones
from tlbench.nn.net import Net
from tlbench.suite import Training
from tlbench.terms import Step, Task


def target_task(count: int) -> Task:
    """The toy task with a target of `count` samples, whose last differ from the others by far, as in a sorted file."""
    x = checks.toy_samples(2, count, shift=0.7).x
    x[512:] += 5
    return dataclasses.replace(checks.toy_task(), target=x)


@pytest.mark.parametrize("count", [2, 3, 511, 512, 513, 514, 600, 1024, 1025, 1026, 1537])
def test_adabn_pools_chunks_of_any_size(count):
    """The first layer's statistics are those of all target samples, however they fall into chunks of 512."""
    task = target_task(count)
    method = fit_deep("adabn", task, steps=2)
    first = method.norms[0]
    linear = next(module for module in method.net.backbone.modules() if isinstance(module, nn.Linear))
    inputs = linear(task.target)
    torch.testing.assert_close(first.running_mean, inputs.mean(dim=0), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(first.running_var, inputs.var(dim=0), rtol=1e-4, atol=1e-5)


def test_adabn_of_two_samples_more_than_a_chunk_scores_as_a_chunk():
    test = checks.toy_samples(4, 90, shift=0.7)
    accuracies = []
    for count in (512, 514):
        task = dataclasses.replace(checks.toy_task(), target=checks.toy_samples(2, count, shift=0.7).x)
        scores = checks.predict_scores(checks.fit_method("adabn", task), test.x)
        accuracies.append(float((scores.argmax(1) == test.y).double().mean()))
    assert accuracies[1] == pytest.approx(accuracies[0], abs=0.03) and accuracies[1] > 0.9


def test_one_target_sample_has_no_batch_statistics():
    task = dataclasses.replace(checks.toy_task(), target=checks.toy_samples(2, 1).x)
    with pytest.raises(NotApplicableError, match="has one sample"):
        checks.predict_scores(checks.fit_method("adabn", task), checks.toy_samples(4, 1).x)


def test_no_chunk_of_one_sample_is_left_over():
    for samples in range(2, 40):
        for chunk in range(2, 12):
            sizes = chunk_sizes(samples, chunk)
            assert sum(sizes) == samples and min(sizes) >= 2 and max(sizes) <= chunk + 1
    assert chunk_sizes(1, 5) == [1] and chunk_sizes(0, 5) == [0] and chunk_sizes(3, 1) == [1, 1, 1]


@pytest.mark.parametrize("batch_norm", [False, True])
def test_a_step_of_mcd_is_that_of_the_authors_code(batch_norm):
    """Saito's solver.py gives source and target a forward pass each in A, B and C; joint statistics in B differ by 1e-2."""
    torch.manual_seed(0)
    net = Net(backbones.build_backbone("mlp", (6,), {"hidden": [16], "batch_norm": batch_norm}), 3)
    method = methods.method_class("mcd")(net, **methods.method_options("mcd", {})).train()
    authors = copy.deepcopy(method)
    source, target = checks.toy_samples(1, 32), checks.toy_samples(2, 32, shift=2.0).x

    (phase,) = method.phases()
    training = Training(steps=1, batch=32, optimizer="sgd", lr=0.1)
    optimizer = PhaseOptimizer(method, phase, training)
    optimizer.set_progress(0.0)
    update(phase, Step(source, target, progress=0.0), optimizer, lambda stage: None)

    backbone, heads = authors.net.backbone, (authors.net.head, authors.second)
    settings = {"lr": 0.1, "momentum": training.momentum, "nesterov": True}
    of_backbone = torch.optim.SGD(backbone.parameters(), **settings)
    of_heads = torch.optim.SGD([parameter for head in heads for parameter in head.parameters()], **settings)

    def task() -> torch.Tensor:
        features = backbone(source.x)
        return F.cross_entropy(heads[0](features), source.y) + F.cross_entropy(heads[1](features), source.y)

    def discrepancy() -> torch.Tensor:
        features = backbone(target)
        return (heads[0](features).softmax(1) - heads[1](features).softmax(1)).abs().mean()

    updates = [(task, (of_backbone, of_heads)), (lambda: task() - discrepancy(), (of_heads,))]
    for loss, optimizers in (*updates, *[(discrepancy, (of_backbone,))] * 4):
        authors.zero_grad()
        loss().backward()
        for one in optimizers:
            one.step()
    for name, value in method.state_dict().items():
        torch.testing.assert_close(
            value, authors.state_dict()[name], rtol=1e-5, atol=1e-6, msg=lambda text, name=name: f"{name}: {text}"
        )
