"""The optimizer of a phase, and what learns how fast at each moment of it."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from tlbench.errors import NotApplicableError
from tlbench.methods.base import DeepMethod, Group, Phase
from tlbench.suite import Training


@functools.cache
def import_optimizers() -> None:
    """The first optimizer of a process imports seconds' worth of torch, which no case is to be billed for."""
    torch.optim.SGD([nn.Parameter(torch.zeros(1))])


class PhaseOptimizer:
    """The optimizer of a phase, and what learns how fast at each moment of it.

    Args:
        method: what learns.
        phase: its groups.
        training: optimizer, rate and schedule.
        on_device: the rates live in tensors on the device, so that a captured step can change them.
    """

    def __init__(self, method: DeepMethod, phase: Phase, training: Training, on_device: bool = False) -> None:
        self._schedule, self._lr = training.schedule, training.lr
        self._groups = phase.groups or (Group((method,)),)
        self._frozen: dict[int, bool] = {}
        method.train()
        for parameter in method.parameters():
            parameter.requires_grad_(False)
        held = [[p for module in group.modules for p in module.parameters()] for group in self._groups]
        if all(not p or group.scale == 0 for group, p in zip(self._groups, held, strict=True)):
            raise NotApplicableError(
                "nothing learns in a phase of this method: all that it moves is frozen, or has no parameter"
            )
        self.optimizer = make_optimizer([{"params": p} for p in held if p], training, on_device)
        self._groups = tuple(group for group, p in zip(self._groups, held, strict=True) if p)
        for module in {m for group in self._groups for m in group.modules}:
            module.requires_grad_(True)
        self._constant = training.schedule == "constant" and not any(callable(g.scale) for g in self._groups)
        self._started = False

    def open(self) -> list[nn.Parameter]:
        """The parameters that learn now."""
        return [p for held in self.optimizer.param_groups for p in held["params"] if p.requires_grad]

    def clear(self) -> None:
        """Let go of all gradients; what torch's own `zero_grad` does beside that takes longer than the rest of a small step."""
        for held in self.optimizer.param_groups:
            for parameter in held["params"]:
                parameter.grad = None

    def set(self, progress: float) -> None:
        """Learning rates at a progress in [0, 1]; groups at scale 0 are frozen."""
        if self._constant and self._started:
            return
        self._started = True
        rates = self.at(progress)
        for index, (rate, group, held) in enumerate(zip(rates, self._groups, self.optimizer.param_groups, strict=True)):
            if isinstance(held["lr"], Tensor):
                held["lr"].fill_(rate)
            else:
                held["lr"] = rate
            if self._frozen.get(index) != (rate == 0):
                self._frozen[index] = rate == 0
                for module in group.modules:
                    module.requires_grad_(rate != 0)
                    module.train(rate != 0)

    def state(self) -> dict[str, Any]:
        """What is known beside the optimizer's own state, for a checkpoint."""
        return {"frozen": list(self._frozen.items()), "started": self._started}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Take up what `state` gave; the modules' own modes are put back with the method."""
        self._frozen, self._started = dict(state["frozen"]), state["started"]

    def at(self, progress: float) -> list[float]:
        """The rate of each group at a progress."""
        lr = (
            self._lr
            * {
                "constant": 1.0,
                "cosine": 0.5 * (1 + math.cos(math.pi * progress)),
                "inverse": (1 + 10 * progress) ** -0.75,
            }[self._schedule]
        )
        return [lr * (group.scale(progress) if callable(group.scale) else group.scale) for group in self._groups]

    def table(self, steps: int) -> Tensor | None:
        """The rates of all steps (steps, groups) on the host; None where a group is frozen in some steps and open in others."""
        rates = torch.tensor([self.at(step / steps) for step in range(steps)])
        frozen = rates == 0
        return None if bool((frozen.any(dim=0) != frozen.all(dim=0)).any()) else rates


def make_optimizer(
    groups: list[dict[str, list[nn.Parameter]]], training: Training, on_device: bool = False
) -> torch.optim.Optimizer:
    """The suite's optimizer, in torch's fused form; with `on_device` each group's rate is a tensor beside its parameters."""
    device = groups[0]["params"][0].device

    def rate() -> float | Tensor:
        return torch.tensor(training.lr, device=device) if on_device else training.lr

    given = [{**group, "lr": rate()} for group in groups]
    if training.optimizer == "sgd":
        return torch.optim.SGD(
            given,
            lr=rate(),
            momentum=training.momentum,
            nesterov=training.momentum > 0,
            weight_decay=training.weight_decay,
            fused=True,
        )
    kind = torch.optim.Adam if training.optimizer == "adam" else torch.optim.AdamW
    capturable = on_device and device.type == "cuda"
    optimizer = kind(given, lr=rate(), weight_decay=training.weight_decay, fused=True, capturable=capturable)
    # torch warns of steps that could be captured and are not; here the first ones never are
    optimizer._warned_capturable_if_run_uncaptured = True
    return optimizer
