"""The label columns of several tasks -> one array of class indices and numbers, in which missing labels are NaN."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlbench.data.decoding.arrays import ReaderResult
from tlbench.data.labels.classes import encode_labels, label_array
from tlbench.errors import TlbenchError, unknown_name
from tlbench.terms import LabeledTask

Array = NDArray[Any]


def task_labels(
    result: ReaderResult, kinds: Mapping[str, str], kind_of_groups: str | None
) -> tuple[tuple[LabeledTask, ...], NDArray[np.float32]]:
    """The tasks of a domain, and the labels (N, tasks) of its samples.

    Args:
        result: what a reader returned: labels (N, columns) with the names of the columns, or (N,) with groups.
        kinds: label column -> classification or regression.
        kind_of_groups: what each group is, where the groups are the tasks.

    Raises:
        TlbenchError: a column that is not among the labels, a task without a label, a single task, or labels that are no
            numbers in a regression.
    """
    y = np.asarray(result.y)
    if kind_of_groups is not None:
        columns = _columns_of_groups(label_array(y), result.group)
        kinds = dict.fromkeys(columns, kind_of_groups)
    else:
        names = tuple(result.targets) or tuple(kinds)
        if y.ndim != 2 or y.shape[1] != len(names):
            raise TlbenchError(f"The labels are {y.shape}, and tasks names {len(kinds)} columns. Name them in the reader.")
        if unknown := [name for name in kinds if name not in names]:
            raise TlbenchError(unknown_name("label column", unknown[0], names, "tasks"))
        columns = {name: y[:, names.index(name)] for name in kinds}
    if len(columns) < 2:
        raise TlbenchError("There is one task only, and task = 'multi_task' needs two at least. Set another task.")
    tasks, encoded = zip(*(_encoded(name, columns[name], kind) for name, kind in kinds.items()), strict=True)
    return tuple(tasks), np.stack(encoded, axis=1)


def _columns_of_groups(y: Array, group: Any) -> dict[str, Array]:
    """A column for each group, with the labels (N,) of its samples, and None elsewhere."""
    if group is None:
        raise TlbenchError("tasks_by_group needs groups. Name their column or array by `group`, or the cells by `cells`.")
    names, indices = encode_labels(np.asarray(group))
    columns = {}
    for number, name in enumerate(names):
        column = np.full(len(y), None, dtype=object)
        column[indices == number] = y[indices == number]
        columns[name] = column
    return columns


def _encoded(name: str, column: Array, kind: str) -> tuple[LabeledTask, NDArray[np.float32]]:
    """A task, and its labels (N,): class indices or numbers, NaN where one is missing."""
    is_missing = np.array([cell is None or cell != cell for cell in column], dtype=bool)  # NaN differs from itself
    if is_missing.all():
        raise TlbenchError(f"The task {name!r} has no label. Leave it out of tasks.")
    labels = np.full(len(column), np.nan, dtype=np.float32)
    present = column[~is_missing]
    if kind == "classification":
        classes, indices = encode_labels(present)
        if len(classes) < 2:
            raise TlbenchError(f"All labels of the task {name!r} are {classes[0]!r}. A classification needs two classes.")
        labels[~is_missing] = indices
        return LabeledTask(name, tuple(classes)), labels
    try:
        labels[~is_missing] = present.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise TlbenchError(f"The task {name!r} is a regression and holds other labels than numbers ({error}).") from error
    if not np.isfinite(labels[~is_missing]).all():
        raise TlbenchError(f"The task {name!r} holds infinite labels.")
    return LabeledTask(name), labels
