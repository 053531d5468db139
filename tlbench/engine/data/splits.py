"""The domains of a pair under a protocol -> the granted, scored and validation samples of a case.

Only the engine holds a `CaseData`, for it contains the labels of the scored samples.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tlbench.data import fit_features
from tlbench.engine.data.pair_classes import PairClasses, label_indices, pair_classes
from tlbench.engine.data.positions import with_counted
from tlbench.engine.data.storage import Grants, Subset, is_resident, sample_store
from tlbench.engine.data.tasks import with_shared_tasks
from tlbench.engine.runtime.seeds import LABELED_TARGET_DRAW, generator
from tlbench.errors import TlbenchError
from tlbench.passages import Passages
from tlbench.suite import Protocol
from tlbench.terms import Domain, Labelled

Seeds = Callable[[str], int]
"""The use of a random draw -> its seed."""


@dataclass(frozen=True)
class CaseData:
    """The splits of one pair and seed. `scored` holds target labels that no method may read."""

    granted: Grants
    scored: Subset
    validation: Subset | None
    """Held-out source samples; None where the protocol holds none out."""
    classes: tuple[str, ...]
    """The classes that the labels of scored samples index; in an open set the last is "unknown"."""
    open_set: bool = False
    groups: tuple[str, ...] = ()
    """The group names that `scored.group` indexes."""
    targets: tuple[str, ...] = ()
    """The names of the target columns of a regression."""
    passages: Passages | None = None
    """The texts of the scored samples, where answers are spans of them."""


def make_case_data(
    sources: Sequence[Domain],
    target: Domain,
    protocol: Protocol,
    seed: Seeds,
    device: torch.device,
    resident: str = "auto",
) -> CaseData:
    """Split the samples of a pair. None is copied: samples that fit live on the device once, for all cases.

    Args:
        sources: at least one; their samples are pooled, and `domain` says which source a sample is from.
        target: its samples (N, ...) have the shape of the sources'.
        protocol: what is granted and what is scored.
        seed: use -> seed; the draws of samples are the same for every method.
        device: where batches are needed.
        resident: `train.resident`: whether the samples live on the device, see `storage.is_resident`.
    """
    sources, target = with_shared_tasks(*fit_features(sources, target))
    regression = protocol.task == "regression"
    classes = pair_classes(sources, target, protocol.label_set)
    source_x = [source.samples.x for source in sources]
    validation_x = [source.samples.x if source.test is None else source.test.x for source in sources]
    scored_x = target.samples.x if target.test is None or protocol.scored != "test" else target.test.x
    fits = is_resident(resident, [*source_x, *validation_x, target.samples.x, scored_x], device)

    def subset(indexed: Labelled, tensors: Sequence[Tensor]) -> Subset:
        facts = (None if fact is None else fact.to(device) for fact in (indexed.y, indexed.domain, indexed.group))
        stored = Subset(sample_store(tensors, device, fits), indexed.x.to(device) if fits else indexed.x, *facts)
        return with_counted(stored) if target.position_task else stored

    source, validation = _split_sources(sources, classes.source, protocol, seed)
    labeled, unlabeled, scored = _split_target(target, classes, protocol, seed)
    granted = Grants(
        classes=scored.y.shape[1] if regression else sum(task.outputs for task in target.tasks) or classes.known,
        source=subset(source, source_x) if "source" in protocol.grants else None,
        target=subset(unlabeled, [target.samples.x]).unlabeled() if "target" in protocol.grants else None,
        target_labeled=None if labeled is None else subset(labeled, [target.samples.x]),
        regression=regression,
        open_set=classes.open_set,
        tasks=target.tasks,
        source_classes=len(classes.source) if protocol.label_set == "inductive" else None,
        positions=scored.y.shape[1] if target.position_task else 1,
    )
    return CaseData(
        granted,
        scored=subset(scored, [scored_x]),
        validation=None if validation is None else subset(validation, validation_x),
        classes=classes.target,
        open_set=classes.open_set,
        groups=target.groups,
        targets=target.targets,
        passages=None if target.passages is None else target.passages[scored.x],
    )


def scored_samples(sources: Sequence[Domain], target: Domain, protocol: Protocol, seed: Seeds) -> tuple[Labelled, PairClasses]:
    """The scored samples of a case as `make_case_data` chooses them, with their indices (N,) in the place of x.

    Args:
        sources: the sources of the pair, which decide the classes.
        target: its target.
        protocol: what is granted and what is scored.
        seed: use -> seed.

    Returns:
        The samples, and the classes of the pair; none for a regression.
    """
    sources, target = with_shared_tasks(sources, target)
    classes = pair_classes(sources, target, protocol.label_set)
    return _split_target(target, classes, protocol, seed)[2], classes


def _split_sources(
    sources: Sequence[Domain], classes: tuple[str, ...], protocol: Protocol, seed: Seeds
) -> tuple[Labelled, Labelled | None]:
    """The pooled source samples for training and those for validation, with store indices (N,) in the place of x.

    Where the target has other classes, the head of the source is replaced, so that nothing is there to validate.
    """
    inductive = protocol.label_set == "inductive"
    training: list[Labelled] = []
    validation: list[Labelled] = []
    start = validation_start = 0
    for number, source in enumerate(sources):
        samples = _indexed(source, classes, source.samples, number, start)
        if inductive:
            pass
        elif source.test is not None:
            validation.append(_indexed(source, classes, source.test, number, validation_start))
        elif protocol.source_held_out:
            validating, samples = _hold_out(samples, protocol.source_held_out, seed(f"source held out {number}"))
            validation.append(dataclasses.replace(validating, x=validating.x + (validation_start - start)))
        training.append(samples)
        start += len(source.samples)
        validation_start += len(source.samples if source.test is None else source.test)
    return _pool(training), _pool(validation) if validation else None


def _split_target(
    target: Domain, classes: PairClasses, protocol: Protocol, seed: Seeds
) -> tuple[Labelled | None, Labelled, Labelled]:
    """The labelled, the unlabelled and the scored target samples, with store indices (N,) in the place of x."""
    one_label = protocol.task == "classification"
    unlabeled = _indexed(target, classes.target, target.samples, 0, open_set=classes.open_set)
    scored: Labelled | None = None
    if protocol.scored == "held_out":
        scored, unlabeled = _hold_out(unlabeled, protocol.held_out, seed("target held out"))
    labeled: Labelled | None = None
    if protocol.target_labels:
        labeled, unlabeled = _draw_labeled(unlabeled, protocol.target_labels, seed(LABELED_TARGET_DRAW), one_label)
    if protocol.scored == "adapted":
        scored = unlabeled
    elif protocol.scored == "test" and target.test is not None:
        scored = _indexed(target, classes.target, target.test, 0, open_set=classes.open_set)
    assert scored is not None  # check_pair has seen that there are test samples
    return labeled, unlabeled, scored


def _indexed(
    domain: Domain, classes: tuple[str, ...], samples: Labelled, number: int, start: int = 0, *, open_set: bool = False
) -> Labelled:
    """Samples with their store indices (N,), counted from `start`, in the place of x; they are split and pooled as indices."""
    y = label_indices(domain, classes, samples.y, open_set=open_set)
    return Labelled(torch.arange(start, start + len(y)), y, torch.full((len(y),), number), samples.group)


def _hold_out(samples: Labelled, share: float, seed: int) -> tuple[Labelled, Labelled]:
    """A random share of the samples and the remaining ones; each has one sample at least."""
    if len(samples) < 2:
        raise TlbenchError(f"A share of {share} can't be held out of {len(samples)} sample. Give the domain more samples.")
    order = torch.randperm(len(samples), generator=generator(seed))
    count = min(max(round(share * len(samples)), 1), len(samples) - 1)
    return samples[order[:count].sort().values], samples[order[count:].sort().values]


def _draw_labeled(samples: Labelled, per_class: int, seed: int, one_label: bool) -> tuple[Labelled, Labelled]:
    """`per_class` random samples of each class (of all, where a sample is of no single class), and the remaining ones."""
    order = torch.randperm(len(samples), generator=generator(seed))
    is_labeled = torch.zeros(len(samples), dtype=torch.bool)
    y = samples.y[order] if one_label else torch.zeros(len(samples))
    for label in y.unique().tolist():
        is_labeled[order[(y == label).nonzero().squeeze(1)[:per_class]]] = True
    return samples[is_labeled.nonzero().squeeze(1)], samples[(~is_labeled).nonzero().squeeze(1)]


def _pool(samples: Sequence[Labelled]) -> Labelled:
    """The samples of several domains, concatenated, without groups: each domain numbers its groups on its own."""
    if len(samples) == 1:
        return samples[0]
    domains = [of_domain.domain for of_domain in samples if of_domain.domain is not None]
    x, y = torch.cat([of_domain.x for of_domain in samples]), torch.cat([of_domain.y for of_domain in samples])
    return Labelled(x, y, torch.cat(domains))
