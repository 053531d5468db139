"""Whether a pair can be run under a protocol, and the classes that its domains share."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import torch
from torch import Tensor

from tlbench.data import fit_features
from tlbench.data.decoding.labels import UNKNOWN
from tlbench.errors import NotApplicableError, TlbenchError
from tlbench.suite import Protocol
from tlbench.terms import Domain

TARGET_LABELED = "target_labeled"


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
        y = shared_labels(target, classes, target.samples.y)
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


def shared_labels(domain: Domain, classes: tuple[str, ...], y: Tensor) -> Tensor:
    """A domain's class indices (N,) as indices of the pair's classes; the targets (N, K) of a regression as they are."""
    if domain.classes == classes:
        return y
    table = torch.tensor([classes.index(name) for name in domain.classes])
    return table[y]


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


def _pair_name(sources: Sequence[Domain], target: Domain) -> str:
    """The pair as error messages name it."""
    return f"pair {'+'.join(source.name for source in sources)}:{target.name}"
