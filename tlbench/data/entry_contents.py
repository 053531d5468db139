"""Reading an entry of the cache: nothing of it is believed that does not agree with its checksums and with itself."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import stat
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, NonNegativeInt, PositiveInt, ValidationError

from tlbench.data import checksums
from tlbench.data.decoding import mapped_arrays
from tlbench.errors import TlbenchError
from tlbench.terms import Domain, Labelled, Strict

FORMAT: Literal[3] = 3
"""Raise this number when the files of an entry change their meaning."""
CARD_FILE = "entry.json"
NOTE_FILE = "verified.json"
"""The CRC-32 and the stamp of each array that was compared with the card."""
_NOT_IN_CARD = ("samples", "test", "unfitted", "tasks")
DOMAIN_FACTS = tuple(field.name for field in dataclasses.fields(Domain) if field.name not in _NOT_IN_CARD)
"""The fields of a Domain that a card holds; domains of several tasks are not cached."""
TYPES = {"x": ("|u1", "<i4", "<f4"), "y": ("<i8", "<f4"), "domain": ("<i8",), "group": ("<i8",)}
"""The types that the arrays of samples may have."""


class ArrayFacts(Strict, strict=True):
    """The file of an array."""

    bytes: PositiveInt
    dtype: str
    shape: Annotated[tuple[NonNegativeInt, ...], Field(min_length=1, max_length=8)]
    crc32: Annotated[int, Field(ge=0, lt=2**32)]


class Summary(Strict, strict=True):
    """The main samples, for listings."""

    samples: PositiveInt
    shape: tuple[PositiveInt, ...]


class Card(Strict, strict=True):
    """What an entry says of itself."""

    format: Literal[3]
    key: str
    summary: Summary
    facts: dict[str, str | int | float | bool | tuple[str, ...] | None]
    """The plain fields of the Domain."""
    arrays: dict[
        Annotated[str, Field(pattern="^(samples|test)$")],
        dict[Annotated[str, Field(pattern="^(x|y|domain|group)$")], ArrayFacts],
    ]
    """The arrays of the main samples and of the test samples."""
    warnings: tuple[str, ...]
    """The warnings of its decoding."""
    seconds: Annotated[float, Field(ge=0)] | None = None
    """How long it took to compute the domain, where that is part of a case's cost."""


@dataclass(frozen=True)
class StoredDomain:
    """A domain that was read from an entry."""

    domain: Domain
    seconds: float | None = None


def read_card(entry: Path) -> Card:
    """The card of an entry.

    Raises:
        TlbenchError: there is none, it is damaged or of another version, or it is that of another entry.
    """
    path = entry / CARD_FILE
    try:
        content = checksums.read_json(path)
    except FileNotFoundError as error:
        raise TlbenchError(f"{path} is missing.") from error
    try:
        card = Card.model_validate_json(json.dumps(content))
    except ValidationError as error:
        raise TlbenchError(f"{path}: The card is of another version or damaged.") from error
    if card.key != entry.name:
        raise TlbenchError(f"{path}: The card is that of the entry {card.key}.")
    if card.facts.keys() != {*DOMAIN_FACTS} or "samples" not in card.arrays:
        raise TlbenchError(f"{path}: The card lacks facts or the samples.")
    return card


def read_entry(entry: Path, name: str, anew: bool = False) -> StoredDomain | None:
    """The domain of an entry under a name, its tensors mapped copy-on-write; None if there is nothing at its path.

    Args:
        entry: the path of the entry.
        name: the name of the domain.
        anew: whether the content of every array is read and compared, whatever is noted of it.

    Raises:
        TlbenchError: the entry is damaged.
    """
    if not os.path.lexists(entry):
        return None
    if entry.is_symlink() or not entry.is_dir():
        raise TlbenchError(f"{entry} is a link or no folder.")
    try:
        card = read_card(entry)
        _compare(entry, card, anew)
        labelled = {field: _read_labelled(entry, field, facts) for field, facts in card.arrays.items()}
        fields: dict[str, Any] = {**card.facts, **labelled, "name": name}
        domain = Domain(**fields)
        for samples in labelled.values():
            _check_labelled(samples, domain)
    except TlbenchError:
        raise
    except Exception as error:  # damaged bytes make libraries raise nearly anything
        raise TlbenchError(f"{entry}: {type(error).__name__}: {error}") from error
    with contextlib.suppress(OSError):  # the cache may be read-only
        os.utime(entry / CARD_FILE)  # its modification time is the time of the last use
    for message in card.warnings:
        warnings.warn(message, UserWarning, stacklevel=2)
    return StoredDomain(domain, card.seconds)


def _compare(entry: Path, card: Card, anew: bool) -> None:
    """Compare the files of an entry with its card: their content once for each stamp.

    Raises:
        TlbenchError: a file is missing, no plain file, or of another content.
    """
    expected = {entry / f"{field}.{name}.npy": facts for field, of in card.arrays.items() for name, facts in of.items()}
    for path, facts in expected.items():
        try:
            status = path.lstat()
        except FileNotFoundError as error:
            raise TlbenchError(f"{path} is missing.") from error
        if not stat.S_ISREG(status.st_mode):
            raise TlbenchError(f"{path} is a link or no plain file.")
        if status.st_size != facts.bytes:
            raise TlbenchError(f"{path} has {status.st_size} bytes, and the card states {facts.bytes}.")
    actual = checksums.noted_checksums(expected, entry / NOTE_FILE, checksums.crc32, anew)
    for path, facts in expected.items():
        if actual[path] != facts.crc32:
            raise TlbenchError(f"{path} has another content than the one that was written.")


def _read_labelled(entry: Path, field: str, arrays: Mapping[str, ArrayFacts]) -> Labelled:
    import numpy as np
    import torch

    tensors = {}
    for name, facts in arrays.items():
        path = entry / f"{field}.{name}.npy"
        array = np.load(path, mmap_mode="c", allow_pickle=False)
        if array.shape != facts.shape or array.dtype.str != facts.dtype or facts.dtype not in TYPES[name]:
            raise TlbenchError(
                f"{path} holds {array.dtype.str} {array.shape}, and the card states {facts.dtype} {facts.shape}."
            )
        tensors[name] = torch.from_numpy(mapped_arrays.remember(array))
    return Labelled(**tensors)


def _check_labelled(samples: Labelled, domain: Domain) -> None:
    """Check that labels and groups fit the samples, the classes and the targets.

    Raises:
        TlbenchError: they don't.
    """
    x, y, group = samples.x, samples.y, samples.group
    count = len(x)
    expected_shape = (count, len(domain.targets)) if domain.targets else (count,)
    if x.ndim < 2 or tuple(y.shape) != expected_shape or y.is_floating_point() != bool(domain.targets):
        raise TlbenchError(f"The labels {y.dtype} {tuple(y.shape)} do not fit the samples {tuple(x.shape)}.")
    if x.shape[1:] != domain.samples.x.shape[1:] or x.dtype != domain.samples.x.dtype:
        raise TlbenchError("The test samples differ in shape or type from the main samples.")
    if not domain.targets and (int(y.min()) < 0 or int(y.max()) >= len(domain.classes)):
        raise TlbenchError(f"A label is outside the {len(domain.classes)} classes.")
    if domain.targets and not bool(y.isfinite().all()):
        raise TlbenchError("A target is not finite.")
    if group is None:
        return
    if group.shape != (count,) or int(group.min()) < 0 or int(group.max()) >= len(domain.groups):
        raise TlbenchError(f"A group is outside the {len(domain.groups)} groups.")
