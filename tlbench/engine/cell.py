"""A pair of domains under a protocol -> what is granted, what is scored, what validates. Only the engine holds a Cell."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tlbench.engine.seeds import generator
from tlbench.suite import Protocol
from tlbench.terms import Domain, Labelled, Task, TlbenchError


@dataclass(frozen=True)
class Cell:
    """The parts of one pair and seed. `scored` holds the target labels that no method may reach."""

    granted: Task
    scored: Labelled
    validation: Labelled | None
    classes: tuple[str, ...]
    groups: tuple[str, ...] = ()
    """The names that `scored.group` numbers."""
    targets: tuple[str, ...] = ()
    """The names of the target columns of a regression."""


def check(sources: Sequence[Domain], target: Domain, protocol: Protocol) -> None:
    """Raise TlbenchError where a pair can't be run under a protocol, before anything is trained."""
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
    shapes = {d.name: tuple(d.rows.x.shape[1:]) for d in (*sources, target)}
    if len(set(shapes.values())) > 1:
        said = ", ".join(f"{name} {list(shape)}" for name, shape in shapes.items())
        raise TlbenchError(f"{pair}: rows of different shape: {said}; give them one shape (`shape`, `prepare`)")
    if protocol.scored == "test" and target.test is None:
        raise TlbenchError(
            f"{pair}: protocol.scored = 'test', but domain {target.name} declares no test rows; "
            "give it a `test = {...}` table, or score 'adapted' or 'held_out'"
        )
    if regression:
        if protocol.target_labels >= len(target.rows):
            raise TlbenchError(
                f"{pair}: domain {target.name} has {len(target.rows)} rows; with protocol.target_labels = "
                f"{protocol.target_labels} of them granted none is left to score; grant fewer"
            )
        return
    count = torch.bincount(_renumber(target, classes, target.rows.y), minlength=len(classes))
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


def make(
    sources: Sequence[Domain], target: Domain, protocol: Protocol, seed: Callable[[str], int], device: torch.device
) -> Cell:
    """Split and move to the device.

    Args:
        sources: at least one; their rows are pooled, `domain` says which one a row is from.
        target: rows (N, ...) of the same shape.
        protocol: the grants and what is scored.
        seed: use -> seed; the draws of rows are seeded, the same for every method.
        device: where the parts are to live.
    """
    regression = protocol.task == "regression"
    classes = () if regression else shared_classes(sources, target)
    trained: list[Labelled] = []
    validation: list[Labelled] = []
    for number, source in enumerate(sources):
        rows = _numbered(source, classes, source.rows, number)
        if source.test is not None:
            validation.append(_numbered(source, classes, source.test, number))
        elif protocol.source_held_out:
            kept, rows = _split(rows, protocol.source_held_out, seed(f"source held out {number}"))
            validation.append(kept)
        trained.append(rows)

    rest = _numbered(target, classes, target.rows, 0)
    scored: Labelled | None = None
    if protocol.scored == "held_out":
        scored, rest = _split(rest, protocol.held_out, seed("target held out"))
    few: Labelled | None = None
    if protocol.target_labels:
        few, rest = _few(rest, protocol.target_labels, seed("few"), regression)
    if protocol.scored == "adapted":
        scored = rest
    elif protocol.scored == "test" and target.test is not None:
        scored = _numbered(target, classes, target.test, 0)
    assert scored is not None  # check() has seen that test rows are there
    granted = Task(
        classes=scored.y.shape[1] if regression else len(classes),
        source=_to(_pool(trained), device) if "source" in protocol.grants else None,
        target=rest.x.to(device) if "target" in protocol.grants else None,
        few=None if few is None else _to(few, device),
        regression=regression,
    )
    validating = _to(_pool(validation), device) if validation else None
    return Cell(granted, _to(scored, device), validating, classes, target.groups, target.targets)


def _renumber(domain: Domain, classes: tuple[str, ...], y: Tensor) -> Tensor:
    """A domain's class numbers -> those of the pair; the targets of a regression as they are."""
    if domain.classes == classes:
        return y
    table = torch.tensor([classes.index(name) for name in domain.classes])
    return table[y]


def _numbered(domain: Domain, classes: tuple[str, ...], rows: Labelled, number: int) -> Labelled:
    y = _renumber(domain, classes, rows.y)
    return Labelled(rows.x, y, torch.full((len(y),), number), rows.group)


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


def _to(rows: Labelled, device: torch.device) -> Labelled:
    domain = None if rows.domain is None else rows.domain.to(device)
    group = None if rows.group is None else rows.group.to(device)
    return Labelled(rows.x.to(device), rows.y.to(device), domain, group)
