"""One step of a phase: several losses whose gradients are combined move a network as their sum does."""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F

from tlbench.engine.training.optimizer import PhaseOptimizer
from tlbench.engine.training.update import update
from tlbench.methods.base import Phase
from tlbench.suite import Training
from tlbench.terms import Labelled, Step


def test_combined_gradients_reach_their_elements_in_every_memory_layout():
    generator = torch.Generator().manual_seed(0)
    convolutions = [torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU(), torch.nn.Conv2d(8, 4, 3), torch.nn.Flatten()]
    for layer in (convolutions[0], convolutions[2]):
        torch.nn.init.normal_(layer.weight, std=0.2, generator=generator)
        torch.nn.init.zeros_(layer.bias)
    summed = torch.nn.Sequential(*convolutions).to(memory_format=torch.channels_last)
    combined = copy.deepcopy(summed)
    x, y = torch.randn(6, 3, 8, 8, generator=generator), torch.arange(6) % 3
    step = Step(source=Labelled(x.to(memory_format=torch.channels_last), y, torch.zeros(6, dtype=torch.int64)))

    def losses(net):
        outputs = net(step.source.x)
        return F.cross_entropy(outputs[:, :3], y), outputs[:, 3:].square().mean()

    phases = {
        summed: Phase(lambda _: sum(losses(summed)), frozenset({"source"})),
        combined: Phase(
            lambda _: losses(combined), frozenset({"source"}), combine=lambda gradients_KP: gradients_KP.sum(dim=0)
        ),
    }
    for net, phase in phases.items():
        optimizer = PhaseOptimizer(net, phase, Training(steps=5, lr=0.01))
        for number in range(5):
            optimizer.set_progress(number / 5)
            update(phase, step, optimizer, lambda stage: None)
    for expected, parameter in zip(summed.parameters(), combined.parameters(), strict=True):
        torch.testing.assert_close(parameter, expected, rtol=1e-4, atol=1e-5)
