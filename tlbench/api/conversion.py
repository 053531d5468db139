"""Arrays and tensors of users -> the splits of a Task, checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tlbench.errors import TlbenchError
from tlbench.terms import Labelled, Task

Samples = npt.ArrayLike | Tensor
"""Samples (N, ...) or labels: an array, a tensor, or what NumPy makes an array of."""
LabelledSamples = tuple[Samples, Samples] | Labelled
"""Samples (N, ...) with their labels (N,) or (N, K)."""
TaskKind = Literal["classification", "regression"]
Array = npt.NDArray[Any]


@dataclass(frozen=True)
class TaskData:
    """A Task made of arrays, and what its predictions are turned back by."""

    task: Task
    shape: tuple[int, ...]
    """The shape of a sample."""
    classes: Array | None
    """The class labels (C,), sorted; None for regression."""
    single_target: bool
    """Whether the labels of a regression were given as (N,)."""


def task_data(
    source: LabelledSamples | Sequence[LabelledSamples] | None,
    target: Samples | None,
    target_labeled: LabelledSamples | None,
    kind: TaskKind | None,
    device: torch.device,
) -> TaskData:
    """Check arrays and put them together as a Task.

    Args:
        source: samples (N, ...) and labels (N,) or (N, K); a list of such pairs for several sources.
        target: unlabelled samples (M, ...).
        target_labeled: labelled target samples.
        kind: the kind of task; None: regression where labels are floats.
        device: where the tensors go.

    Raises:
        TlbenchError: nothing is given, or arrays are empty, not finite, or don't fit together.
    """
    sources = [] if source is None else source if isinstance(source, list) else [source]
    names = ["source"] if len(sources) == 1 else [f"source[{number}]" for number in range(len(sources))]
    pairs: dict[str, tuple[Tensor, Array]] = {
        name: _labelled(one, name, device) for name, one in zip(names, sources, strict=True)
    }
    if target_labeled is not None:
        pairs["target_labeled"] = _labelled(target_labeled, "target_labeled", device)
    unlabelled = None if target is None else sample_tensor(target, "target", device)
    samples = {name: x for name, (x, _) in pairs.items()} | ({} if unlabelled is None else {"target": unlabelled})
    shape = _common_shape(samples)
    labels = {name: y for name, (_, y) in pairs.items()}
    if kind is None:
        kind = "regression" if any(y.dtype.kind == "f" for y in labels.values()) else "classification"
    classes = _classes(labels) if kind == "classification" else None
    columns = _target_columns(labels) if kind == "regression" else 0
    splits = {
        name: Labelled(x, _label_tensor(y, classes, device), torch.full((len(x),), _domain(names, name), device=device))
        for name, (x, y) in pairs.items()
    }
    task = Task(
        columns if classes is None else len(classes),
        _pool([splits[name] for name in names]),
        unlabelled,
        splits.get("target_labeled"),
        regression=classes is None,
    )
    return TaskData(task, shape, classes, all(y.ndim == 1 for y in labels.values()))


def sample_tensor(x: Samples, name: str, device: torch.device) -> Tensor:
    """Samples as a tensor (N, ...) on a device: images (N, channels, height, width) may stay uint8, all else is float32.

    Raises:
        TlbenchError: they are no numbers, not finite, or no array of samples.
    """
    try:
        tensor = x.detach() if isinstance(x, Tensor) else torch.as_tensor(np.ascontiguousarray(x))
    except (TypeError, ValueError) as error:
        raise TlbenchError(f"{name} can't be read as an array of numbers: {error}") from error
    if tensor.ndim < 2 or not tensor.numel():
        raise TlbenchError(f"{name} has the shape {tuple(tensor.shape)}. Give samples (N, ...): vectors are (N, D).")
    if tensor.is_complex():
        raise TlbenchError(f"{name} holds complex numbers. Give real ones.")
    if tensor.dtype != torch.int32 and (tensor.dtype != torch.uint8 or tensor.ndim != 4):
        tensor = tensor.to(torch.float32)
        if not bool(torch.isfinite(tensor).all()):
            raise TlbenchError(f"{name} holds values that are NaN or infinite (as float32). Fill or remove these samples.")
    return tensor.to(device)


def _labelled(pair: LabelledSamples, name: str, device: torch.device) -> tuple[Tensor, Array]:
    """Samples as a tensor, and their labels as an array (N,) or (N, K)."""
    if isinstance(pair, Labelled):
        pair = (pair.x, pair.y)
    if not isinstance(pair, tuple) or len(pair) != 2:
        raise TlbenchError(f"{name} is no pair of samples and labels. Give a tuple (x, y).")
    x = sample_tensor(pair[0], name, device)
    y: Array = pair[1].detach().cpu().numpy() if isinstance(pair[1], Tensor) else np.asarray(pair[1])
    if y.ndim == 0 or y.ndim > 2 or len(y) != len(x):
        raise TlbenchError(f"{name} has {len(x)} samples and labels of shape {y.shape}. Give one label a sample.")
    if y.dtype.kind == "f" and not np.isfinite(y).all():
        raise TlbenchError(f"{name} has labels that are NaN or infinite. Remove these samples.")
    return x, y


def _common_shape(samples: Mapping[str, Tensor]) -> tuple[int, ...]:
    """The shape of a sample, which all splits share."""
    if not samples:
        raise TlbenchError("There are no samples. Give source=(x, y), and target=x where the method reads it.")
    shapes = {name: tuple(x.shape[1:]) for name, x in samples.items()}
    if len({*shapes.values()}) > 1:
        listed = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        raise TlbenchError(f"Samples have different shapes: {listed}. Give all of them the same features.")
    return next(iter(shapes.values()))


def _classes(labels: Mapping[str, Array]) -> Array | None:
    """The class labels of all splits, sorted."""
    for name, y in labels.items():
        if y.ndim != 1:
            raise TlbenchError(f"{name} has class labels of shape {y.shape}. Give one class a sample, (N,), not one-hot.")
    if not labels:
        return np.arange(0)
    classes: Array = np.unique(np.concatenate(list(labels.values())))
    if len(classes) < 2:
        raise TlbenchError(f"All labels are {classes.tolist()}. Give at least two classes, or task='regression'.")
    return classes


def _target_columns(labels: Mapping[str, Array]) -> int:
    """K, the number of target columns of a regression, which all splits share."""
    for name, y in labels.items():
        if y.dtype.kind not in "fiub":
            raise TlbenchError(f"{name} has labels that are no numbers, and the task is regression. Give floats.")
    columns = {1 if y.ndim == 1 else y.shape[1] for y in labels.values()}
    if len(columns) > 1:
        raise TlbenchError(f"Labels have different numbers of target columns: {sorted(columns)}. Give all of them the same.")
    return next(iter(columns), 1)


def _label_tensor(y: Array, classes: Array | None, device: torch.device) -> Tensor:
    """Class indices (N,) int64, or the targets of a regression (N, K) float32."""
    if classes is not None:
        return torch.as_tensor(np.searchsorted(classes, y), device=device)
    return torch.as_tensor(y.reshape(len(y), -1).astype(np.float32), device=device)


def _domain(sources: Sequence[str], name: str) -> int:
    """The source index that the samples of a split carry."""
    return sources.index(name) if name in sources else 0


def _pool(sources: Sequence[Labelled]) -> Labelled | None:
    """All sources as one split."""
    if len(sources) < 2:
        return sources[0] if sources else None
    domains = [source.domain for source in sources if source.domain is not None]
    return Labelled(torch.cat([s.x for s in sources]), torch.cat([s.y for s in sources]), torch.cat(domains))
