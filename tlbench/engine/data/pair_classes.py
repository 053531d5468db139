"""The classes of the two sides of a pair: which there are, what labels index, and whether they fit the label set."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tlbench.data.labels.classes import listed
from tlbench.label_sets import OPEN_SETS, UNKNOWN, LabelSet
from tlbench.terms import IGNORED, Domain


@dataclass(frozen=True)
class PairClasses:
    """The class names that the labels of a pair index; both are empty for a regression."""

    source: tuple[str, ...]
    """The classes of source labels."""
    target: tuple[str, ...]
    """The classes of target labels and of predictions: those of the source, except where the label set is inductive."""
    open_set: bool = False
    """Whether the last of `target` is "unknown", which is no class of the source: its index is C, their number."""

    @property
    def known(self) -> int:
        """C, the number of classes that a network without labelled target samples learns."""
        return len(self.target) - self.open_set


def pair_classes(sources: Sequence[Domain], target: Domain, label_set: LabelSet) -> PairClasses:
    """The classes of a pair under a label set; `label_set_error` says whether they fit it."""
    if not target.classes:
        return PairClasses((), ())
    if label_set in OPEN_SETS:
        known = occurring_classes(sources)
        return PairClasses(known, (*known, UNKNOWN), open_set=True)
    if label_set == "inductive":
        return PairClasses(occurring_classes(sources), occurring_classes([target]))
    shared = shared_classes(sources, target)
    return PairClasses(shared, shared)


def shared_classes(sources: Sequence[Domain], target: Domain) -> tuple[str, ...]:
    """The classes of a pair: the union over its domains, of which each may lack some."""
    lists = {domain.classes for domain in (*sources, target)}
    if len(lists) == 1:
        return sources[0].classes
    union = {name for domain in (*sources, target) for name in domain.classes}
    longest = max((domain.classes for domain in (*sources, target)), key=len)
    return longest if set(longest) == union else tuple(sorted(union))


def occurring_classes(domains: Sequence[Domain]) -> tuple[str, ...]:
    """The classes of which some domains have samples, in the order of their class lists where these agree."""
    occurring = {
        domain.classes[index]
        for domain in domains
        for samples in (domain.samples, domain.test)
        if samples is not None
        for index in samples.y.unique().tolist()
        if index != IGNORED
    }
    lists = {domain.classes for domain in domains}
    return tuple(name for name in (sorted(occurring) if len(lists) > 1 else domains[0].classes) if name in occurring)


def class_sides(sources: Sequence[Domain], target: Domain, label_set: LabelSet) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The classes of the sources and of the target that a label set compares.

    Of closed label sets they are the class lists, for a domain may lack samples of a class that it declares (`keep`); of all
    others the classes that have samples.
    """
    if label_set == "closed":
        declared = {domain.classes for domain in sources}
        union = sources[0].classes if len(declared) == 1 else tuple(sorted({name for names in declared for name in names}))
        return union, target.classes
    return occurring_classes(sources), occurring_classes([target])


def relation(sources: Collection[str], target: Collection[str]) -> LabelSet:
    """The narrowest label set that fits the classes of the sources and those of the target."""
    if not {*sources} & {*target}:
        return "inductive"
    only_sources, only_target = {*sources} - {*target}, {*target} - {*sources}
    if only_target:
        return "universal" if only_sources else "open"
    return "partial" if only_sources else "closed"


def label_set_error(
    label_set: LabelSet, sources: Collection[str], target: Collection[str], *, unknown: bool = True
) -> str | None:
    """Why the classes of a pair do not fit a label set, with the way out; None where they do.

    Args:
        label_set: what the suite says.
        sources: the classes of the sources, see `class_sides`.
        target: the classes of the target.
        unknown: whether predictions may say "unknown"; otherwise new classes need a new head.
    """
    actual = relation(sources, target)
    fitting: dict[str, tuple[LabelSet, ...]] = {
        "universal": ("open", "universal"),
        "inductive": ("partial", "open", "universal", "inductive"),
    }
    if label_set in OPEN_SETS and UNKNOWN in sources:
        return f"label_set = {label_set!r}, but the sources have a class {UNKNOWN!r}, the name of what they lack. Rename it."
    if actual in fitting.get(label_set, (label_set,)):
        return None
    only_sources, only_target = sorted({*sources} - {*target}), sorted({*target} - {*sources})
    if actual == "closed":
        text = "the sources and the target have the same classes"
    elif actual == "inductive":
        text = f"the sources ({listed(only_sources)}) and the target ({listed(only_target)}) have no class in common"
    else:
        facts = [
            f"the target has classes that no source has ({listed(only_target)})" if only_target else "",
            f"the target lacks classes of the sources ({listed(only_sources)})" if only_sources else "",
        ]
        text = " and ".join(filter(None, facts))
    way_out = "inductive" if actual in OPEN_SETS and not unknown else actual
    labels = " (and grant labels by protocol.target_labels)" if way_out == "inductive" else ""
    restrict = "" if actual == "closed" else ", or choose the classes of each side by `classes` with drop_others = true"
    return f"protocol.label_set = {label_set!r}, but {text}. Say label_set = {way_out!r}{labels}{restrict}."


def label_indices(domain: Domain, classes: Sequence[str], y: Tensor, *, open_set: bool = False) -> Tensor:
    """A domain's class indices (N,) or (N, P) as indices of the classes of its side; targets (N, K) as they are.

    Args:
        domain: the domain.
        classes: the classes of its side, see `PairClasses`.
        y: its labels.
        open_set: whether the last class is that of all other labels.
    """
    if domain.classes == tuple(classes):
        return y
    index_of = {name: index for index, name in enumerate(classes)}
    other = len(classes) - 1 if open_set else -1  # -1: no sample has such a label
    index = torch.tensor([index_of.get(name, other) for name in domain.classes])
    return torch.where(y == IGNORED, y, index[y.clamp_min(0)]) if domain.position_task else index[y]


def label_set_text(sources: Sequence[Domain], target: Domain, label_set: LabelSet) -> str:
    """The label set of a pair and the classes of each side, as a line of text."""
    of_sources, of_target = class_sides(sources, target, label_set)
    text = f"{label_set}: {len(of_sources)} source classes ({listed(of_sources)}), {len(of_target)} target classes"
    if {*of_sources} == {*of_target}:
        return f"{text} (the same)"
    only_sources, only_target = sorted({*of_sources} - {*of_target}), sorted({*of_target} - {*of_sources})
    differences = [
        f"only in the sources: {listed(only_sources)}" if only_sources else "",
        f"only in the target: {listed(only_target)}" if only_target else "",
    ]
    return f"{text} ({listed(of_target)}); {'; '.join(filter(None, differences))}"
