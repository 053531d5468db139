"""The entries of the cache: folders that each hold the tensors of one domain.

    <cache>/domains/<key>/entry.json, samples.x.npy, samples.y.npy, test.x.npy..., verified.json

An entry is written to a temporary folder beside its path and then renamed, so that every entry that can be found is complete.
Its card (`entry.json`) states its key and the size, type, shape and CRC-32 of each array, and carries a checksum of its own.
The arrays are compared with the card at the first opening and whenever their stamps have changed; `verified.json` notes the
stamps. See `entry_contents` for what else is checked.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
import tempfile
import warnings
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from pydantic import ValidationError

from tlbench.data import checksums
from tlbench.data.decoding import mapped_arrays
from tlbench.data.entry_contents import CARD_FILE, DOMAIN_FACTS, FORMAT, ArrayFacts, Card, Summary, read_card, read_entry
from tlbench.data.finished_arrays import fingerprint
from tlbench.errors import TlbenchError
from tlbench.terms import Domain, Labelled

__all__ = ["FORMAT", "Entry", "damaged_entries", "entries", "entry_path", "prune", "read_entry", "write_entry"]


def entry_path(folder: Path, key: str) -> Path:
    """The path of the entry of a key in a cache folder."""
    return folder / "domains" / key


def write_entry(domain: Domain, entry: Path, messages: list[str], seconds: float | None = None) -> None:
    """Write an entry, and remove what is at its path and what earlier processes left incomplete there.

    Args:
        domain: the domain; `unfitted` is not stored.
        entry: the path of the entry; its name is the key.
        messages: the warnings of its decoding, which each later load repeats.
        seconds: how long it took to compute the domain, where that is part of a case's cost.

    Raises:
        OSError: the cache can't be written.
        TypeError: the domain holds what a card can't.
    """
    for leftover in (entry, *entry.parent.glob(f"{entry.name}.tmp*")):
        _remove(leftover)
    with tempfile.TemporaryDirectory(prefix=f"{entry.name}.tmp", dir=entry.parent, ignore_cleanup_errors=True) as temporary:
        folder = Path(temporary)
        fields = {field.name: getattr(domain, field.name) for field in dataclasses.fields(domain)}
        arrays = {name: _write_labelled(folder, name, value) for name, value in fields.items() if isinstance(value, Labelled)}
        try:
            card = Card(
                format=FORMAT,
                key=entry.name,
                summary=Summary(samples=len(domain.samples), shape=tuple(domain.samples.x.shape[1:])),
                facts={name: fields[name] for name in DOMAIN_FACTS},
                arrays=arrays,
                warnings=tuple(messages),
                seconds=seconds,
            )
        except ValidationError as error:
            raise TypeError("the domain holds what a card can't") from error
        checksums.write_json(folder / CARD_FILE, card.model_dump(mode="json"))
        folder.chmod(0o755)
        folder.rename(entry)


def _remove(path: Path) -> None:
    """Remove a file, a link or a folder, where that is possible."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
        return
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)


def _write_labelled(folder: Path, field: str, labelled: Labelled) -> dict[str, ArrayFacts]:
    """Write the tensors of a field, and return the facts of the file of each."""
    facts = {}
    for tensor_field in dataclasses.fields(labelled):
        if (tensor := getattr(labelled, tensor_field.name)) is None:
            continue
        path, array = folder / f"{field}.{tensor_field.name}.npy", tensor.numpy()
        with path.open("wb") as stream:
            counted = _ChecksumStream(stream)
            _save_array(counted, array)
            stream.flush()
            os.fsync(stream.fileno())  # else the rename may survive a power failure that the content does not
        facts[tensor_field.name] = ArrayFacts(
            bytes=path.stat().st_size, dtype=array.dtype.str, shape=tuple(array.shape), crc32=counted.crc32
        )
    return facts


class _ChecksumStream:
    """A stream that computes the CRC-32 of what is written to it."""

    def __init__(self, stream: Any) -> None:
        self._stream, self.crc32 = stream, 0

    def write(self, content: Any) -> None:
        self.crc32 = zlib.crc32(content, self.crc32)
        self._stream.write(content)


def _save_array(stream: Any, array: Any) -> None:
    """Write an array as numpy.save does, chunk by chunk."""
    import numpy as np

    np.lib.format.write_array_header_1_0(stream, {"descr": array.dtype.str, "fortran_order": False, "shape": array.shape})
    for chunk in mapped_arrays.chunks(array):
        stream.write(np.ascontiguousarray(array[chunk]).data)


@dataclass(frozen=True)
class Entry:
    """What an entry holds, for listings."""

    path: Path
    name: str
    samples: int
    """The number of main samples."""
    shape: tuple[int, ...]
    """The shape of one sample."""
    size_bytes: int
    used: float
    """The time of its last use, in seconds since 1970."""


def entries(folder: Path) -> list[Entry]:
    """All entries of a cache folder with a whole card, the last used first."""
    listed = []
    for path in _folders(folder):
        with contextlib.suppress(OSError, TlbenchError):
            card = read_card(path)
            size_bytes, used = _size_bytes(path), (path / CARD_FILE).stat().st_mtime
            listed.append(Entry(path, str(card.facts["name"]), card.summary.samples, card.summary.shape, size_bytes, used))
    return sorted(listed, key=lambda entry: -entry.used)


def _folders(folder: Path) -> list[Path]:
    """The folders of entries, whole or not; what killed processes left incomplete is none."""
    paths = sorted((folder / "domains").glob("*"))
    return [path for path in paths if "." not in path.name and path.is_dir() and not path.is_symlink()]


def _size_bytes(path: Path) -> int:
    return sum(file.lstat().st_size for file in path.iterdir())


def damaged_entries(folder: Path) -> Mapping[Path, str]:
    """The damaged entries of a cache folder, by path, with what is wrong; every entry is read anew, whatever is noted of it.

    The fingerprint of a decoded domain is computed anew as well.
    """
    damaged: dict[Path, str] = {}
    for path in _folders(folder):
        try:
            with warnings.catch_warnings(action="ignore"):  # they are those of its decoding
                stored = read_entry(path, path.name, anew=True)
            if stored is not None and stored.seconds is None:
                _check_fingerprint(stored.domain)
        except TlbenchError as error:
            damaged[path] = str(error)
    return damaged


def _check_fingerprint(domain: Domain) -> None:
    """Check that a decoded domain has the content that its fingerprint stands for.

    Raises:
        TlbenchError: it has another one.
    """
    subsets = []
    for samples in filter(None, (domain.samples, domain.test)):
        group = None if samples.group is None else samples.group.numpy()
        subsets.append((samples.x.numpy(), samples.y.numpy(), group))
    if fingerprint(subsets, domain.classes or domain.targets, []) != domain.fingerprint:
        raise TlbenchError("The content has another fingerprint than the one stated.")


def prune(folder: Path, before: float | None = None) -> int:
    """Remove entries from a cache folder, with what killed processes left incomplete there.

    An entry that another process is writing stays. Tensors that are mapped stay readable.

    Args:
        folder: the cache folder.
        before: entries that were last used before this time, in seconds since 1970, are removed; None: all.

    Returns:
        The number of bytes that were freed.

    Raises:
        TlbenchError: an entry can't be removed.
    """
    recent = {entry.path.name for entry in entries(folder) if before is not None and entry.used >= before}
    paths = [path for path in (folder / "domains").glob("*") if path.name.split(".")[0] not in recent and path.is_dir()]
    freed_bytes = remove_entries(folder, paths)
    if before is None:
        shutil.rmtree(folder / "notes", ignore_errors=True)
    return freed_bytes


def remove_entries(folder: Path, paths: list[Path]) -> int:
    """Remove some folders of entries, but for those that another process is writing, and return the bytes that were freed.

    Raises:
        TlbenchError: one can't be removed.
    """
    freed_bytes = 0
    for path in paths:
        try:
            with FileLock(f"{folder / 'domains' / path.name.split('.')[0]}.lock", timeout=0):
                if path.is_symlink():
                    path.unlink()
                    continue
                size_bytes = _size_bytes(path)
                shutil.rmtree(path)
                freed_bytes += size_bytes
        except Timeout:
            continue
        except OSError as error:
            raise TlbenchError(f"{path} can't be removed ({error}). Remove it from the cache {folder} yourself.") from error
    return freed_bytes
