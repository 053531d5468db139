"""How a method adapts on the stream of scored samples: what it declares, and what the engine hands it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

from torch import Tensor

from tlbench.methods.groups import Group


class OnlineUpdate(Protocol):
    """The optimizer of the stream, as `OnlineAdaptation.adapt` gets it."""

    def __call__(self, loss: Tensor, before_step: Callable[[], None] | None = None) -> None:
        """Take one step of the optimizer down a loss; at learning rate 0 nothing is done.

        Args:
            loss: a scalar.
            before_step: called between the gradients and the step, for a method that takes its gradient at other parameters
                than those that the step changes.
        """

    def reset(self) -> None:
        """Give the parameters that learn the values that they had at the start of the stream, and the optimizer a new state."""


@dataclass(frozen=True)
class OnlineAdaptation:
    """Adaptation on the stream of scored samples, in order: each batch is predicted first, then the method learns from it.

    A method gives either `loss`, whose gradient the engine follows by one step a batch, or `adapt`, which asks for its steps
    itself.
    """

    loss: Callable[[Tensor], tuple[Tensor, Tensor]] | None = None
    """Network inputs (B, ...) -> (logits (B, C), scalar loss); the logits of this forward pass are the predictions."""
    groups: tuple[Group, ...] = ()
    """The modules that learn on the stream; they run in training mode, all others in evaluation mode. Without one nothing
    learns by gradients, and none are computed."""
    lr: float = 0.0
    """The optimizer's learning rate. It is an option of the method, for the suite's rate belongs to a fixed number of steps."""
    optimizer: Literal["adam", "sgd"] = "adam"
    momentum: float = 0.0
    """Of sgd, without Nesterov's look-ahead."""
    adapt: Callable[[Tensor, OnlineUpdate], Tensor] | None = None
    """Network inputs (B, ...) and the optimizer -> logits (B, C). No logit may depend on samples of later batches."""
    begin: Callable[[], None] | None = None
    """Called before the first batch, and after each reset of the stream: memories and teachers are made here."""
    decides_on_host: bool = False
    """Whether a batch's adaptation waits for the device: for a memory of single samples, a threshold, or a stopping rule."""
