"""The schema of a suite file: each key, its type, its range and its default."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from tlbench.label_sets import OPEN_SETS, LabelSet
from tlbench.metrics import METRIC_OF_TASK, OPEN_SET_METRICS, REGRESSION_METRICS, TASK_METRIC, position_error
from tlbench.provenance import WeightsSource
from tlbench.suite.augmentation import Augmentation, order_error
from tlbench.suite.streams import Stream
from tlbench.suite.tuning import Tuning
from tlbench.terms import POSITION_TASKS, Strict, TaskName


def seed_errors(seeds: Iterable[int]) -> list[str]:
    """A sentence for each seed that is no whole number of 64 bits, as the columns of reports are."""
    rule = "takes more than 64 bits. Give a shorter number."
    return [f"The seed {seed} {rule}" for seed in seeds if not -(2**63) <= seed < 2**63]


SINGLE_TASK = "single_task"
"""The baseline of suites of several tasks: a network for each task alone."""

NO_LABELS_FOR_HEAD = (
    "protocol.label_set = 'inductive' needs labelled target samples, from which the new head learns the classes of the target. "
    "Set protocol.target_labels."
)


class Table(Strict):
    """A table of a suite; values are not converted between numbers and texts."""

    model_config = ConfigDict(strict=True)


class Protocol(Table):
    """The table `[protocol]`: what methods may read, which samples are scored, and what results are compared with."""

    task: TaskName = "classification"
    """multi_task: the domains declare several tasks, and methods are compared with networks of one task each. tokens, pixels:
    each position of a sample has a label; spans: the answer to a question is a span of tokens."""
    label_set: LabelSet = "closed"
    """How the classes of the target relate to those of the sources: the same (closed), fewer (partial), more (open), some of
    them and more (universal), or classes of its own for a new head (inductive)."""
    grants: tuple[Literal["source", "target", "stream"], ...] = Field(("source", "target"), strict=False)
    """What methods may read: without `target` it is domain generalisation, with `stream` test-time adaptation. `target_labels`
    grants `target_labeled`."""
    target_labels: int = Field(
        0, ge=0, description="labelled target samples per class (in total, for regression); never scored"
    )
    """A suite file may give a list of label budgets, such as [1, 3, 10]; `tlbench.suite.sweeps` expands it."""
    scored: Literal["adapted", "held_out", "test"] = "adapted"
    """The target samples that are scored: the unlabelled ones adapted to, a held-out share of them, or the test split."""
    held_out: float = Field(0.5, gt=0, lt=1, description="share of target samples held out, with scored = 'held_out'")
    source_held_out: float = Field(0.1, ge=0, lt=1, description="share of source samples held out for source_accuracy")
    stream: Stream | None = None
    """How scored samples come to methods that adapt at test time; none: at random, in batches as in training. It needs the
    grant `stream`."""
    baseline: str = "source_only"
    metric: Literal[
        "target_accuracy",
        "macro_f1",
        "worst_group_accuracy",
        "h_score",
        "known_accuracy",
        "unknown_accuracy",
        "r2",
        "rmse",
        "mae",
        "task_score",
        "entity_f1",
        "mean_iou",
        "dice",
        "answer_f1",
        "exact_match",
    ] = "target_accuracy"
    """The ranking metric; r2 (the default there), rmse and mae are those of regression, task_score is that of multi_task, and
    h_score, known_accuracy and unknown_accuracy are those of open and universal label sets. entity_f1 is for tokens with BIO
    tags, mean_iou (the default there) and dice are for pixels, answer_f1 (the default there) and exact_match for spans;
    accuracy and macro F1 are then over positions."""
    seeds: tuple[int, ...] = Field((0, 1, 2), min_length=1, strict=False)
    selection: tuple[Literal["source_validation", "target_entropy"], ...] = Field(
        ("source_validation",), min_length=1, strict=False
    )
    """The rules by which a sweep may choose options; none of them sees the label of a scored sample."""

    @field_validator("seeds")
    @classmethod
    def _seeds_of_64_bits(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        if errors := seed_errors(seeds):
            raise ValueError(errors[0])
        return seeds

    @model_validator(mode="before")
    @classmethod
    def _default_metric_of_the_task(cls, table: Any) -> Any:
        if not isinstance(table, dict) or not isinstance(table.get("task"), str):
            return table
        baseline = {"baseline": SINGLE_TASK} if table["task"] == "multi_task" else {}
        metric = {"metric": METRIC_OF_TASK[table["task"]]} if table["task"] in METRIC_OF_TASK else {}
        return {**metric, **baseline, **table}

    @model_validator(mode="after")
    def _stream_that_is_granted(self) -> Protocol:
        if self.stream is not None and "stream" not in self.grants:
            raise ValueError("stream declares a stream, which grants does not name. Add 'stream' to grants.")
        if self.stream is not None and self.stream.order == "by_class" and self.task == "regression":
            raise ValueError("stream.order = 'by_class' needs classes. Choose 'shuffled' or 'stored' for a regression.")
        return self

    @model_validator(mode="after")
    def _metric_of_the_task(self) -> Protocol:
        if (self.metric in REGRESSION_METRICS, self.metric == TASK_METRIC) != (
            self.task == "regression",
            self.task == "multi_task",
        ):
            raise ValueError(
                f"metric = {self.metric!r} is not a metric of {self.task}. r2, rmse and mae belong to regression, "
                "task_score to multi_task, the others to classes."
            )
        if self.task == "multi_task" and (self.target_labels or self.stream is not None or self.label_set != "closed"):
            raise ValueError("task = 'multi_task' takes no target_labels, stream or label_set. Leave them out.")
        if (error := position_error(self.task, self.metric, self.label_set)) is not None:
            raise ValueError(error)
        if self.task in POSITION_TASKS and self.stream is not None:
            raise ValueError(
                f"stream orders samples by their class, and with task = {self.task!r} a sample has many. Leave it out."
            )
        if self.label_set != "closed" and self.task == "regression":
            raise ValueError(f"label_set = {self.label_set!r} is for classes, and task = 'regression' has none. Leave it out.")
        if self.metric in OPEN_SET_METRICS and self.label_set not in OPEN_SETS:
            raise ValueError(
                f"metric = {self.metric!r} is for label_set = 'open' or 'universal', and label_set is {self.label_set!r}. "
                "Choose another metric."
            )
        return self


@dataclass(frozen=True)
class NamedFile:
    """A file or folder that an option of the backbone names, as it was when the run was planned."""

    path: Path
    sha256: str


def _numbers(value: Any) -> Any:
    numbers = value if isinstance(value, list | tuple) else [value]
    if not numbers or not all(isinstance(n, int | float) and not isinstance(n, bool) and math.isfinite(n) for n in numbers):
        raise ValueError(f"{value!r:.60} is neither a number nor a list of one number for each channel.")
    return tuple(map(float, value)) if isinstance(value, list | tuple) else float(value)


PerChannel = Annotated[float | tuple[float, ...], BeforeValidator(_numbers)]
"""One number for all channels of an image, or one for each."""


class Network(BaseModel):
    """The table `[net]`: the backbone and its input; further keys are options of the backbone."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True, allow_inf_nan=False)

    backbone: str = "auto"
    mean: PerChannel = 0.5
    """The backbone gets images as (x - mean) / std with x in [0, 1], and vectors unchanged."""
    std: PerChannel = 0.5
    normalization: Literal["stated", "weights"] = "stated"
    """Whether `mean` and `std` are those above, or those that published weights state; a run then puts these there."""
    sha256: str = Field("", pattern=r"^([0-9a-f]{64})?$", description="of the file that `weights` names; empty: not compared")
    weights_source: WeightsSource = Field(WeightsSource(), strict=False)
    """Who trained the weights, on what, and under which licence they come; it decides no number."""
    frozen: bool = False
    """A frozen backbone does not learn: its features are computed once per domain, for all methods, seeds and runs."""
    bottleneck: int = Field(0, ge=0, description="width of a trainable layer on frozen features; 0: only the head is trained")

    @field_validator("std")
    @classmethod
    def _positive(cls, value: Any) -> Any:
        if min(value if isinstance(value, tuple) else (value,)) <= 0:
            raise ValueError("A standard deviation must be greater than 0.")
        return value

    @model_validator(mode="after")
    def _one_normalization(self) -> Network:
        if self.normalization == "weights" and {"mean", "std"} & self.model_fields_set:
            raise ValueError("normalization = 'weights' takes mean and std from the weights. Leave both out, or state them.")
        return self

    @property
    def options(self) -> dict[str, Any]:
        """The options of the backbone."""
        return dict(self.model_extra or {})


class Training(Table):
    """The table `[train]`: a fixed budget. Every method of a cell takes the same number of steps; the last one is scored."""

    steps: int = Field(1000, ge=1)
    batch: int = Field(64, ge=2, description="samples that a step draws from each split")
    positions: int = Field(
        16,
        ge=1,
        le=2**16,
        description="positions (tokens, pixels) that a step draws from each of its samples, where they have labels",
    )
    optimizer: Literal["adam", "adamw", "sgd"] = "adam"
    lr: float = Field(1e-3, gt=0)
    momentum: float = Field(0.9, ge=0, lt=1, description="Nesterov momentum of sgd")
    weight_decay: float = Field(0.0, ge=0)
    schedule: Literal["constant", "cosine", "inverse"] = "constant"
    """inverse: lr / (1 + 10 p)^0.75, with the progress p from 0 to 1. Ganin and Lempitsky, Unsupervised domain adaptation by
    backpropagation, ICML 2015. https://arxiv.org/abs/1409.7495"""
    layout: Literal["auto", "contiguous", "channels_last"] = "auto"
    precision: Literal["auto", "fp32", "tf32", "bf16"] = "auto"
    """bf16 runs the backbone under autocast, and auto takes it on a GPU that supports it. tf32 applies to all matrix products
    of a step, on CUDA."""
    compile: Literal["auto", "off", "step", "graph"] = "auto"
    """How a step runs: eager, compiled, or captured as a CUDA graph; auto takes what is faster on a GPU, and eager on a CPU."""
    resident: Literal["auto", "on", "off"] = "auto"
    """Whether the samples stay on the device; off: batches are sent there ahead of the steps. auto: on where they fit."""
    vmap_seeds: Literal["auto", "on", "off"] = "auto"
    """Whether the seeds of a case are trained in one vectorised program; auto: on a GPU, where that is faster."""
    trace: int = Field(5, ge=0, description="checkpoints at which label-free facts are recorded")
    augment: tuple[Augmentation, ...] = Field((), strict=False)
    """The random views of the samples that steps draw, one after the other; scored samples are never changed."""

    @field_validator("augment")
    @classmethod
    def _mixing_comes_last(cls, augment: tuple[Augmentation, ...]) -> tuple[Augmentation, ...]:
        if (error := order_error(augment)) is not None:
            raise ValueError(error)
        return augment


class Selection(Table):
    """The table `[selection]`: what is stored of candidates, so that rules can select among them; without it nothing is.

    The scores of a case are the same with it and without it.
    """

    checkpoints: int = Field(10, ge=1, le=20, description="candidates that a training adapts, beside the unadapted one")


class MethodEntry(BaseModel):
    """A method entry, a subtable of `[methods]`; further keys are options of the method."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True)

    method: str = ""
    """The name of the method; empty where the entry is named after it."""

    @property
    def options(self) -> dict[str, Any]:
        """The options of the method, as the suite gives them."""
        return dict(self.model_extra or {})


MEAN = "mean"
"""What stands for the pair of a published value that is a mean over pairs."""


class PublishedLevel(Table):
    """A table of `[[published]]`: what one source reports for a method entry of the suite, as a rule for its baseline."""

    entry: str
    values: dict[str, Annotated[float, Field(allow_inf_nan=False)]] = Field(min_length=1)
    """By pair of the suite, or "mean", in the unit of tables, which is per cent for accuracy."""
    metric: str = ""
    """A name in `METRICS`; empty: the metric of the suite."""
    network: str = Field(min_length=1, description="the network or learner of the publication")
    source: str = Field(min_length=1, description="the publication or code with the values")
    url: str = Field("", pattern=r"^(https?://\S+)?$")
    note: str = ""
    """Where its protocol departs from that of the suite."""


class SuiteFile(Table):
    """The top level of a suite file."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_\-]*$")
    version: int = Field(ge=1)
    title: str = ""
    citation: str = ""
    data: dict[str, Any] = Field(default_factory=dict)
    domains: dict[str, dict[str, Any]] = Field(min_length=1)
    pairs: Any = None
    protocol: Protocol = Protocol()
    net: Network = Network()
    train: Training = Training()
    selection: Selection | None = None
    tuning: Tuning | None = None
    methods: dict[str, MethodEntry] = Field(min_length=1)
    published: tuple[PublishedLevel, ...] = Field((), strict=False)
