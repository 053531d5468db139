"""The optimizer of a phase and its learning-rate schedule."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from tlbench.errors import NotApplicableError
from tlbench.methods.base import DeepMethod, Group, Phase
from tlbench.suite import Training


@functools.cache
def import_optimizers() -> None:
    """Make a first optimizer, for it imports seconds' worth of torch, which should be billed to no case."""
    torch.optim.SGD([nn.Parameter(torch.zeros(1))])


class PhaseOptimizer:
    """The optimizer and the learning-rate schedule of a phase; it sets which parameters are trainable.

    Args:
        method: the method that learns.
        phase: its groups.
        training: optimizer, learning rate and schedule.
        on_device: whether learning rates live in tensors on the device, so that a captured step can change them.

    Raises:
        NotApplicableError: no group has a parameter and a scale other than 0.
    """

    def __init__(self, method: DeepMethod, phase: Phase, training: Training, on_device: bool = False) -> None:
        self._schedule, self._lr = training.schedule, training.lr
        self._groups = phase.groups or (Group((method,)),)
        self._frozen: dict[int, bool] = {}
        """Index of a group -> whether it is frozen now."""
        method.train()
        for parameter in method.parameters():
            parameter.requires_grad_(False)
        by_group = parameters_by_group(self._groups)
        if all(not p or group.scale == 0 for group, p in zip(self._groups, by_group, strict=True)):
            raise NotApplicableError(
                "Nothing learns in a phase of this method: all modules that it trains are frozen or have no parameters."
            )
        self.torch_optimizer = make_optimizer([{"params": p} for p in by_group if p], training, on_device)
        self._groups = tuple(group for group, p in zip(self._groups, by_group, strict=True) if p)
        for parameter in (p for parameters in by_group for p in parameters):
            parameter.requires_grad_(True)
        self._constant = training.schedule == "constant" and not any(callable(g.scale) for g in self._groups)
        self._started = False

    def trainable(self) -> list[nn.Parameter]:
        """The parameters that are not frozen now."""
        return [p for group in self.torch_optimizer.param_groups for p in group["params"] if p.requires_grad]

    def zero_grad(self) -> None:
        """Set all gradients to None; the bookkeeping of torch's own `zero_grad` takes longer than the rest of a small step."""
        for group in self.torch_optimizer.param_groups:
            for parameter in group["params"]:
                parameter.grad = None

    def set_progress(self, progress: float) -> None:
        """Set the learning rates of a progress in [0, 1], and freeze the groups whose rate is 0."""
        if self._constant and self._started:
            return
        self._started = True
        lrs = self._set_learning_rates(progress)
        for index, (lr, group, settings) in enumerate(zip(lrs, self._groups, self.torch_optimizer.param_groups, strict=True)):
            if self._frozen.get(index) != (lr == 0):
                self._frozen[index] = lr == 0
                for parameter in settings["params"]:
                    parameter.requires_grad_(lr != 0)
                for module in group.modules:
                    module.train(lr != 0)

    def resume(self, state: Mapping[int, Mapping[str, Any]], progress: float) -> None:
        """Go on from the state of a checkpoint; the modes of the modules are restored with the method.

        Args:
            state: index of a parameter -> the torch optimizer's tensors for it. Settings are those of the suite.
            progress: the progress of the last step that was made.
        """
        groups = self.torch_optimizer.state_dict()["param_groups"]
        self.torch_optimizer.load_state_dict({"state": state, "param_groups": groups})
        self._started = True
        for index, lr in enumerate(self._set_learning_rates(progress)):
            self._frozen[index] = lr == 0

    def _set_learning_rates(self, progress: float) -> list[float]:
        """Set the learning rate of each group, and return them."""
        lrs = self.learning_rates(progress)
        for lr, settings in zip(lrs, self.torch_optimizer.param_groups, strict=True):
            if isinstance(settings["lr"], Tensor):
                settings["lr"].fill_(lr)
            else:
                settings["lr"] = lr
        return lrs

    def learning_rates(self, progress: float) -> list[float]:
        """The learning rate of each group at a progress in [0, 1]."""
        lr = (
            self._lr
            * {
                "constant": 1.0,
                "cosine": 0.5 * (1 + math.cos(math.pi * progress)),
                "inverse": (1 + 10 * progress) ** -0.75,
            }[self._schedule]
        )
        return [lr * (group.scale(progress) if callable(group.scale) else group.scale) for group in self._groups]

    def learning_rate_table(self, steps: int) -> Tensor | None:
        """The learning rates of all steps (steps, groups) on the host; None where a group is frozen in some steps only."""
        table = torch.tensor([self.learning_rates(step / steps) for step in range(steps)])
        frozen = table == 0
        return None if bool((frozen.any(dim=0) != frozen.all(dim=0)).any()) else table


def parameters_by_group(groups: Sequence[Group]) -> list[list[nn.Parameter]]:
    """The parameters that belong to each group: of the modules of several groups, a parameter belongs to the last of them."""
    owners = {id(p): number for number, group in enumerate(groups) for module in group.modules for p in module.parameters()}
    return [
        [p for module in group.modules for p in module.parameters() if owners[id(p)] == number]
        for number, group in enumerate(groups)
    ]


def make_optimizer(
    groups: list[dict[str, list[nn.Parameter]]], training: Training, on_device: bool = False
) -> torch.optim.Optimizer:
    """The suite's optimizer in torch's fused form; with `on_device` the learning rate of each group is a tensor."""
    device = groups[0]["params"][0].device

    def lr() -> float | Tensor:
        return torch.tensor(training.lr, device=device) if on_device else training.lr

    settings = [{**group, "lr": lr()} for group in groups]
    if training.optimizer == "sgd":
        return torch.optim.SGD(
            settings,
            lr=lr(),
            momentum=training.momentum,
            nesterov=training.momentum > 0,
            weight_decay=training.weight_decay,
            fused=True,
        )
    optimizer_class = torch.optim.Adam if training.optimizer == "adam" else torch.optim.AdamW
    capturable = on_device and device.type == "cuda"
    optimizer = optimizer_class(settings, lr=lr(), weight_decay=training.weight_decay, fused=True, capturable=capturable)
    # torch warns of capturable optimizers whose steps are not captured; here the first steps never are
    optimizer._warned_capturable_if_run_uncaptured = True
    return optimizer
