"""A pair of domains under a protocol -> what is granted, what is scored, what validates. Only the engine holds a Cell."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tlbench.data import fit_features
from tlbench.engine.data.storage import Grants, Subset, is_resident, store_of
from tlbench.engine.runtime.seeds import LABELED_TARGET_DRAW, generator
from tlbench.errors import TlbenchError
from tlbench.suite import Protocol
from tlbench.terms import Domain, Labelled


@dataclass(frozen=True)
class CaseData:
    """The parts of one pair and seed. `scored` holds the target labels that no method may reach."""

    granted: Grants
    scored: Subset
    validation: Subset | None
    classes: tuple[str, ...]
    groups: tuple[str, ...] = ()
    """The names that `scored.group` numbers."""
    targets: tuple[str, ...] = ()
    """The names of the target columns of a regression."""


def check_pair(sources: Sequence[Domain], target: Domain, protocol: Protocol) -> None:
    """Raise TlbenchError where a pair can't be run under a protocol, before anything is trained."""
    sources, target = fit_features(sources, target)
    pair = f"pair {'+'.join(s.name for s in sources)}:{target.name}"
    regression = protocol.task == "regression"
    for domain in (*sources, target):
        if bool(domain.classes) == regression:
            declared = "classification" if domain.classes else "regression"
            raise TlbenchError(
                f"{pair}: protocol.task is {protocol.task!r}, but domain {domain.name} is declared for {declared}; "
                "say task = 'regression' in both, or in neither"
            )
    if regression:
        classes: tuple[str, ...] = ()
        if len(columns := {d.name: d.targets for d in (*sources, target)}) and len({*columns.values()}) > 1:
            said = "; ".join(f"{name}: {', '.join(names)}" for name, names in columns.items())
            raise TlbenchError(f"{pair}: domains with different target columns ({said}); give them the same ones")
    else:
        classes = shared_classes(sources, target)
    shapes = {d.name: tuple(d.samples.x.shape[1:]) for d in (*sources, target)}
    if len(set(shapes.values())) > 1:
        said = ", ".join(f"{name} {list(shape)}" for name, shape in shapes.items())
        raise TlbenchError(f"{pair}: rows of different shape: {said}; give them one shape (`shape`, `prepare`)")
    if protocol.scored == "test" and target.test is None:
        raise TlbenchError(
            f"{pair}: protocol.scored = 'test', but domain {target.name} declares no test rows; "
            "give it a `test = {...}` table, or score 'adapted' or 'held_out'"
        )
    if regression:
        if protocol.target_labels >= len(target.samples):
            raise TlbenchError(
                f"{pair}: domain {target.name} has {len(target.samples)} rows; with protocol.target_labels = "
                f"{protocol.target_labels} of them granted none is left to score; grant fewer"
            )
        return
    count = torch.bincount(_renumber(target, classes, target.samples.y), minlength=len(classes))
    for name, rows in zip(classes, count.tolist(), strict=True):
        if protocol.target_labels and 0 < rows <= protocol.target_labels:
            raise TlbenchError(
                f"{pair}: class {name!r} of domain {target.name} has {rows} rows; with protocol.target_labels = "
                f"{protocol.target_labels} of them granted none is left to score; grant fewer"
            )


def shared_classes(sources: Sequence[Domain], target: Domain) -> tuple[str, ...]:
    """The class list of a pair: that of its sources together; the target may lack some, not add any."""
    lists = {d.classes for d in (*sources, target)}
    if len(lists) == 1:
        return sources[0].classes
    union = {name for source in sources for name in source.classes}
    if extra := sorted(set(target.classes) - union):
        raise TlbenchError(
            f"pair {'+'.join(s.name for s in sources)}:{target.name}: the target has classes that no source has: "
            f"{', '.join(extra)}; the sources have {', '.join(sorted(union))}"
        )
    longest = max((s.classes for s in sources), key=len)
    return longest if set(longest) == union else tuple(sorted(union))


def make_case_data(
    sources: Sequence[Domain],
    target: Domain,
    protocol: Protocol,
    seed: Callable[[str], int],
    device: torch.device,
    resident: str = "auto",
) -> CaseData:
    """Split; rows are not copied: where they fit they live on the device, once for all cells.

    Args:
        sources: at least one; their rows are pooled, `domain` says which one a row is from.
        target: rows (N, ...) of the same shape.
        protocol: the grants and what is scored.
        seed: use -> seed; the draws of rows are seeded, the same for every method.
        device: where batches are wanted.
        resident: `on`, `off`, or `auto`: whether the rows live on the device, see `rows.is_resident`.
    """
    sources, target = fit_features(sources, target)
    regression = protocol.task == "regression"
    classes = () if regression else shared_classes(sources, target)
    own = [source.samples.x for source in sources]
    kept_from = [source.samples.x if source.test is None else source.test.x for source in sources]
    scored_from = target.samples.x if target.test is None or protocol.scored != "test" else target.test.x
    fits = is_resident(resident, [*own, *kept_from, target.samples.x, scored_from], device)
    trained: list[Labelled] = []
    validation: list[Labelled] = []
    first = first_kept = 0
    for number, source in enumerate(sources):
        rows = _numbered(source, classes, source.samples, number, first)
        if source.test is not None:
            validation.append(_numbered(source, classes, source.test, number, first_kept))
        elif protocol.source_held_out:
            kept, rows = _split(rows, protocol.source_held_out, seed(f"source held out {number}"))
            validation.append(dataclasses.replace(kept, x=kept.x + (first_kept - first)))
        trained.append(rows)
        first, first_kept = first + len(source.samples), first_kept + len(kept_from[number])

    rest = _numbered(target, classes, target.samples, 0)
    scored: Labelled | None = None
    if protocol.scored == "held_out":
        scored, rest = _split(rest, protocol.held_out, seed("target held out"))
    few: Labelled | None = None
    if protocol.target_labels:
        few, rest = _few(rest, protocol.target_labels, seed(LABELED_TARGET_DRAW), regression)
    if protocol.scored == "adapted":
        scored = rest
    elif protocol.scored == "test" and target.test is not None:
        scored = _numbered(target, classes, target.test, 0)
    assert scored is not None  # check() has seen that test rows are there

    def part(rows: Labelled, tensors: Sequence[Tensor]) -> Subset:
        facts = (None if fact is None else fact.to(device) for fact in (rows.y, rows.domain, rows.group))
        return Subset(store_of(tensors, device, fits), rows.x.to(device) if fits else rows.x, *facts)

    granted = Grants(
        classes=scored.y.shape[1] if regression else len(classes),
        source=part(_pool(trained), own) if "source" in protocol.grants else None,
        target=part(rest, [target.samples.x]).unlabelled() if "target" in protocol.grants else None,
        target_labeled=None if few is None else part(few, [target.samples.x]),
        regression=regression,
    )
    validating = part(_pool(validation), kept_from) if validation else None
    return CaseData(granted, part(scored, [scored_from]), validating, classes, target.groups, target.targets)


def _renumber(domain: Domain, classes: tuple[str, ...], y: Tensor) -> Tensor:
    """A domain's class numbers -> those of the pair; the targets of a regression as they are."""
    if domain.classes == classes:
        return y
    table = torch.tensor([classes.index(name) for name in domain.classes])
    return table[y]


def _numbered(domain: Domain, classes: tuple[str, ...], rows: Labelled, number: int, first: int = 0) -> Labelled:
    """Rows with their numbers (N,) in the place of x, counted from `first`: they are split and pooled as numbers."""
    y = _renumber(domain, classes, rows.y)
    return Labelled(torch.arange(first, first + len(y)), y, torch.full((len(y),), number), rows.group)


def _split(rows: Labelled, share: float, seed: int) -> tuple[Labelled, Labelled]:
    """A random share of the rows (one at least, and one at least is left), and the others."""
    if len(rows) < 2:
        raise TlbenchError(f"a share of {share} can't be held out of {len(rows)} row")
    order = torch.randperm(len(rows), generator=generator(seed))
    count = min(max(round(share * len(rows)), 1), len(rows) - 1)
    return rows[order[:count].sort().values], rows[order[count:].sort().values]


def _few(rows: Labelled, per_class: int, seed: int, regression: bool) -> tuple[Labelled, Labelled]:
    """`per_class` random rows of each class that is there (of all rows, for regression), and the others."""
    order = torch.randperm(len(rows), generator=generator(seed))
    taken = torch.zeros(len(rows), dtype=torch.bool)
    y = torch.zeros(len(rows)) if regression else rows.y[order]
    for name in y.unique().tolist():
        taken[order[(y == name).nonzero().squeeze(1)[:per_class]]] = True
    return rows[taken.nonzero().squeeze(1)], rows[(~taken).nonzero().squeeze(1)]


def _pool(parts: Sequence[Labelled]) -> Labelled:
    if len(parts) == 1:
        return parts[0]
    domains = [p.domain for p in parts if p.domain is not None]
    # groups are numbered in each domain on its own: pooled, the numbers would say nothing
    return Labelled(torch.cat([p.x for p in parts]), torch.cat([p.y for p in parts]), torch.cat(domains))
