"""The cache of decoded domains: a domain is decoded once, and its tensors are mapped from disk afterwards.

    <cache>/domains/<key>/           one entry per domain (`cache_entries`)
    <cache>/notes/<key>.json         sha256 of source files, by path, size and times (`source_files.file_hashes`)

The key hashes all that decides what a domain holds: the content of its files, its declaration and the code that reads it.
A cache that can't be used costs time only; a warning says so once.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import warnings
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from pathlib import Path

from filelock import FileLock, Timeout

from tlbench.data import readers
from tlbench.data.cache_entries import FORMAT, Entry, entries, entry_path, prune, read_entry, write_entry
from tlbench.data.declaration import Declaration
from tlbench.data.decoding.files import cache_folder
from tlbench.data.source_files import digest, file_hashes, files_of
from tlbench.terms import Domain

__all__ = ["Entry", "cache_folder", "entries", "entry_key", "load_cached", "load_derived", "prune"]

SMALL_BYTES = 1 << 20
"""Domains whose files are smaller than this are not cached: they are decoded faster than they are mapped."""
LOCK_TIMEOUT_SECONDS = 1800
"""How long a process waits for another one that decodes the same domain."""
KEYS_WITHOUT_EFFECT = frozenset({"name", "licence", "citation", "source", "sha256"})
"""The keys of a declaration that do not change what is loaded."""
MODULES_WITHOUT_EFFECT = frozenset({"cache", "cache_entries", "preview", "divergence", "duplicates"})
"""The modules of `tlbench.data` that do not change what is loaded: the cache itself, and what describes loaded domains."""


def entry_key(declaration: Declaration, hashes: Mapping[str, str]) -> str:
    """The key of a domain's entry.

    Args:
        declaration: the declaration of the domain.
        hashes: the sha256 of each of its files, by the path below the data root.
    """
    readers_used = [source.reader for source in (declaration.main, declaration.test) if source is not None]
    effective = declaration.model_dump(mode="json", exclude=set(KEYS_WITHOUT_EFFECT))
    return digest([FORMAT, effective, sorted(hashes.items()), [_code_digest(reader) for reader in readers_used]])


@cache
def _code_digest(reader: str) -> str:
    """A digest of the code that makes a domain, and of the version of NumPy."""
    import numpy as np

    contents = [hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(_code_files(reader))]
    return digest([np.__version__, contents])


def _code_files(reader: str) -> set[Path]:
    """The files of the code that makes a domain: those of `tlbench.data` and, from another package, the reader's own."""
    package = Path(__file__).parent
    left_out = {package / f"{module}.py" for module in MODULES_WITHOUT_EFFECT}
    own = {file for file in package.rglob("*.py") if file not in left_out}
    reader_file = getattr(readers.get(reader), "__file__", None)
    return own if reader_file is None else own | {Path(reader_file)}


def load_cached(declaration: Declaration, root: Path, folder: Path, decode: Callable[[], Domain]) -> Domain:
    """A declared domain from its entry; without an entry it is decoded and stored.

    Not stored are small domains, domains whose files can't be known, and domains with features to be fitted for each pair.

    Args:
        declaration: the declaration of the domain.
        root: the data root.
        folder: the cache folder.
        decode: reads the domain from its files.

    Raises:
        TlbenchError: `decode` raises it.
    """
    try:
        files = files_of(declaration, root)
        if files is None or sum(file.stat().st_size for file in files) < SMALL_BYTES:
            return decode()
        stamps = _stamps(files)
        hashes = {os.path.relpath(file, root): sha256 for file, sha256 in file_hashes(files, folder).items()}
        entry = entry_path(folder, entry_key(declaration, hashes))
    except OSError:
        return decode()  # whose error names the file

    def make() -> tuple[Domain, list[str] | None]:
        domain, messages = _with_warnings(decode)
        try:
            unchanged = _stamps(files) == stamps
        except OSError:
            unchanged = False
        # where a file changed meanwhile, what was decoded may not be what was hashed
        return domain, messages if unchanged and domain.unfitted is None else None

    return _load_or_make(entry, declaration.name, make)


def load_derived(folder: Path, key: str, name: str, make: Callable[[], Domain]) -> tuple[Domain, Path]:
    """A domain that is computed from another one, and the path of its entry; without an entry it is made and stored.

    Args:
        folder: the cache folder.
        key: a digest of all that decides what the domain holds.
        name: the name of the domain.
        make: computes the domain.
    """
    entry = entry_path(folder, key)
    return _load_or_make(entry, name, lambda: (make(), [])), entry


def _load_or_make(entry: Path, name: str, make: Callable[[], tuple[Domain, list[str] | None]]) -> Domain:
    """The domain of an entry; without an entry it is made under a lock, so that one process makes it, and stored.

    `make` gives the domain with the warnings to store, or with None if it must not be stored.
    """
    if (cached := read_entry(entry, name)) is not None:
        return cached
    with contextlib.ExitStack() as stack:
        try:
            entry.parent.mkdir(parents=True, exist_ok=True)
            stack.enter_context(FileLock(f"{entry}.lock", timeout=LOCK_TIMEOUT_SECONDS))
        except (OSError, Timeout, NotImplementedError) as error:
            _warn_once(entry.parents[1], error)
            return make()[0]
        if (cached := read_entry(entry, name)) is not None:
            return cached  # another process made it meanwhile
        domain, messages = make()
        if messages is None:
            return domain
        try:
            write_entry(domain, entry, messages)
        except (OSError, TypeError) as error:
            _warn_once(entry.parents[1], error)
            return domain
        return read_entry(entry, name) or domain


def _with_warnings(decode: Callable[[], Domain]) -> tuple[Domain, list[str]]:
    """The decoded domain and the texts of its UserWarnings, all of which are issued as well."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        domain = decode()
    for warning in caught:
        warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
    return domain, [str(warning.message) for warning in caught if warning.category is UserWarning]


def _stamps(files: Iterable[Path]) -> list[tuple[int, int]]:
    """Size and modification time of each file."""
    return [(stat.st_size, stat.st_mtime_ns) for stat in (file.stat() for file in files)]


def _warn_once(folder: Path, error: Exception) -> None:
    _log_once(
        f"The cache {folder} can't be written ({error}), so data are decoded each time. "
        "Name another folder by TLBENCH_CACHE=DIR."
    )


@cache
def _log_once(message: str) -> None:
    """Log a warning once per process; without a logging set-up it goes to standard error."""
    logging.getLogger("tlbench.cache").warning(message)
