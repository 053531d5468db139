"""The domains of a pair under a protocol -> the granted, scored and validation samples of a case.

Only the engine holds a `CaseData`, for it contains the labels of the scored samples.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tlbench.data import fit_features
from tlbench.data.decoding.labels import UNKNOWN
from tlbench.engine.data.storage import Grants, Subset, is_resident, sample_store
from tlbench.engine.runtime.seeds import LABELED_TARGET_DRAW, generator
from tlbench.errors import NotApplicableError, TlbenchError
from tlbench.suite import Protocol
from tlbench.terms import Domain, Labelled

TARGET_LABELED = "target_labeled"
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
    groups: tuple[str, ...] = ()
    """The group names that `scored.group` indexes."""
    targets: tuple[str, ...] = ()
    """The names of the target columns of a regression."""


def check_pair(sources: Sequence[Domain], target: Domain, protocol: Protocol) -> None:
    """Check, before any training, that a pair can be run under a protocol.

    Raises:
        TlbenchError: the tasks, target columns, classes or sample shapes of the domains do not fit together, or the protocol
            scores samples that the target does not have.
    """
    sources, target = fit_features(sources, target)
    pair = _pair_name(sources, target)
    regression = protocol.task == "regression"
    for domain in (*sources, target):
        if bool(domain.classes) == regression:
            declared = "classification" if domain.classes else "regression"
            raise TlbenchError(
                f"{pair}: protocol.task is {protocol.task!r}, but domain {domain.name} is declared for {declared}. "
                "Set task = 'regression' in both, or in neither."
            )
    columns = {domain.name: domain.targets for domain in (*sources, target)}
    if regression and len({*columns.values()}) > 1:
        listed = "; ".join(f"{name}: {', '.join(names)}" for name, names in columns.items())
        raise TlbenchError(f"{pair}: The domains have different target columns ({listed}). Give them the same ones.")
    classes = () if regression else shared_classes(sources, target)
    extra = [] if regression else unseen_classes(sources, target)
    if extra and not protocol.target_labels:
        raise TlbenchError(
            f"{pair}: The target has classes that no source has: {', '.join(extra)}. "
            f"The sources have {', '.join(sorted({name for source in sources for name in source.classes}))}. "
            "Name the classes of the target by `classes` and set drop_others = true (leave these samples out) or "
            'unknown = true (one class "unknown"), or grant labels by protocol.target_labels.'
        )
    shapes = {domain.name: tuple(domain.samples.x.shape[1:]) for domain in (*sources, target)}
    if len(set(shapes.values())) > 1:
        listed = ", ".join(f"{name} {list(shape)}" for name, shape in shapes.items())
        raise TlbenchError(
            f"{pair}: The domains have samples of different shapes: {listed}. Give them one shape with `shape` or `prepare`."
        )
    if protocol.scored == "test" and target.test is None:
        raise TlbenchError(
            f"{pair}: protocol.scored = 'test', but domain {target.name} declares no test samples. "
            "Give it a `test = {...}` table, or score 'adapted' or 'held_out'."
        )
    _check_metric(pair, target, protocol)
    _check_labeled_targets(pair, target, classes, protocol)


def _check_metric(pair: str, target: Domain, protocol: Protocol) -> None:
    """Raise TlbenchError where the metric of the suite has no value on the target."""
    if protocol.metric == "worst_group_accuracy" and not target.groups:
        raise TlbenchError(
            f"{pair}: protocol.metric = 'worst_group_accuracy', but domain {target.name} declares no groups. Name their column "
            "or array by `group` in its table, or choose another metric."
        )
    scored = target.test if protocol.scored == "test" and target.test is not None else target.samples
    if protocol.metric == "r2" and (scored.y == scored.y[:1]).all(dim=0).any():
        constant = [name for name, same in zip(target.targets, (scored.y == scored.y[:1]).all(dim=0), strict=True) if same]
        raise TlbenchError(
            f"{pair}: protocol.metric = 'r2', but the target {', '.join(constant)} of domain {target.name} is constant over "
            "the samples to score, so that no share of its variance can be explained. Choose metric = 'rmse' or 'mae'."
        )


def _check_labeled_targets(pair: str, target: Domain, classes: tuple[str, ...], protocol: Protocol) -> None:
    """Raise TlbenchError where the granted target labels leave no sample to score."""
    labels = protocol.target_labels
    if protocol.task == "regression":
        counts = {f"domain {target.name}": len(target.samples)}
    else:
        y = _shared_labels(target, classes, target.samples.y)
        of_class = torch.bincount(y, minlength=len(classes)).tolist()
        counts = {f"class {name!r} of domain {target.name}": n for name, n in zip(classes, of_class, strict=True) if n}
    for owner, samples in counts.items():
        if labels and samples <= labels:
            raise TlbenchError(
                f"{pair}: {owner} has {samples} samples. With protocol.target_labels = {labels} none is left to score. "
                "Grant fewer labels."
            )


def unseen_classes(sources: Sequence[Domain], target: Domain) -> list[str]:
    """The classes of the target that no source has, without "unknown", which stands for whatever the sources lack."""
    known = {name for source in sources for name in source.classes}
    return sorted(set(target.classes) - known - {UNKNOWN})


def shared_classes(sources: Sequence[Domain], target: Domain) -> tuple[str, ...]:
    """The classes of a pair: the union over its domains, of which each may lack some."""
    lists = {domain.classes for domain in (*sources, target)}
    if len(lists) == 1:
        return sources[0].classes
    union = {name for domain in (*sources, target) for name in domain.classes}
    longest = max((domain.classes for domain in (*sources, target)), key=len)
    return longest if set(longest) == union else tuple(sorted(union))


def check_classes_are_read(
    sources: Sequence[Domain], target: Domain, entry: str, reads: Collection[str], protocol: Protocol
) -> None:
    """Check that a method sees a labelled sample of each class that it is scored on.

    Args:
        sources: the sources of a pair.
        target: its target.
        entry: the name of the method entry.
        reads: the splits that the method reads.
        protocol: tells the task and what is granted.

    Raises:
        NotApplicableError: only labelled target samples show some classes, and the method does not read them.
    """
    extra = [] if protocol.task == "regression" else unseen_classes(sources, target)
    if extra and TARGET_LABELED not in reads:
        raise NotApplicableError(
            f"The target has classes that no source has ({', '.join(extra)}), and {entry} reads no labelled target samples, "
            "the only ones of these classes."
        )


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
    sources, target = fit_features(sources, target)
    regression = protocol.task == "regression"
    classes = () if regression else shared_classes(sources, target)
    source_x = [source.samples.x for source in sources]
    validation_x = [source.samples.x if source.test is None else source.test.x for source in sources]
    scored_x = target.samples.x if target.test is None or protocol.scored != "test" else target.test.x
    fits = is_resident(resident, [*source_x, *validation_x, target.samples.x, scored_x], device)

    def subset(indexed: Labelled, tensors: Sequence[Tensor]) -> Subset:
        facts = (None if fact is None else fact.to(device) for fact in (indexed.y, indexed.domain, indexed.group))
        return Subset(sample_store(tensors, device, fits), indexed.x.to(device) if fits else indexed.x, *facts)

    source, validation = _split_sources(sources, classes, protocol, seed)
    labeled, unlabeled, scored = _split_target(target, classes, protocol, seed)
    granted = Grants(
        classes=scored.y.shape[1] if regression else len(classes),
        source=subset(source, source_x) if "source" in protocol.grants else None,
        target=subset(unlabeled, [target.samples.x]).unlabeled() if "target" in protocol.grants else None,
        target_labeled=None if labeled is None else subset(labeled, [target.samples.x]),
        regression=regression,
    )
    return CaseData(
        granted,
        scored=subset(scored, [scored_x]),
        validation=None if validation is None else subset(validation, validation_x),
        classes=classes,
        groups=target.groups,
        targets=target.targets,
    )


def scored_samples(
    sources: Sequence[Domain], target: Domain, protocol: Protocol, seed: Seeds
) -> tuple[Labelled, tuple[str, ...]]:
    """The scored samples of a case as `make_case_data` chooses them, with their indices (N,) in the place of x.

    Args:
        sources: the sources of the pair, which decide the classes.
        target: its target.
        protocol: what is granted and what is scored.
        seed: use -> seed.

    Returns:
        The samples, and the classes of the pair; none for a regression.
    """
    classes = () if protocol.task == "regression" else shared_classes(sources, target)
    return _split_target(target, classes, protocol, seed)[2], classes


def _split_sources(
    sources: Sequence[Domain], classes: tuple[str, ...], protocol: Protocol, seed: Seeds
) -> tuple[Labelled, Labelled | None]:
    """The pooled source samples for training and those for validation, with store indices (N,) in the place of x."""
    training: list[Labelled] = []
    validation: list[Labelled] = []
    start = validation_start = 0
    for number, source in enumerate(sources):
        samples = _indexed(source, classes, source.samples, number, start)
        if source.test is not None:
            validation.append(_indexed(source, classes, source.test, number, validation_start))
        elif protocol.source_held_out:
            validating, samples = _hold_out(samples, protocol.source_held_out, seed(f"source held out {number}"))
            validation.append(dataclasses.replace(validating, x=validating.x + (validation_start - start)))
        training.append(samples)
        start += len(source.samples)
        validation_start += len(source.samples if source.test is None else source.test)
    return _pool(training), _pool(validation) if validation else None


def _split_target(
    target: Domain, classes: tuple[str, ...], protocol: Protocol, seed: Seeds
) -> tuple[Labelled | None, Labelled, Labelled]:
    """The labelled, the unlabelled and the scored target samples, with store indices (N,) in the place of x."""
    regression = protocol.task == "regression"
    unlabeled = _indexed(target, classes, target.samples, 0)
    scored: Labelled | None = None
    if protocol.scored == "held_out":
        scored, unlabeled = _hold_out(unlabeled, protocol.held_out, seed("target held out"))
    labeled: Labelled | None = None
    if protocol.target_labels:
        labeled, unlabeled = _draw_labeled(unlabeled, protocol.target_labels, seed(LABELED_TARGET_DRAW), regression)
    if protocol.scored == "adapted":
        scored = unlabeled
    elif protocol.scored == "test" and target.test is not None:
        scored = _indexed(target, classes, target.test, 0)
    assert scored is not None  # check_pair has seen that there are test samples
    return labeled, unlabeled, scored


def _pair_name(sources: Sequence[Domain], target: Domain) -> str:
    """The pair as error messages name it."""
    return f"pair {'+'.join(source.name for source in sources)}:{target.name}"


def _shared_labels(domain: Domain, classes: tuple[str, ...], y: Tensor) -> Tensor:
    """A domain's class indices (N,) as indices of the pair's classes; the targets (N, K) of a regression as they are."""
    if domain.classes == classes:
        return y
    table = torch.tensor([classes.index(name) for name in domain.classes])
    return table[y]


def _indexed(domain: Domain, classes: tuple[str, ...], samples: Labelled, number: int, start: int = 0) -> Labelled:
    """Samples with their store indices (N,), counted from `start`, in the place of x; they are split and pooled as indices."""
    y = _shared_labels(domain, classes, samples.y)
    return Labelled(torch.arange(start, start + len(y)), y, torch.full((len(y),), number), samples.group)


def _hold_out(samples: Labelled, share: float, seed: int) -> tuple[Labelled, Labelled]:
    """A random share of the samples and the remaining ones; each has one sample at least."""
    if len(samples) < 2:
        raise TlbenchError(f"A share of {share} can't be held out of {len(samples)} sample. Give the domain more samples.")
    order = torch.randperm(len(samples), generator=generator(seed))
    count = min(max(round(share * len(samples)), 1), len(samples) - 1)
    return samples[order[:count].sort().values], samples[order[count:].sort().values]


def _draw_labeled(samples: Labelled, per_class: int, seed: int, regression: bool) -> tuple[Labelled, Labelled]:
    """`per_class` random samples of each class that occurs (of all samples, for regression), and the remaining ones."""
    order = torch.randperm(len(samples), generator=generator(seed))
    is_labeled = torch.zeros(len(samples), dtype=torch.bool)
    y = torch.zeros(len(samples)) if regression else samples.y[order]
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
