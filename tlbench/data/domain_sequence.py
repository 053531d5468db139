"""Several domains as one, whose samples come one domain after the other."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from tlbench.errors import TlbenchError
from tlbench.terms import Domain, Labelled


def domain_sequence(name: str, members: Sequence[Domain]) -> Domain:
    """The samples of all members, in their order. The groups of the domain are its members.

    Args:
        name: of the domain.
        members: domains with samples of one shape and type, and labels of one task.

    Raises:
        TlbenchError: the samples or the targets differ, or features are fitted on the source of a pair.
    """
    first = members[0]
    for member in members:
        if member.unfitted is not None:
            raise TlbenchError(
                f"domains.{name}: Features of {member.name} are fitted on the source, which a sequence can't do."
            )
        one, other = first.samples.x, member.samples.x
        if one.shape[1:] != other.shape[1:] or one.dtype != other.dtype or first.targets != member.targets:
            raise TlbenchError(
                f"domains.{name}: {first.name} has samples of the shape {tuple(one.shape[1:])} and {member.name} of "
                f"{tuple(other.shape[1:])}. The domains of a sequence need one shape, one type and the same targets."
            )
    classes = tuple(dict.fromkeys(label for member in members for label in member.classes))
    test = None
    if all(member.test is not None for member in members):
        test = _joined([member.test for member in members if member.test is not None], members, classes)
    return Domain(
        name=name,
        samples=_joined([member.samples for member in members], members, classes),
        classes=classes,
        fingerprint=hashlib.sha256(" > ".join(member.fingerprint for member in members).encode()).hexdigest()[:16],
        test=test,
        groups=tuple(member.name for member in members),
        targets=first.targets,
        notes=tuple(f"{member.name}: {note}" for member in members for note in member.notes),
        reading=tuple(f"{member.name}: {text}" for member in members for text in member.reading),
    )


def _joined(samples: Sequence[Labelled], members: Sequence[Domain], classes: tuple[str, ...]) -> Labelled:
    """Samples of the members, whose labels become indices of `classes`, and whose group is the index of the member."""
    import torch

    labels = [
        one.y if not classes else torch.tensor([classes.index(label) for label in member.classes])[one.y]
        for one, member in zip(samples, members, strict=True)
    ]
    group = torch.cat([torch.full((len(one),), number) for number, one in enumerate(samples)])
    return Labelled(torch.cat([one.x for one in samples]), torch.cat(labels), group=group)
