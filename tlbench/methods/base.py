"""What a method is: the parts that it reads, its options, and either a loss (trained) or a closed form (solved)."""

from __future__ import annotations

import typing
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, create_model
from pydantic.fields import FieldInfo
from torch import Tensor, nn

from tlbench.nn.net import Net
from tlbench.terms import SPLIT_OF_OLD, SPLITS, STREAM_SPLIT, Step, Task

Predictor = Callable[[Tensor], Tensor]
"""Rows (N, ...) -> class scores (N, C); the highest score is the predicted class."""


class Method:
    """The base of every method.

    A class attribute `name: type = pydantic.Field(default, ge=..., description=...)` is an option: suites set it, the
    instance holds its value under the same name.
    """

    reads: ClassVar[frozenset[str]]
    """The parts the method learns from: a subset of {"source", "target", "target_labeled", "stream"}."""
    tasks: ClassVar[frozenset[str]] = frozenset({"classification"})
    """What the method has a meaning for: {"classification"}, {"regression"} or both; in other suites it is skipped."""
    version: ClassVar[int] = 1
    """Raise it when the method's numbers change: records of the old version are then run again."""
    draws_per_row: ClassVar[bool] = False
    """Whether the loss draws something at random for each row (views, noise): permuted rows then draw other values."""
    Options: ClassVar[type[BaseModel]]

    def __init_subclass__(cls, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        declared: dict[str, Any] = {}
        for kind in reversed(cls.__mro__):
            own = {name: value for name, value in vars(kind).items() if isinstance(value, FieldInfo)}
            hints = typing.get_type_hints(kind) if own else {}
            declared |= {name: (hints[name], value) for name, value in own.items()}
        config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)
        cls.Options = create_model(f"{cls.__name__}Options", __config__=config, **declared)

    def note(self, text: str) -> None:
        """Say what ran otherwise than asked, and why; it stands in the record, once."""
        self.__dict__.setdefault("noted", {})[text] = None

    @property
    def notes(self) -> tuple[str, ...]:
        """All that was noted, in order."""
        return tuple(self.__dict__.get("noted", ()))

    @classmethod
    def check(cls) -> None:
        """Raises ValueError where the class itself breaks the contract."""
        if not cls.tasks or not cls.tasks <= {"classification", "regression"}:
            raise ValueError(f"{cls.__name__}.tasks must be a non-empty subset of {{'classification', 'regression'}}")
        if renamed := sorted({*getattr(cls, "reads", ())} & {*SPLIT_OF_OLD}):
            raise ValueError(f"{cls.__name__}.reads names {renamed[0]!r}, which is now called {SPLIT_OF_OLD[renamed[0]]!r}")
        if not getattr(cls, "reads", None) or not cls.reads <= {*SPLITS, STREAM_SPLIT}:
            raise ValueError(f"{cls.__name__}.reads must be a non-empty subset of {(*SPLITS, STREAM_SPLIT)}")


class ShallowMethod(Method):
    """A method in closed form: `fit` sees the parts that it reads and gives a predictor, on the device of its inputs."""

    def __init__(self, **options: Any) -> None:
        for name, value in options.items():
            setattr(self, name, value)

    def fit(self, task: Task) -> Predictor:
        """Task -> predictor. Inputs are float32 (N, ...); randomness, if any, from torch's global generator."""
        raise NotImplementedError


class Passes(Protocol):
    """All granted rows of the parts that a method reads, for passes outside the steps; order as in `Step.rows`."""

    def map(self, part: str, function: Callable[[Tensor], Tensor]) -> Tensor:
        """`function` over all inputs of a part, in chunks, in evaluation mode and without gradients: (N, ...)."""

    def labels(self, part: str) -> Tensor:
        """Labels (N,) of `source` or `few`."""


@dataclass(frozen=True)
class Group:
    """Modules that learn at `scale` times the suite's rate: a number, or a function of the phase's progress in [0, 1].

    At scale 0 they are frozen: no gradient, no optimizer state, and batch statistics stand still.
    """

    modules: tuple[nn.Module, ...]
    scale: float | Callable[[float], float] = 1.0


@dataclass(frozen=True)
class AlternatingUpdate:
    """One update within a step of a game: its loss, what learns from it (None: everything open), and how often."""

    loss: Callable[[Step], Tensor]
    modules: tuple[nn.Module, ...] | None = None
    repeat: int = 1


@dataclass(frozen=True)
class Phase:
    """A stretch of the training: its loss, the parts that its steps draw, and its share of the budget.

    A phase without a loss has no steps: it is a pass over the rows in `begin`.
    """

    loss: Callable[[Step], Tensor] | Callable[[Step], tuple[Tensor, ...]] | tuple[AlternatingUpdate, ...] | None
    """A scalar; several of them, where `combine` says what becomes of their gradients; or the turns of a game."""
    reads: frozenset[str]
    share: float = 1.0
    groups: tuple[Group, ...] | None = None
    """What learns, and how fast; None: every parameter at the suite's rate. The optimizer starts anew with each phase."""
    begin: Callable[[Passes], None] | None = None
    """Called before the first step, and `rounds` times in all, evenly over the phase."""
    rounds: int = 1
    passes: frozenset[str] = frozenset()
    """Parts that `begin` passes over, beside those that the steps draw."""
    combine: Callable[[Tensor], Tensor] | None = None
    """Gradients (K, P) of the K losses by the P parameters that all of them reach -> the one (P,) to step with."""
    after: Callable[[float], None] | None = None
    """Called after each step, without gradients, with the progress: moving averages live here."""


@dataclass(frozen=True)
class OnlineAdaptation:
    """Adaptation on the stream of scored rows, in order: a batch is predicted first, then learnt from."""

    loss: Callable[[Tensor], tuple[Tensor, Tensor]]
    """Network inputs (B, ...) -> (logits (B, C), loss); the logits of this forward are the predictions."""
    groups: tuple[Group, ...]
    lr: float
    """Adam's rate: the stream has no budget of steps, so that it does not follow the suite's."""


class DeepMethod(Method, nn.Module):
    """A method that is trained by gradients: it gives `loss(step)`, the engine owns all else.

    `net` is the same at the start for every method of a cell. Modules made in `build` start from a seed of their own.
    """

    def __init__(self, net: Net, domains: int = 1, **options: Any) -> None:
        nn.Module.__init__(self)
        for name, value in options.items():
            setattr(self, name, value)
        self.net = net
        self.classes = net.classes
        self.domains = domains
        """How many sources there are; `step.source.domain` says which one a row is from."""
        self.build()

    def build(self) -> None:
        """Make the modules that the method needs beside `net`."""

    def loss(self, step: Step) -> Tensor:
        """The loss of one step, a scalar."""
        raise NotImplementedError

    def phases(self) -> Sequence[Phase]:
        """The stretches of the training; one with `loss` unless the method says otherwise."""
        return (Phase(self.loss, self.reads),)

    def online(self) -> OnlineAdaptation | None:
        """How the method goes on learning on the stream; it must name `stream` in `reads`."""
        return None

    def predict(self, x: Tensor) -> Tensor:
        """Rows (B, ...) -> logits (B, C), in evaluation mode."""
        logits: Tensor = self.net(x)
        return logits

    def criterion(self, outputs: Tensor, y: Tensor, reduction: str = "mean") -> Tensor:
        """Cross-entropy of logits (B, C) and classes (B,); for regression the squared error of (B, K) and (B, K).

        Reduction "none" gives a loss a row (B,).
        """
        if not self.net.regression:
            return F.cross_entropy(outputs, y, reduction=reduction)
        losses = (outputs - y).square().mean(dim=1)
        return losses.mean() if reduction == "mean" else losses

    def supervised(self, step: Step) -> Tensor:
        """The loss on the source rows: what a method is when its own term is switched off."""
        return self.criterion(self.net(step.source.x), step.source.y)
