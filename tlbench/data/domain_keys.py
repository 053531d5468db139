"""The keys that every domain table of a suite may have, whatever its reader is."""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, PositiveInt, model_validator

from tlbench.data.labels.classes import UNKNOWN, normalized
from tlbench.errors import did_you_mean
from tlbench.terms import POSITION_TASKS, Strict, TaskName


def _distinct(labels: list[Any]) -> list[Any]:
    texts = Counter(normalized(str(label)) for label in labels)
    if duplicates := sorted(text for text, count in texts.items() if count > 1):
        raise ValueError(f"Each class must be named once, and {duplicates[0]!r} is there twice.")
    return labels


def _readable(text: str) -> str:
    if not text.strip() or not text.isprintable():
        raise ValueError(f"{text!r:.60} is not readable: class texts are words on one line, without control characters.")
    return text


class CommonKeys(Strict, strict=True):
    """The keys that every domain table may have; all others belong to the reader."""

    reader: str
    task: TaskName = "classification"
    """For regression the labels are targets: numbers in one column or several; there are no classes then. For tokens and pixels
    each position of a sample has a label."""
    tasks: dict[str, Literal["classification", "regression"]] = Field(default_factory=dict)
    """Of task = "multi_task": label column -> what it is. Missing labels are allowed."""
    tasks_by_group: Literal["classification", "regression"] | None = None
    """Of task = "multi_task", in the place of `tasks`: every group is a task of this kind, with the one label column."""
    shape: Annotated[list[PositiveInt], Field(min_length=1)] | None = None
    samples: PositiveInt | None = None
    classes: Annotated[list[str | int], Field(min_length=1), AfterValidator(_distinct)] | None = None
    label_map: dict[str, str | int] = Field(default_factory=dict)
    """Label in the files -> label of the suite; labels that are not named stay as they are."""
    class_texts: dict[str, Annotated[str, Field(max_length=1000), AfterValidator(_readable)]] = Field(default_factory=dict)
    """Label of the suite -> readable words, for methods that read class names; without them, the label with spaces for `_`."""
    drop_others: bool = False
    """Samples whose label is outside `classes` are left out."""
    unknown: bool = False
    """Labels outside `classes` become one more class, "unknown" (open-set targets)."""
    keep: Annotated[list[str | int], Field(min_length=1), AfterValidator(_distinct)] | None = None
    """The classes whose samples stay; the others stay in the class list, without samples (partial targets)."""
    shifts: list[Any] = Field(default_factory=list)
    prepare: list[Any] = Field(default_factory=list)
    licence: str | None = None
    citation: str | None = None
    source: str | None = None
    sha256: dict[str, Annotated[str, Field(pattern="^[0-9a-f]{64}$")]] = Field(default_factory=dict)
    """File below the data root -> its checksum; a run stops at a file with another one."""
    test: dict[str, Any] | None = None

    @model_validator(mode="after")
    def _one_label_set(self) -> Self:
        names = {normalized(str(label)) for label in self.classes or ()} | ({UNKNOWN} if self.unknown else set())
        class_keys = {"classes": self.classes, "label_map": self.label_map, "class_texts": self.class_texts, "keep": self.keep}
        if self.task in POSITION_TASKS and (self.keep or self.unknown or self.class_texts):
            raise ValueError(f"keep, unknown and class_texts are for samples of one class each, not for task = {self.task!r}.")
        if self.task == "spans" and (given := [key for key, value in {**class_keys, "test": self.test}.items() if value]):
            raise ValueError(
                f"The key {given[0]!r} does not fit task = 'spans', whose tokens are the start of the answer, its end, both or "
                "neither, and whose scored samples are of the domain itself. Leave it out."
            )
        has_classes = self.task == "classification" or self.task in POSITION_TASKS
        if not has_classes and (given := [key for key, value in class_keys.items() if value]):
            labels = "labels are numbers" if self.task == "regression" else "each task has classes of its own"
            raise ValueError(f"The key {given[0]!r} is for class labels, and with task = {self.task!r} {labels}. Leave it out.")
        if (self.task == "multi_task") != bool(self.tasks or self.tasks_by_group) or (self.tasks and self.tasks_by_group):
            raise ValueError(
                "task = 'multi_task' takes either tasks, such as { age = 'regression', sex = 'classification' }, or "
                "tasks_by_group; no other task takes one of them."
            )
        if len(self.tasks) == 1:
            raise ValueError(f"tasks names {next(iter(self.tasks))!r} alone. Name two label columns, or set another task.")
        if self.task == "multi_task" and self.test is not None:
            raise ValueError("A domain of several tasks has no test samples. Declare them as the target of the pair.")
        if self.drop_others and self.unknown:
            raise ValueError("drop_others and unknown can't both be set: other labels are either dropped or unknown.")
        if (self.drop_others or self.unknown or self.keep) and self.classes is None:
            raise ValueError("drop_others, unknown and keep need the key classes.")
        if self.keep and (absent := [str(label) for label in self.keep if normalized(str(label)) not in names]):
            raise ValueError(
                f"keep names {absent[0]!r}, which is not among the classes. {did_you_mean(absent[0], sorted(names))}"
            )
        return self


COMMON_KEYS = frozenset(CommonKeys.model_fields)
TEST_KEYS = frozenset({"reader", "shape", "samples"})
"""The common keys that a `test` table may override."""
