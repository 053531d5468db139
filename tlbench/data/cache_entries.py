"""The entries of the cache: folders that each hold the tensors of one domain.

    <cache>/domains/<key>/entry.json, samples.x.npy, samples.y.npy, test.x.npy...

An entry is written to a temporary folder beside its path and then renamed, so that every entry that can be found is complete.
An entry with a file of another size than noted is treated as missing.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import shutil
import tempfile
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from tlbench.data.decoding import mapped_arrays
from tlbench.errors import TlbenchError
from tlbench.terms import Domain, Labelled

FORMAT = 2
"""Raise this number when the files of an entry change their meaning."""
METADATA_FILE = "entry.json"
"""Its keys: format; summary (for listings); facts (the plain fields of the Domain); arrays (file sizes in bytes); warnings."""


def entry_path(folder: Path, key: str) -> Path:
    """The path of the entry of a key in a cache folder."""
    return folder / "domains" / key


def read_entry(entry: Path, name: str) -> Domain | None:
    """The domain of an entry under a name, its tensors mapped copy-on-write; None if there is no intact entry."""
    if not entry.is_dir():
        return None
    try:
        metadata = json.loads((entry / METADATA_FILE).read_text(encoding="utf-8"))
        if metadata["format"] != FORMAT:
            raise ValueError("another format")
        labelled = {field: _read_labelled(entry, field, sizes) for field, sizes in metadata["arrays"].items()}
        facts = {field: tuple(value) if isinstance(value, list) else value for field, value in metadata["facts"].items()}
        fields: dict[str, Any] = {**facts, **labelled, "name": name}
        domain, messages = Domain(**fields), list(metadata["warnings"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    with contextlib.suppress(OSError):  # the cache may be read-only
        os.utime(entry / METADATA_FILE)  # its modification time is the time of the last use
    _repeat_warnings(messages)
    return domain


def _read_labelled(entry: Path, field: str, sizes: Mapping[str, int]) -> Labelled:
    import numpy as np
    import torch

    tensors = {}
    for name, size_bytes in sizes.items():
        path = entry / f"{field}.{name}.npy"
        if path.stat().st_size != size_bytes:
            raise ValueError(f"{path} has another size")
        tensors[name] = torch.from_numpy(mapped_arrays.remember(np.load(path, mmap_mode="c", allow_pickle=False)))
    return Labelled(**tensors)


def _repeat_warnings(messages: Iterable[str]) -> None:
    """Repeat the warnings of the domain's decoding."""
    for message in messages:
        warnings.warn(message, UserWarning, stacklevel=2)


def write_entry(domain: Domain, entry: Path, messages: list[str]) -> None:
    """Write an entry, and remove what earlier processes left incomplete at its path.

    Args:
        domain: the domain; `unfitted` is not stored.
        entry: the path of the entry.
        messages: the warnings of its decoding, which each later load repeats.

    Raises:
        OSError: the cache can't be written.
        TypeError: the domain holds what JSON can't.
    """
    for leftover in (entry, *entry.parent.glob(f"{entry.name}.tmp*")):
        shutil.rmtree(leftover, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=f"{entry.name}.tmp", dir=entry.parent, ignore_cleanup_errors=True) as temporary:
        folder = Path(temporary)
        fields = {field.name: getattr(domain, field.name) for field in dataclasses.fields(domain) if field.name != "unfitted"}
        arrays = {name: _write_labelled(folder, name, value) for name, value in fields.items() if isinstance(value, Labelled)}
        metadata = {
            "format": FORMAT,
            "summary": {"samples": len(domain.samples), "shape": list(domain.samples.x.shape[1:])},
            "facts": {name: value for name, value in fields.items() if not isinstance(value, Labelled)},
            "arrays": arrays,
            "warnings": messages,
        }
        with (folder / METADATA_FILE).open("w", encoding="utf-8") as stream:
            json.dump(metadata, stream, indent=1)
            stream.flush()
            os.fsync(stream.fileno())
        folder.chmod(0o755)
        folder.rename(entry)


def _write_labelled(folder: Path, field: str, labelled: Labelled) -> dict[str, int]:
    """Write the tensors of a field, and return the size in bytes of the file of each."""
    sizes = {}
    for tensor_field in dataclasses.fields(labelled):
        if (tensor := getattr(labelled, tensor_field.name)) is None:
            continue
        path = folder / f"{field}.{tensor_field.name}.npy"
        with path.open("wb") as stream:
            _save_array(stream, tensor.numpy())
            stream.flush()
            os.fsync(stream.fileno())  # else the rename may survive a power failure that the content does not
        sizes[tensor_field.name] = path.stat().st_size
    return sizes


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
    """All complete entries of a cache folder, the last used first."""
    listed = []
    for path in (folder / "domains").glob(f"*/{METADATA_FILE}"):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            metadata = json.loads(path.read_text(encoding="utf-8"))
            size_bytes = sum(file.stat().st_size for file in path.parent.iterdir())
            summary, name = metadata["summary"], str(metadata["facts"]["name"])
            shape = tuple(summary["shape"])
            listed.append(Entry(path.parent, name, summary["samples"], shape, size_bytes, path.stat().st_mtime))
    return sorted(listed, key=lambda entry: -entry.used)


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
    freed_bytes = 0
    recent = {entry.path.name for entry in entries(folder) if before is not None and entry.used >= before}
    for path in (folder / "domains").glob("*"):
        name = path.name.split(".")[0]
        if name in recent or not path.is_dir():
            continue
        try:
            with FileLock(f"{folder / 'domains' / name}.lock", timeout=0):
                size_bytes = sum(file.stat().st_size for file in path.iterdir())
                shutil.rmtree(path)
                freed_bytes += size_bytes
        except Timeout:
            continue
        except OSError as error:
            raise TlbenchError(f"{path} can't be removed ({error}). Remove it from the cache {folder} yourself.") from error
    if before is None:
        shutil.rmtree(folder / "notes", ignore_errors=True)
    return freed_bytes
