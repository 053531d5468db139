"""A small task with a shift, on which the contract checks of methods run."""

from __future__ import annotations

import dataclasses
import weakref
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from tlbench import clock, engine, methods
from tlbench.errors import NotApplicableError
from tlbench.methods.base import Method
from tlbench.suite import Network, Protocol, Suite, Training
from tlbench.terms import STREAM_SPLIT, Case, Labelled, Task

STEPS = 100
"""The number of steps of a training, unless a check sets its own."""
CPU = torch.device("cpu")
CLASSES = 3
_base_scores: weakref.WeakKeyDictionary[type[Method], Tensor] = weakref.WeakKeyDictionary()
CLASS_NAMES = tuple(map(str, range(CLASSES)))
CLASS_EMBEDDINGS = {name: [2.5 * (name == str(column)) for column in range(6)] for name in CLASS_NAMES}
"""Class name -> the centre of its samples, so that class names and samples share a space."""


def toy_samples(seed: int, count: int = 120, shift: float = 0.0) -> Labelled:
    """Samples (N, 6) of three well separated classes; `shift` is added to all values."""
    generator = torch.Generator().manual_seed(seed)
    y = torch.arange(count) % CLASSES
    centres = torch.tensor([CLASS_EMBEDDINGS[name] for name in CLASS_NAMES])
    x = centres[y] + 0.5 * torch.randn(count, 6, generator=generator) + shift
    return Labelled(x, y, torch.zeros_like(y))


def toy_task(swapped: str | None = None) -> Task:
    """A task with all splits and class names granted; the swapped split has other inputs, and other labels where it has any.

    Args:
        swapped: a split, or `class_texts`, whose classes then have the names of each other.
    """

    def swap(split: str, samples: Labelled) -> Labelled:
        if split != swapped:
            return samples
        return Labelled(samples.x.flip(1) * 1.5 + 0.3, (samples.y + 1) % CLASSES, samples.domain)

    return Task(
        CLASSES,
        swap("source", toy_samples(1)),
        swap("target", toy_samples(2, shift=0.7)).x,
        swap("target_labeled", toy_samples(3, 15, shift=0.7)),
        class_texts=CLASS_NAMES if swapped != "class_texts" else CLASS_NAMES[::-1],
        embed_classes=embed_toy_classes,
    )


def embed_toy_classes(texts: Sequence[str]) -> Tensor:
    """Texts (C) that hold the name of a class -> embeddings (C, 6), the centres of these classes."""
    classes = [next((name for name in CLASS_NAMES if name in text), CLASS_NAMES[0]) for text in texts]
    return torch.tensor([CLASS_EMBEDDINGS[name] for name in classes])


def toy_regression(seed: int, count: int = 120, shift: float = 0.0, columns: int = 2) -> Labelled:
    """Samples (N, 6) with one or two target columns (N, K), linear in them with a little noise.

    Args:
        seed: of the draws.
        count: the number of samples N.
        shift: added to the inputs.
        columns: K, of which two exist.
    """
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(count, 6, generator=generator)
    weights = torch.tensor([[2.0, -1.0, 0.5, 0.0, 0.0, 0.0], [0.0, 0.0, 1.0, 1.0, -2.0, 0.0]])
    y = 10 * x @ weights.T + 50 + 0.5 * torch.randn(count, 2, generator=generator)
    return Labelled(x + shift, y[:, 2 - columns :], torch.zeros(count, dtype=torch.int64))


def toy_suite(
    steps: int = STEPS,
    batch_norm: bool = False,
    task: str = "classification",
    label_set: str = "closed",
    *,
    class_names: bool = False,
) -> Suite:
    """A suite of the toy task, which needs no files.

    Args:
        steps: the number of steps of a deep method.
        batch_norm: whether the backbone has batch normalisation.
        task: classification or regression.
        label_set: open for methods that predict "unknown".
        class_names: whether the backbone has a text side in place of layers.
    """
    net: dict[str, Any] = {"backbone": "mlp", "hidden": [32, 16], "batch_norm": batch_norm}
    if class_names:
        net = {"backbone": "features", "class_embeddings": CLASS_EMBEDDINGS}
    protocol = {"grants": ["source", "target", STREAM_SPLIT], "scored": "test", "target_labels": 5, "source_held_out": 0.0}
    return Suite(
        name="toy",
        version=1,
        title="",
        citation="",
        domains={},
        pairs=((("a",), "b"),),
        protocol=Protocol.model_validate({**protocol, "task": task, "label_set": label_set}),
        net=Network.model_validate(net),
        train=Training(steps=steps, batch=32, lr=1e-2),
        methods={},
    )


def scores_after_fit(name: str, task: Task, options: Mapping[str, Any] | None = None, steps: int = STEPS) -> Tensor:
    """Class scores (90, C) of a method on fixed samples, after it was fitted to a task.

    Args:
        name: the method.
        task: the splits (N, 6) that it is granted.
        options: its options; None: the defaults.
        steps: the number of steps of a deep method.
    """
    return predict_scores(fit_method(name, task, options, steps), fixed_samples())


def predict_scores(fitted: engine.FittedMethod, x: Tensor) -> Tensor:
    """Class scores (N, C) of samples x (N, D); methods that learn on the stream get 32 at a time."""
    return engine.predict_scored(fitted, x, 32, 0, clock.Clock(CPU))


def fixed_samples() -> Tensor:
    """The samples (90, D) that checks predict."""
    return toy_samples(4, 90, shift=0.7).x


def base_scores(name: str) -> Tensor:
    """Class scores (90, C) of the fixed samples after a fit to the toy task, computed once for each class of a method."""
    kind = methods.method_class(name)
    if kind not in _base_scores:
        _base_scores[kind] = scores_after_fit(name, toy_task())
    return _base_scores[kind]


def stream_scores(fitted: engine.FittedMethod, shift: float) -> Tensor:
    """Class scores (90, C) of the fixed samples that come after 90 others on the stream, which are moved by `shift`."""
    others = toy_samples(6, 90, shift=shift).x
    return predict_scores(fitted, torch.cat([others, fixed_samples()]))[90:]


def follows_the_stream(name: str, fitted: engine.FittedMethod, before: Tensor) -> bool:
    """Whether the predictions of fixed samples depend on the samples that come before them.

    Args:
        name: the method.
        fitted: the method after its training; where it does not adapt online, it predicts other samples first.
        before: its predictions of the fixed samples alone.
    """
    if fitted.is_online:  # each batch changes it, and there is no way back
        near, far = (stream_scores(fit_method(name, toy_task()), shift) for shift in (0.7, 3.0))
    else:
        near, far = before, stream_scores(fitted, 3.0)
    return not torch.allclose(near, far, rtol=1e-4, atol=1e-5)


def fit_method(name: str, task: Task, options: Mapping[str, Any] | None = None, steps: int = STEPS) -> engine.FittedMethod:
    """Fit a method to a task, on a backbone with batch normalisation where the method needs one.

    Args:
        name: the method.
        task: the splits (N, 6) that it is granted.
        options: its options; None: the defaults.
        steps: the number of steps of a deep method.
    """
    case = Case(
        suite="toy",
        suite_version=1,
        entry=name,
        method=name,
        options=dict(options or {}),
        sources=("a",),
        target="b",
        seed=0,
    )

    def seed(use: str) -> int:
        return sum(use.encode())

    kind = "regression" if task.regression else "classification"
    label_set = "closed" if "closed" in methods.method_class(name).label_sets else "open"
    task = dataclasses.replace(task, open_set=label_set == "open")
    try:
        return engine.fit(case, toy_suite(steps, task=kind, label_set=label_set), task, clock.Clock(CPU), seed, CPU)
    except NotApplicableError:  # some methods adapt batch normalisation
        return engine.fit(case, toy_suite(steps, True, kind, label_set), task, clock.Clock(CPU), seed, CPU)
