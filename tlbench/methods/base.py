"""The base classes of all methods: what a method reads, its options, and either a loss (deep) or a closed form (shallow).

A method is one file with one subclass of `DeepMethod` or `ShallowMethod`. It sees a `Task` or a `Step` and nothing else.
Shapes: N samples of a split, B of a batch, D features, C classes; for a regression, K target columns stand for the C classes.
"""

from __future__ import annotations

import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, create_model
from pydantic.fields import FieldInfo
from torch import Tensor, nn

from tlbench.label_sets import LABEL_SETS
from tlbench.methods.groups import Group as Group
from tlbench.methods.online import OnlineAdaptation as OnlineAdaptation
from tlbench.nn.net import Net
from tlbench.solvers.base_learners import LEARNER_VERSIONS
from tlbench.terms import SPLIT_OF_OLD, SPLITS, STREAM_SPLIT, Step, Task

Predictor = Callable[[Tensor], Tensor]
"""Inputs (N, ...) -> class scores (N, C), whose largest is the predicted class; for a regression, predictions (N, K)."""


class Method:
    """The base class of both kinds of methods; derive from `DeepMethod` or `ShallowMethod`, not from this class.

    A class attribute `name: type = pydantic.Field(default, ge=..., description=...)` declares an option. A suite sets it under
    `[methods.<entry>]`, pydantic checks its type and range before anything runs, and the instance holds its value as
    `self.name`:

        class CORAL(DeepMethod):
            reads = frozenset({"source", "target"})
            weight: float = Field(1.0, ge=0, description="of the alignment term")
    """

    reads: ClassVar[frozenset[str]]
    """The splits that the method learns from, a subset of {"source", "target", "target_labeled", "stream"}.

    `source` holds labelled source samples, `target` unlabelled target samples, `target_labeled` the labelled target samples
    that a suite grants, and `stream` the scored samples in order, each predicted before the method learns from it. The engine
    hands over these splits and no others. In a suite that does not grant all of them, the method is skipped.
    """
    tasks: ClassVar[frozenset[str]] = frozenset({"classification"})
    """The tasks that the method can solve: {"classification"}, {"regression"} or both; suites of other tasks skip it. A method
    with "multi_task" finds the tasks in `net.tasks`."""
    label_sets: ClassVar[frozenset[str]] = frozenset(LABEL_SETS)
    """The label sets that the method has a meaning for; suites of others skip it. Whether it can learn classes that the source
    lacks (inductive) follows from what its phases read, and need not be said."""
    version: ClassVar[int] = 1
    """Raise the version when the method's numbers change: records of the old version are then run again."""
    reads_class_texts: ClassVar[bool] = False
    """Whether the method learns from class names. `Task` then has them as `class_texts`, and the text side of the network as
    `embed_classes`; only a shallow method may ask for them. It gets features of the frozen backbone in any suite."""
    positions: ClassVar[bool] = True
    """Whether a deep method for classification works on positions (tokens, pixels) as on samples; false where it changes or
    mixes whole samples in ways that their positions do not follow."""
    draws_per_sample: ClassVar[bool] = False
    """Whether the loss draws random numbers for each sample, such as views or noise; a permuted batch then draws others."""
    Options: ClassVar[type[BaseModel]]
    """The pydantic model of the options, made from the class attributes; it forbids unknown options."""

    def __init_subclass__(cls, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        declared: dict[str, Any] = {}
        for kind in reversed(cls.__mro__):
            own = {name: value for name, value in vars(kind).items() if isinstance(value, FieldInfo)}
            hints = typing.get_type_hints(kind, include_extras=True) if own else {}
            if untyped := sorted(own.keys() - hints.keys()):
                raise TypeError(f"The option {untyped[0]!r} has no type. Write `{untyped[0]}: float = Field(...)`.")
            declared |= {name: (hints[name], value) for name, value in own.items()}
        config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)
        cls.Options = create_model(f"{cls.__name__}Options", __config__=config, **declared)

    @classmethod
    def version_with(cls, options: Mapping[str, Any]) -> int:
        """The version of the method's numbers under these options, which `version` counts for all of them."""
        return cls.version

    def note(self, text: str) -> None:
        """Write into the record what ran otherwise than the suite asked, and why; a repeated text is written once."""
        self.__dict__.setdefault("noted", {})[text] = None

    @property
    def notes(self) -> tuple[str, ...]:
        """The notes in the order in which they were written."""
        return tuple(self.__dict__.get("noted", ()))

    @classmethod
    def check(cls) -> None:
        """Check the declarations `tasks`, `label_sets`, `reads` and `version` of the class.

        Raises:
            ValueError: `tasks`, `label_sets` or `reads` is empty, is no set, or names something that does not exist; or
                `version` is no number.
        """
        for name, example in (("reads", "source"), ("tasks", "classification"), ("label_sets", "closed")):
            value: object = getattr(cls, name, frozenset())
            if not isinstance(value, set | frozenset):
                entry = value if isinstance(value, str) else example
                raise ValueError(f"{cls.__name__}.{name} = {value!r} is no set. Write {name} = frozenset({{{entry!r}}}).")
        if not isinstance(cls.version, int) or cls.version < 0:
            raise ValueError(f"{cls.__name__}.version = {cls.version!r} is no whole number from 0 on. Write version = 1.")
        if not cls.tasks or not cls.tasks <= {"classification", "regression", "multi_task"}:
            raise ValueError(
                f"{cls.__name__}.tasks must be a non-empty subset of {{'classification', 'regression', 'multi_task'}}."
            )
        if not cls.label_sets or not cls.label_sets <= {*LABEL_SETS}:
            raise ValueError(f"{cls.__name__}.label_sets must be a non-empty subset of {LABEL_SETS}.")
        if renamed := sorted({*getattr(cls, "reads", ())} & {*SPLIT_OF_OLD}):
            raise ValueError(
                f"{cls.__name__}.reads names {renamed[0]!r}, which is now called {SPLIT_OF_OLD[renamed[0]]!r}. Rename it."
            )
        if not (getattr(cls, "reads", None) or cls.reads_class_texts) or not cls.reads <= {*SPLITS, STREAM_SPLIT}:
            raise ValueError(f"{cls.__name__}.reads must be a non-empty subset of {(*SPLITS, STREAM_SPLIT)}.")
        if cls.reads_class_texts and not issubclass(cls, ShallowMethod):
            raise ValueError(f"{cls.__name__}.reads_class_texts is for shallow methods. Derive it from ShallowMethod.")


class ShallowMethod(Method):
    """A method in closed form or with a solver of its own: `fit` sees the splits that it reads and returns a predictor."""

    def __init__(self, **options: Any) -> None:
        for name, value in options.items():
            setattr(self, name, value)

    @classmethod
    def version_with(cls, options: Mapping[str, Any]) -> int:
        """The method's version plus that of the learner that the option `learner` names."""
        return cls.version + LEARNER_VERSIONS.get(str(options.get("learner")), 0)

    def fit(self, task: Task) -> Predictor:
        """Fit the method and return its predictor, which runs on the device of its inputs.

        Inputs are float32 (N, ...). Random numbers come from torch's global generator, which the engine seeds.
        """
        raise NotImplementedError


class Passes(Protocol):
    """Passes over all granted samples of a split, outside the steps; `Phase.begin` gets them.

    Sample i of a pass is the sample that `Step.indices` calls i.
    """

    def map(self, split: str, function: Callable[[Tensor], Tensor]) -> Tensor:
        """Apply `function` to all inputs (N, ...) of a split and return its outputs (N, ...).

        It runs in chunks, in evaluation mode and without gradients.

        Raises:
            TlbenchError: the phase neither reads the split nor names it in `passes`.
        """

    def labels(self, split: str) -> Tensor:
        """The labels (N,) of `source` or `target_labeled`; (N, K) for a regression."""


@dataclass(frozen=True)
class AlternatingUpdate:
    """One of several updates within a step, as min-max training makes them: each with its own loss and its own modules."""

    loss: Callable[[Step], Tensor]
    """The loss of this update, a scalar."""
    modules: tuple[nn.Module, ...] | None = None
    """The modules that this update trains; None: all that the phase trains."""
    repeat: int = 1
    """How often the update is made in each step."""


@dataclass(frozen=True)
class Phase:
    """A part of the training with its own loss, splits and share of the steps; `DeepMethod.phases` lists them in order.

    A phase without a loss has no steps: it is one pass over the samples, in `begin`.
    """

    loss: Callable[[Step], Tensor] | Callable[[Step], tuple[Tensor, ...]] | tuple[AlternatingUpdate, ...] | None
    """A function that returns a scalar loss; or one that returns several, with `combine`; or alternating updates."""
    reads: frozenset[str]
    """The splits from which each step draws a batch."""
    share: float = 1.0
    """The share of the suite's steps that this phase takes; the shares of all phases must not exceed 1 in sum."""
    groups: tuple[Group, ...] | None = None
    """The modules that learn, and how fast; None: every parameter at the suite's rate. Each phase has a new optimizer."""
    begin: Callable[[Passes], None] | None = None
    """A function that is called before the first step, and `rounds` times in all, evenly spread over the phase."""
    rounds: int | None = 1
    """How often `begin` is called; None: at the start of each epoch, a pass of the steps over the largest of their splits."""
    passes: frozenset[str] = frozenset()
    """Splits that `begin` passes over, beside those that the steps draw from."""
    combine: Callable[[Tensor], Tensor] | None = None
    """A function from the gradients (K, P) of the K losses by the P parameters that all of them reach to one gradient (P,)."""
    after: Callable[[float], None] | None = None
    """A function of the progress that is called after each step, without gradients: moving averages belong here."""


class DeepMethod(Method, nn.Module):
    """A method that is trained by gradients: it gives `loss(step)`, and the engine does the rest.

    The engine owns device, precision, optimizer, schedule, batches, seeds and clock. What goes beyond one loss, a method asks
    for in `phases`.
    """

    soft_labels: ClassVar[bool] = False
    """Whether the loss takes class probabilities (B, C) in place of classes (B,), as `criterion` and `F.cross_entropy` do.
    Suites whose `train.augment` mixes samples skip the other methods."""
    pretrained: ClassVar[bool] = True
    """Whether the network starts from the pre-trained weights that a suite names; false: from new ones."""
    source_free: ClassVar[bool] = False
    """Whether all phases but the first do without the source: they start from the parameters and buffers, and nothing else."""

    def __init__(self, net: Net, source_count: int = 1, **options: Any) -> None:
        nn.Module.__init__(self)
        for name, value in options.items():
            setattr(self, name, value)
        self.net = net
        """Backbone and head. They start from the same weights for every method on a pair and seed."""
        self.classes = net.classes
        """C, the number of classes, or K, the number of target columns; those of the source are `net.source_classes`."""
        self.source_count = source_count
        """The number of source domains; `step.source.domain` (B,) holds the source index of each sample."""
        self.build()

    def build(self) -> None:
        """Create the modules that the method needs beside `net`; they are initialised from a seed of their own."""

    def loss(self, step: Step) -> Tensor:
        """The loss of one step, a scalar."""
        raise NotImplementedError

    def phases(self) -> Sequence[Phase]:
        """The phases of the training in order; by default one, which minimises `loss` over all that the method reads."""
        return (Phase(self.loss, self.reads),)

    def renew_head(self) -> None:
        """Replace the head before the first phase on a target of other classes, unless the method has one for the target."""
        self.net.renew_head()

    def online(self) -> OnlineAdaptation | None:
        """How the method adapts on the stream, if it does; its `reads` then names `stream`, unless each prediction depends on
        its own sample alone.
        """
        return None

    def predict(self, x: Tensor) -> Tensor:
        """Network inputs (B, ...) -> logits (B, C) in evaluation mode; of an open set also (B, C + 1), the last "unknown"."""
        logits: Tensor = self.net(x)
        return logits

    def criterion(self, outputs: Tensor, y: Tensor, reduction: str = "mean") -> Tensor:
        """Cross-entropy of logits (B, C) and classes (B,); for a regression, the squared error of (B, K) and (B, K).

        Reduction "none" returns one loss per sample (B,), "mean" their mean.
        """
        if not self.net.regression:
            return F.cross_entropy(outputs, y, reduction=reduction)
        losses = (outputs - y).square().mean(dim=1)
        return losses.mean() if reduction == "mean" else losses

    def supervised(self, step: Step) -> Tensor:
        """The criterion on the source batch, a scalar: the loss of `source_only`, and of a method whose own term is off."""
        return self.criterion(self.net(step.source.x), step.source.y)


RENAMED = {
    "Trained": "DeepMethod",
    "Solved": "ShallowMethod",
    "Rows": "Passes",
    "Turn": "AlternatingUpdate",
    "Online": "OnlineAdaptation",
}
"""Names that plugins of an older tlbench import from here, and what they are called now."""


if not typing.TYPE_CHECKING:  # a type checker would take any name of this module for one that exists

    def __getattr__(name: str) -> Any:
        if name in RENAMED:  # `from ... import` would put its own text in place of an AttributeError's
            raise ImportError(f"{name!r} is now called {RENAMED[name]!r}. Write `from tlbench import {RENAMED[name]}`.")
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
