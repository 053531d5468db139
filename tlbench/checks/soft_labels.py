"""The contract of methods that take class probabilities as labels, which `train.augment` makes of them by mixup and cutmix."""

from __future__ import annotations

import copy
import dataclasses

import torch
import torch.nn.functional as F
from torch import Tensor

from tlbench import methods
from tlbench.checks.toy_task import CLASSES, CPU, fit_method, toy_task
from tlbench.engine.data.inputs import draw_batches
from tlbench.engine.runtime.seeds import seeded_rng
from tlbench.errors import TlbenchError
from tlbench.methods.base import DeepMethod
from tlbench.terms import SPLITS, Labelled, Step


def takes_class_probabilities(name: str) -> None:
    """A deep method with `soft_labels` has the same loss for classes and for class probabilities of 0 and 1."""
    kind = methods.method_class(name)
    if issubclass(kind, DeepMethod) and kind.soft_labels and (reason := why_not_soft(name)) is not None:
        raise TlbenchError(f"`soft_labels` is set, but {reason}. Leave it out, or take labels by self.criterion alone.")


def why_not_soft(name: str) -> str | None:
    """Why a deep method's loss does not take class probabilities (B, C) in place of classes (B,); None where it does."""
    fitted = fit_method(name, toy_task(), steps=10)
    assert isinstance(fitted.method, DeepMethod)
    for number, phase in enumerate(fitted.method.phases()):
        if phase.loss is None:
            continue
        try:
            hard, soft = (_losses(fitted.method, number, is_soft) for is_soft in (False, True))
        except Exception as error:  # a loss may raise anything for labels of another shape
            return f"its loss raises {type(error).__name__} for class probabilities"
        if not torch.allclose(hard, soft, rtol=1e-4, atol=1e-6):
            return "its loss is another one for class probabilities of 0 and 1"
    return None


def _losses(fitted: DeepMethod, number: int, is_soft: bool) -> Tensor:
    """The losses (K,) of a phase on a fixed batch, with classes or with class probabilities as labels."""
    method, task = copy.deepcopy(fitted), toy_task()
    phase = method.phases()[number]
    indices = {split: draw_batches(len(getattr(task, split)), 1, 32, 7, CPU)[0] for split in SPLITS if split in phase.reads}
    batches = {split: getattr(task, split)[index] for split, index in indices.items()}
    for split, batch in batches.items():
        if is_soft and isinstance(batch, Labelled):
            batches[split] = dataclasses.replace(batch, y=F.one_hot(batch.y, CLASSES).float())
    step = Step(**batches, indices=indices, progress=0.5)
    with seeded_rng(5, CPU):
        assert phase.loss is not None
        if isinstance(phase.loss, tuple):
            return torch.stack([update.loss(step).detach() for update in phase.loss])
        value = phase.loss(step)
    return (torch.stack(value) if isinstance(value, tuple) else value).detach().reshape(-1)
