"""Standardized targets; and several tasks of a pair: the classes that all domains share, and checks before the training."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tlbench.engine.data.storage import Grants
from tlbench.errors import TlbenchError
from tlbench.methods.base import Predictor
from tlbench.terms import Domain, LabeledTask, Labelled


def check_tasks(pair: str, sources: Sequence[Domain], target: Domain) -> None:
    """Check that the domains of a pair have the same tasks, and each task a label to learn from and one to score.

    Raises:
        TlbenchError: they don't.
    """
    kinds = {task.name: bool(task.classes) for task in target.tasks}
    for source in sources:
        if {task.name: bool(task.classes) for task in source.tasks} != kinds:
            raise TlbenchError(
                f"{pair}: The domains {source.name} and {target.name} have different tasks. Declare the same label "
                "columns as the same kinds in both."
            )
    sources, target = with_shared_tasks(sources, target)
    learned_T = torch.stack([source.samples.y.isfinite().any(dim=0) for source in sources]).any(dim=0)
    scored_T = target.samples.y.isfinite().any(dim=0)
    for task, learned, scored in zip(target.tasks, learned_T.tolist(), scored_T.tolist(), strict=True):
        if not (learned and scored):
            side = f"domain {target.name}" if learned else "the sources"
            raise TlbenchError(f"{pair}: The task {task.name!r} has no label in {side}. Leave it out of tasks, or add labels.")


def with_shared_tasks(sources: Sequence[Domain], target: Domain) -> tuple[list[Domain], Domain]:
    """The domains with the tasks in the order of the target, and labels that index the union of each task's classes.

    Domains without tasks are returned unchanged.
    """
    if not target.tasks:
        return list(sources), target
    tasks = tuple(_union([_named(domain, task.name) for domain in (*sources, target)]) for task in target.tasks)
    return [_relabeled(source, tasks) for source in sources], _relabeled(target, tasks)


def _named(domain: Domain, name: str) -> LabeledTask:
    return next((task for task in domain.tasks if task.name == name), LabeledTask(name))


def _union(variants: Sequence[LabeledTask]) -> LabeledTask:
    """A task with all classes that it has in some domain; sorted, unless one domain has them all."""
    names = {name for task in variants for name in task.classes}
    longest = max((task.classes for task in variants), key=len)
    return LabeledTask(variants[0].name, longest if {*longest} == names else tuple(sorted(names)))


def _relabeled(domain: Domain, tasks: tuple[LabeledTask, ...]) -> Domain:
    if domain.tasks == tasks:
        return domain
    columns = []
    for task in tasks:
        own = next((number for number, one in enumerate(domain.tasks) if one.name == task.name), None)
        if own is None:
            columns.append(torch.full((len(domain.samples),), torch.nan))
            continue
        y, classes = domain.samples.y[:, own], domain.tasks[own].classes
        if classes:
            index = torch.tensor([task.classes.index(name) for name in classes], dtype=torch.float32)
            y = torch.where(y.isnan(), y, index[y.nan_to_num(0).long()])
        columns.append(y)
    samples = domain.samples
    relabeled = Labelled(samples.x, torch.stack(columns, dim=1), samples.domain, samples.group)
    return dataclasses.replace(domain, samples=relabeled, tasks=tasks)


@dataclass(frozen=True)
class TargetScale:
    """Maps a predictor of standardised targets to one of the original targets; without a mean it leaves it as it is."""

    mean: Tensor | None = None
    """(K,) in float64."""
    deviation: Tensor | None = None

    def __call__(self, predictor: Predictor) -> Predictor:
        """The predictor of the original targets."""
        mean, deviation = self.mean, self.deviation
        if mean is None or deviation is None:
            return predictor
        return lambda x: predictor(x).double() * deviation + mean


def standardize_targets(granted: Grants) -> tuple[Grants, TargetScale]:
    """Scale a regression's targets to mean 0 and variance 1 over the labelled samples, and the inverse for predictors."""
    if granted.tasks:
        return _standardize_tasks(granted)
    labeled = {split: subset for split in ("source", "target_labeled") if (subset := getattr(granted, split)) is not None}
    if not granted.regression or not labeled:
        return granted, TargetScale()
    y = torch.cat([subset.y for subset in labeled.values()]).double()
    mean, deviation = y.mean(dim=0), y.std(dim=0, correction=0)
    deviation = torch.where(deviation > 0, deviation, 1.0)
    scaled = {
        split: dataclasses.replace(subset, y=((subset.y - mean) / deviation).to(subset.y.dtype))
        for split, subset in labeled.items()
    }
    return dataclasses.replace(granted, **scaled), TargetScale(mean, deviation)


def _standardize_tasks(granted: Grants) -> tuple[Grants, TargetScale]:
    """Scale the targets of regressions to mean 0 and variance 1 over the labelled source samples; the inverse for predictors.

    Args:
        granted: the splits of several tasks.
    """
    source = granted.source
    if source is None or source.y is None or all(task.classes for task in granted.tasks):
        return granted, TargetScale()
    y_NT = source.y.double()
    count_T = y_NT.isfinite().sum(dim=0).clamp_min(1)
    mean_T = y_NT.nansum(dim=0) / count_T
    deviation_T = ((y_NT - mean_T).square().nansum(dim=0) / count_T).sqrt()
    is_regression = torch.tensor([not task.classes for task in granted.tasks], device=y_NT.device)
    mean_T = torch.where(is_regression, mean_T, 0.0)
    deviation_T = torch.where(is_regression & (deviation_T > 0), deviation_T, 1.0)
    repeats = torch.tensor([task.outputs for task in granted.tasks], device=y_NT.device)
    mean_O, deviation_O = mean_T.repeat_interleave(repeats), deviation_T.repeat_interleave(repeats)
    y = ((y_NT - mean_T) / deviation_T).to(source.y.dtype)
    scale = TargetScale(mean_O, deviation_O)
    return dataclasses.replace(granted, source=dataclasses.replace(source, y=y)), scale
