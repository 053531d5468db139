"""The shared nouns of tlbench: what every package calls a domain, a task, a step, a case and a record.

Shapes: N samples of a domain, B of a batch, D features, C classes. Tensors are named in annotations only, so that this file
needs no torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, PrivateAttr, field_validator

from tlbench import ranges
from tlbench.label_sets import LabelSet
from tlbench.passages import Passages as Passages
from tlbench.provenance import Code as Code
from tlbench.provenance import Machine as Machine
from tlbench.provenance import WeightsSource as WeightsSource
from tlbench.ranges import Strict as Strict
from tlbench.scores import Cost as Cost
from tlbench.scores import Scores as Scores
from tlbench.scores import TracePoint as TracePoint

if TYPE_CHECKING:
    from torch import Tensor

SPLITS = ("source", "target", "target_labeled")
"""What a suite grants and a method reads: labelled source samples, unlabelled target samples, labelled target samples."""

STREAM_SPLIT = "stream"
"""A fourth grant, at test time: the scored samples without labels, in order; each is predicted before it is learned from."""

TaskName = Literal["classification", "regression", "multi_task", "tokens", "pixels", "spans"]
"""What a label is: a class, numbers, several labels, a class for each position (token or pixel) of a sample, or an answer
that is a span of its tokens, which are classified as its start, its end, both or neither."""

POSITION_TASKS = ("tokens", "pixels", "spans")
"""Tasks with an output for each position of a sample."""

IGNORED = -100
"""The label of a position that counts nowhere: padding, special tokens, later pieces of a word, unlabelled pixels."""

SCHEMA = 3
"""The schema number of the records written today; lines of every earlier schema load."""

KIND_OF_OLD = {"trained": "deep", "solved": "shallow"}
SPLIT_OF_OLD = {"few": "target_labeled"}
"""What records up to schema 2 call the kinds of methods and the splits."""


@dataclass(frozen=True)
class Labelled:
    """Samples with labels: x (N, ...), y (N,) int64 class indices, domain (N,) int64 source index of each sample.

    For regression y is float32 (N, K): K target columns; for several tasks a column each, see `Domain.tasks`. Where each of P
    positions has a label, y of stored samples is int64 (N, P), `IGNORED` where it has none; a step draws K positions of each
    sample, and its y is (B*K,). `group` (N,) int64 is the declared group of each sample, for worst-group accuracy.
    """

    x: Tensor
    y: Tensor
    domain: Tensor | None = None
    group: Tensor | None = None

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, index: Tensor) -> Labelled:
        domain = None if self.domain is None else self.domain[index]
        group = None if self.group is None else self.group[index]
        return Labelled(self.x[index], self.y[index], domain, group)


@dataclass(frozen=True)
class LabeledTask:
    """One of several tasks: a label column of its own, with its classes; without classes it is a regression."""

    name: str
    classes: tuple[str, ...] = ()

    @property
    def outputs(self) -> int:
        """The number of outputs of its head: one for each class, or one number."""
        return len(self.classes) or 1


@dataclass(frozen=True)
class Domain:
    """A declared domain, decoded: its samples, the names of its classes, and a fingerprint of its content.

    `samples.x` is uint8 (N, channels, height, width) for images or float32 (N, D) for vectors; `test` holds the domain's
    own test samples where its declaration names any.
    """

    name: str
    samples: Labelled
    classes: tuple[str, ...]
    """Empty for regression."""
    fingerprint: str
    test: Labelled | None = None
    groups: tuple[str, ...] = ()
    """The group names that `samples.group` and `test.group` index; empty where no group is declared."""
    targets: tuple[str, ...] = ()
    """The names of the K target columns of a regression; empty for classification."""
    tasks: tuple[LabeledTask, ...] = ()
    """The tasks of a multi-task domain; its labels are float32 (N, tasks): class indices and numbers, NaN where missing."""
    position_task: Literal["", "tokens", "pixels", "spans"] = ""
    """What the positions are, where each has a label: labels are then (N, P) class indices, `IGNORED` where there is none."""
    notes: tuple[str, ...] = ()
    """What was read otherwise than declared, for the records: "3 of 90 images do not decode: ..."."""
    reading: tuple[str, ...] = ()  # what was read of the files and what the declaration leaves out, for `data show` and `check`
    passages: Passages | None = field(default=None, compare=False, repr=False)
    """The texts of the samples of task = "spans", whose answers are compared as texts."""
    unfitted: Any = field(default=None, compare=False, repr=False)
    """The samples before features were fitted on the source (`tlbench.data.fit_features`); None where none are."""


@dataclass(frozen=True)
class Task:
    """All that a shallow method sees: the splits that it names in `reads` (the others are None), and the number of classes C.

    For regression `classes` is K, the number of target columns, and labels are float32 (N, K) of mean 0 and variance 1 over
    the labelled samples that the method reads: the engine standardises them, and maps predictions back.

    In an open set, target samples may be of none of the C classes. Class scores may then have a column C as well, the score of
    "unknown".
    """

    classes: int
    source: Labelled | None = None
    target: Tensor | None = None
    target_labeled: Labelled | None = None
    regression: bool = False
    open_set: bool = False
    class_texts: tuple[str, ...] = ()
    """The C class names in readable words, for methods with `reads_class_texts`; empty for the others."""
    embed_classes: Callable[[Sequence[str]], Tensor] | None = None
    """C texts -> embeddings (C, D) in the space of the features (N, D); for methods with `reads_class_texts`."""


@dataclass(frozen=True)
class Step:
    """All that a deep method sees of one training step: a batch of each split that it reads.

    `indices` holds, by split, the sample indices (B,) of the batch within its split (for memory banks); `progress` runs from
    0 to 1 over the phase; in a compiled or captured step it is a tensor ().
    """

    source: Labelled = field(default=None)  # type: ignore[assignment]  # None exactly where the method does not read it
    target: Tensor = field(default=None)  # type: ignore[assignment]
    target_labeled: Labelled = field(default=None)  # type: ignore[assignment]
    indices: Mapping[str, Tensor] = field(default_factory=dict)
    progress: float = 0.0


class Case(Strict):
    """One cell of a suite: a method entry on a pair with a seed."""

    suite: str
    suite_version: ranges.Count
    entry: str = Field(alias="row")
    """The name of the method entry in the suite's [methods]: a method with its options."""
    method: str
    options: ranges.Options = Field(default_factory=dict)
    sources: tuple[str, ...] = Field(min_length=1)
    target: str
    seed: ranges.Integer

    @property
    def pair(self) -> str:
        """The pair as it is written on tables and on the command line: `a+b:c` for sources a and b and target c."""
        return f"{'+'.join(self.sources)}:{self.target}"


class SweepLevel(Strict):
    """What a generated domain of a sweep stands for: a domain at one severity, or with one number of labels."""

    base: str
    """The domain that it was generated from, which may be one of another sweep."""
    kind: Literal["severity", "labels"]
    level: int = Field(ge=0, lt=2**63)
    """The severity, or the labelled target samples per class (in total, for regression)."""


class Record(Case):
    """A fact: what was asked, what was measured, on which machine, from which code and data, and how it ended."""

    schema_: ranges.Size = Field(default=SCHEMA, alias="schema")
    identity: str
    """Hash of all that decides the numbers; a case whose identity is on file is not run again."""
    status: Literal["done", "skipped", "failed"]
    reason: str | None = Field(None, alias="why")
    """Why a case was skipped or failed."""
    kind: Literal["deep", "shallow"] | None = None
    reads: tuple[str, ...] = ()
    baseline: str | None = None
    metric: str = "target_accuracy"
    task: TaskName = "classification"
    label_set: LabelSet = "closed"
    target_labels: ranges.Count = 0
    suite_hash: str | None = None
    sweep_levels: dict[str, SweepLevel] | None = None
    """By name, the domains of the pair that a sweep generated, and those they were generated from; {}: none is one. Null in
    records that were written before this was stored."""
    scores: Scores = Scores()
    cost: Cost = Cost()
    machine: Machine
    code: Code
    data: dict[str, str]
    """Fingerprint of each domain of the pair, by name."""
    backbone: ranges.Name | None = None
    """The backbone of a case with a network, and not `auto` but what it stands for; null: none, or not known."""
    weights: dict[ranges.Name, ranges.Sha256] | None = None
    """By the path as the suite declares it, the sha256 of each file that the backbone reads; null in older records."""
    weights_source: WeightsSource | None = None
    """What the suite, or what publishes the weights, states of them; null: nothing, no weights, or an older record."""
    plugins: dict[ranges.Name, ranges.CodeHash] | None = None
    """By name, the hash of the code of the third-party method and backbone that took part; null in older records."""
    model: ranges.Sha256 | None = None
    """The sha256 of the file beside the records that holds the fitted method, and its name; null: none was saved."""
    started: str
    finished: str
    """UTC, ISO 8601."""
    notes: tuple[str, ...] = ()
    """What ran otherwise than asked, and why: "2 sources are pooled.", "compile off: ..."."""

    @field_validator("kind", mode="before")
    @classmethod
    def _kind_of_today(cls, kind: Any) -> Any:
        return KIND_OF_OLD.get(kind, kind) if isinstance(kind, str) else kind

    @field_validator("reads", mode="before")
    @classmethod
    def _splits_of_today(cls, reads: Any) -> Any:
        return tuple(SPLIT_OF_OLD.get(split, split) for split in reads) if isinstance(reads, list | tuple) else reads

    _attached: bytes | None = PrivateAttr(None)
    _attached_facts: dict[str, bytes] = PrivateAttr(default_factory=dict)
    _attached_model: bytes | None = PrivateAttr(None)
    _traceback: str | None = PrivateAttr(None)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Record) and self.__dict__ == other.__dict__  # the facts, without what is attached

    def attach(self, content: bytes | None) -> Record:
        """This record with the content of its predictions file, which is written with it and is no part of its line."""
        self._attached = content
        return self

    @property
    def attached(self) -> bytes | None:
        """The content of the predictions file of a record that is not written yet."""
        return self._attached

    def attach_facts(self, contents: Mapping[str, bytes]) -> Record:
        """This record with the contents of the files of its candidates, by name; they are written with it."""
        self._attached_facts = dict(contents)
        return self

    @property
    def attached_facts(self) -> Mapping[str, bytes]:
        """The contents of the files of the candidates of a record that is not written yet, by name."""
        return self._attached_facts

    def attach_model(self, content: bytes | None) -> Record:
        """This record with the content of its model file, which is written with it."""
        self._attached_model = content
        return self

    @property
    def attached_model(self) -> bytes | None:
        """The content of the model file of a record that is not written yet."""
        return self._attached_model

    def attach_traceback(self, text: str | None) -> Record:
        """This record with the traceback of its error, which is shown on request and is written nowhere."""
        self._traceback = text
        return self

    @property
    def attached_traceback(self) -> str | None:
        """The traceback of the error of a case that failed in this run."""
        return self._traceback
