"""A domain is decoded once: its tensors are kept as files and mapped from disk ever after.

    <cache>/domains/<key>/card.json, rows.x.npy, rows.y.npy, test.x.npy...
    <cache>/notes/<key>.json         sha256 of source files, by path, size and times: no file is hashed twice

The key hashes all that decides what a domain holds: the content of its files, its declaration, the code of this room and
of the reader. An entry is written beside its place and renamed: whoever finds one finds a whole one. One that lacks a
byte is thrown away and made again. A cache that can't be used is said once, and costs nothing but time.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import logging
import os
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from tlbench.data import readers
from tlbench.data.declaration import Declaration
from tlbench.data.decoding import mapped_arrays
from tlbench.data.decoding.files import cache_folder
from tlbench.data.source_files import digest, files_of, file_hashes
from tlbench.errors import TlbenchError
from tlbench.terms import Domain, Labelled

FORMAT = 1
"""Raise it when the files of an entry change their meaning."""
SMALL_BYTES = 1 << 20
"""Domains of fewer bytes on disk are quicker to read than to keep."""
LOCK_TIMEOUT_SECONDS = 1800
"""How long one process waits for another that decodes the same domain."""
KEYS_WITHOUT_EFFECT = frozenset({"name", "licence", "citation", "source", "sha256"})
"""Keys of a declaration that decide nothing of what is loaded."""


def entry_key(declaration: Declaration, files: Mapping[str, str]) -> str:
    """The name of a domain's entry, from its declaration and the sha256 of each file by its path below the data root."""
    parts = [part.reader for part in (declaration.main, declaration.test) if part is not None]
    decides = declaration.model_dump(mode="json", exclude=set(KEYS_WITHOUT_EFFECT))
    return digest([FORMAT, decides, sorted(files.items()), [_code(reader) for reader in parts]])


@cache
def _code(reader: str) -> str:
    """A digest of the code that makes a domain: this room and the reader, and the versions of what they stand on."""
    import numpy as np

    room = Path(__file__).parent
    own = {file for file in room.glob("*.py") if file.stem not in {"cache", "cards", "apart", "repeats"}} | {
        *room.glob("shifts/*.py")
    }
    if file := getattr(readers.get(reader), "__file__", None):
        own.add(Path(file))
    return digest([np.__version__, [hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(own)]])


cache_folder = cache_folder

# --- entries ---


def load_cached(declaration: Declaration, root: Path, folder: Path, decode: Callable[[], Domain]) -> Domain:
    """The domain as `decode` gives it, from its entry if there is one; else one is made.

    Raises:
        TlbenchError: what `decode` raises.
    """
    try:
        files = files_of(declaration, root)
        if files is None or sum(file.stat().st_size for file in files) < SMALL_BYTES:
            return decode()
        before = _stamps(files)
        sums = {os.path.relpath(file, root): held for file, held in file_hashes(files, folder).items()}
        entry = folder / "domains" / entry_key(declaration, sums)
    except OSError:
        return decode()  # which says what is wrong with the file
    if (found := _mapped(entry, declaration.name)) is not None:
        return found
    with contextlib.ExitStack() as stack:
        try:
            entry.parent.mkdir(parents=True, exist_ok=True)
            stack.enter_context(FileLock(f"{entry}.lock", timeout=LOCK_TIMEOUT_SECONDS))
        except (OSError, Timeout, NotImplementedError) as error:
            return _without(folder, error, decode())
        if (found := _mapped(entry, declaration.name)) is not None:
            return found  # another process made it meanwhile
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", UserWarning)
            domain = decode()
        said = [str(one.message) for one in caught if one.category is UserWarning]
        for one in caught:
            warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)
        try:
            if _stamps(files) != before or domain.unfitted is not None:
                return domain  # a file was changed meanwhile: what was read may not be what was hashed; or rows of cells
            _store(domain, entry, said)
        except (OSError, TypeError) as error:
            return _without(folder, error, domain)
        return _mapped(entry, declaration.name) or domain


def entry_path(folder: Path, key: str, name: str, make: Callable[[], Domain]) -> tuple[Domain, Path]:
    """A domain that is made from others, from the entry of its key if there is one, and the entry's place.

    Args:
        folder: the cache.
        key: a digest of all that decides what the domain holds.
        name: what the domain is called.
        make: makes it.
    """
    entry = folder / "domains" / key
    if (found := _mapped(entry, name)) is not None:
        return found, entry
    with contextlib.ExitStack() as stack:
        try:
            entry.parent.mkdir(parents=True, exist_ok=True)
            stack.enter_context(FileLock(f"{entry}.lock", timeout=LOCK_TIMEOUT_SECONDS))
        except (OSError, Timeout, NotImplementedError) as error:
            return _without(folder, error, make()), entry
        if (found := _mapped(entry, name)) is not None:
            return found, entry  # another process made it meanwhile
        domain = make()
        try:
            _store(domain, entry, [])
        except (OSError, TypeError) as error:
            return _without(folder, error, domain), entry
        return _mapped(entry, name) or domain, entry


def _stamps(files: Iterable[Path]) -> list[tuple[int, int]]:
    return [(facts.st_size, facts.st_mtime_ns) for facts in (file.stat() for file in files)]


def _without(folder: Path, error: Exception, domain: Domain) -> Domain:
    _say(f"the cache {folder} can't be written ({error}); data are decoded each time. TLBENCH_CACHE=DIR names another folder")
    return domain


@cache
def _say(text: str) -> None:
    """Once a process; without any set-up of logging it goes to standard error."""
    logging.getLogger("tlbench.cache").warning(text)


def _mapped(entry: Path, name: str) -> Domain | None:
    """The domain of an entry, its tensors mapped copy-on-write; None if there is none, or if it is damaged."""
    if not entry.is_dir():
        return None
    try:
        card = json.loads((entry / "card.json").read_text(encoding="utf-8"))
        if card["format"] != FORMAT:
            raise ValueError("another format")
        parts = {part: _labelled(entry, part, arrays) for part, arrays in card["arrays"].items()}
        facts = {fact: tuple(value) if isinstance(value, list) else value for fact, value in card["facts"].items()}
        held: dict[str, Any] = {**facts, **parts, "name": name}
        domain, said = Domain(**held), list(card["said"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    with contextlib.suppress(OSError):  # a cache that may only be read
        os.utime(entry / "card.json")  # when it was last used
    _warn(said)
    return domain


def _labelled(entry: Path, part: str, arrays: Mapping[str, int]) -> Labelled:
    import numpy as np
    import torch

    tensors = {}
    for field, size in arrays.items():
        file = entry / f"{part}.{field}.npy"
        if file.stat().st_size != size:
            raise ValueError(f"{file} has another size")
        tensors[field] = torch.from_numpy(mapped_arrays.remember(np.load(file, mmap_mode="c", allow_pickle=False)))
    return Labelled(**tensors)


def _warn(said: Iterable[str]) -> None:
    """Say again what was said of a domain when it was decoded."""
    for text in said:
        warnings.warn(text, UserWarning, stacklevel=2)


def _store(domain: Domain, entry: Path, said: list[str]) -> None:
    """Write an entry beside its place, then rename it there; what a killed process left behind is removed."""

    for old in (entry, *entry.parent.glob(f"{entry.name}.tmp*")):
        shutil.rmtree(old, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=f"{entry.name}.tmp", dir=entry.parent, ignore_cleanup_errors=True) as made:
        arrays: dict[str, dict[str, int]] = {}
        facts: dict[str, Any] = {}
        for field in dataclasses.fields(domain):
            value = getattr(domain, field.name)
            if not isinstance(value, Labelled):
                if field.name != "unfitted":
                    facts[field.name] = value
                continue
            arrays[field.name] = {}
            for inner in dataclasses.fields(value):
                if (tensor := getattr(value, inner.name)) is None:
                    continue
                file = Path(made) / f"{field.name}.{inner.name}.npy"
                with file.open("wb") as stream:
                    _save(stream, tensor.numpy())
                    stream.flush()
                    os.fsync(stream.fileno())  # else a rename may outlive a power cut that its content does not
                arrays[field.name][inner.name] = file.stat().st_size
        held = {"rows": len(domain.samples), "shape": list(domain.samples.x.shape[1:]), "classes": len(domain.classes)}
        card = {"format": FORMAT, "held": held, "facts": facts, "arrays": arrays, "said": said}
        with (Path(made) / "card.json").open("w", encoding="utf-8") as text:
            json.dump(card, text, indent=1)
            text.flush()
            os.fsync(text.fileno())
        Path(made).chmod(0o755)
        Path(made).rename(entry)


def _save(stream: Any, array: Any) -> None:
    """As numpy.save, some rows at a time."""
    import numpy as np

    np.lib.format.write_array_header_1_0(stream, {"descr": array.dtype.str, "fortran_order": False, "shape": array.shape})
    for part in mapped_arrays.chunks(array):
        stream.write(np.ascontiguousarray(array[part]).data)


# --- what is there ---


@dataclass(frozen=True)
class Entry:
    """What a cache holds of one domain; `used` is its last use in seconds since 1970."""

    path: Path
    name: str
    samples: int
    shape: tuple[int, ...]
    size_bytes: int
    used: float


def entries(folder: Path) -> list[Entry]:
    """All whole entries of a cache, the last used first."""
    found = []
    for card in (folder / "domains").glob("*/card.json"):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            said = json.loads(card.read_text(encoding="utf-8"))
            size = sum(file.stat().st_size for file in card.parent.iterdir())
            held, name = said["held"], str(said["facts"]["name"])
            found.append(Entry(card.parent, name, held["rows"], tuple(held["shape"]), size, card.stat().st_mtime))
    return sorted(found, key=lambda entry: -entry.used)


def prune(folder: Path, before: float | None = None) -> int:
    """Remove the entries that were last used before a time (seconds since 1970), or all without one.

    An entry that is being made is left alone; what a killed process left behind goes. Tensors that are mapped stay whole.

    Returns:
        The bytes that were freed.

    Raises:
        TlbenchError: an entry that can't be removed.
    """
    freed = 0
    young = {entry.path.name for entry in entries(folder) if before is not None and entry.used >= before}
    for path in (folder / "domains").glob("*"):
        name = path.name.split(".")[0]
        if name in young or not path.is_dir():
            continue
        try:
            with FileLock(f"{folder / 'domains' / name}.lock", timeout=0):
                size = sum(file.stat().st_size for file in path.iterdir())
                shutil.rmtree(path)
                freed += size
        except Timeout:
            continue
        except OSError as error:
            raise TlbenchError(f"{path} can't be removed ({error}); the cache is {folder}") from error
    if before is None:
        shutil.rmtree(folder / "notes", ignore_errors=True)
    return freed
