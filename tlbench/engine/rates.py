"""The optimiser of a phase, and what learns how fast at each moment of it."""

from __future__ import annotations

import functools
import math

import torch
from torch import nn

from tlbench.methods.base import Group, Phase, Trained
from tlbench.suite import Training


@functools.cache
def warm_up() -> None:
    """The first optimiser of a process imports seconds' worth of torch, which no case is to be billed for."""
    torch.optim.SGD([nn.Parameter(torch.zeros(1))])


class Rates:
    """The optimiser of a phase, and what learns how fast at each moment of it."""

    def __init__(self, method: Trained, phase: Phase, training: Training) -> None:
        self._schedule, self._lr = training.schedule, training.lr
        self._groups = phase.groups or (Group((method,)),)
        self._frozen: dict[int, bool] = {}
        method.train()
        for parameter in method.parameters():
            parameter.requires_grad_(False)
        held = [[p for module in group.modules for p in module.parameters()] for group in self._groups]
        self.optimiser = make_optimiser([{"params": p} for p in held if p], training)
        self._groups = tuple(group for group, p in zip(self._groups, held, strict=True) if p)
        for module in {m for group in self._groups for m in group.modules}:
            module.requires_grad_(True)
        self._constant = training.schedule == "constant" and not any(callable(g.scale) for g in self._groups)
        self._started = False

    def open(self) -> list[nn.Parameter]:
        """The parameters that learn now."""
        return [p for held in self.optimiser.param_groups for p in held["params"] if p.requires_grad]

    def set(self, progress: float) -> None:
        """Learning rates at a progress in [0, 1]; groups at scale 0 are frozen."""
        if self._constant and self._started:
            return
        self._started = True
        lr = (
            self._lr
            * {
                "constant": 1.0,
                "cosine": 0.5 * (1 + math.cos(math.pi * progress)),
                "inverse": (1 + 10 * progress) ** -0.75,
            }[self._schedule]
        )
        for index, (group, held) in enumerate(zip(self._groups, self.optimiser.param_groups, strict=True)):
            scale = group.scale(progress) if callable(group.scale) else group.scale
            held["lr"] = lr * scale
            if self._frozen.get(index) != (scale == 0):
                self._frozen[index] = scale == 0
                for module in group.modules:
                    module.requires_grad_(scale != 0)
                    module.train(scale != 0)


def make_optimiser(groups: list[dict[str, list[nn.Parameter]]], training: Training) -> torch.optim.Optimizer:
    """The suite's optimiser, in torch's fused form."""
    if training.optimiser == "sgd":
        return torch.optim.SGD(
            groups,
            lr=training.lr,
            momentum=training.momentum,
            nesterov=training.momentum > 0,
            weight_decay=training.weight_decay,
            fused=True,
        )
    kind = torch.optim.Adam if training.optimiser == "adam" else torch.optim.AdamW
    return kind(groups, lr=training.lr, weight_decay=training.weight_decay, fused=True)
