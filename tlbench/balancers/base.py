"""The base classes of balancers: those that weigh losses, and those that weigh the gradients of the shared parameters.

Shapes: K tasks, P parameters that all of them share. A task without a label in a batch is absent: its loss is 0.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

ABSENT_NORM = 1e-30
"""A squared norm of a task's gradient up to this counts as that of an absent task."""


class Balancer(nn.Module):
    """Turns the losses of K tasks into one update; derive from `LossBalancer` or `GradientBalancer`.

    Options are keyword arguments of the constructor with defaults; it raises a ValueError for a value out of its range. What a
    balancer remembers between steps is in buffers, so that checkpoints hold it.
    """

    reads_losses_after: ClassVar[bool] = False
    """Whether `after` wants the losses of the same batch once more, after the update: another forward pass in each step."""

    def __init__(self, tasks: int) -> None:
        super().__init__()
        self.tasks = tasks
        self.notes: list[str] = []
        """Why a solver ended before its optimality condition was met; the method copies the notes into the record."""

    def after(self, losses_K: Tensor, present_K: Tensor) -> None:
        """Learn from the losses (K,) after the update; called without gradients where `reads_losses_after`."""


class LossBalancer(Balancer):
    """One scalar loss from K losses: a step makes one backward pass."""

    def loss(self, losses_K: Tensor, present_K: Tensor) -> Tensor:
        """The loss of the step, a scalar.

        Args:
            losses_K: the losses; 0 for absent tasks.
            present_K: whether each task has labels in the batch.
        """
        raise NotImplementedError


class GradientBalancer(Balancer):
    """A weight for the gradient of each task, from their K x K products: a step makes K backward passes.

    Heads belong to one task each and follow its own gradient.
    """

    def weights(self, gram_KK: Tensor, losses_K: Tensor, index_K: Tensor) -> Tensor:
        """The weights (K,) of the present tasks.

        Args:
            gram_KK: float64, the products of the gradients of the present tasks.
            losses_K: float64, their losses.
            index_K: their indices among all tasks.
        """
        raise NotImplementedError

    @torch.no_grad()
    def combine(self, gradients_KP: Tensor, losses_K: Tensor | None = None) -> Tensor:
        """Gradients (K, P) of all tasks -> the gradient (P,) of the step; tasks whose gradient is 0 take no part."""
        gradients = gradients_KP.double()
        gram_KK = gradients @ gradients.T
        index = (gram_KK.diagonal() > ABSENT_NORM).nonzero().squeeze(1)
        if not len(index):
            return torch.zeros_like(gradients_KP[0])
        losses = torch.ones(len(gradients_KP)) if losses_K is None else losses_K
        weights = self.weights(gram_KK[index][:, index], losses.to(gram_KK)[index], index)
        return (weights.to(gradients) @ gradients[index]).to(gradients_KP.dtype)


def check_range(name: str, value: float, low: float, high: float = float("inf")) -> None:
    """Raise a ValueError for an option that is not within its bounds.

    Args:
        name: of the option.
        value: of the option.
        low: the least value that is allowed.
        high: the largest one.
    """
    if not low <= value <= high:
        raise ValueError(f"{name} = {value} must lie between {low:g} and {high:g}.")
