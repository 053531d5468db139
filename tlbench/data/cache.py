"""The cache of decoded domains: a domain is decoded once, and its tensors are mapped from disk afterwards.

    <cache>/domains/<key>/           one entry per domain (`cache_entries`)
    <cache>/notes/<key>.json         sha256 of source files, by path and stamp (`source_files.file_hashes`)

The key hashes all that decides what a domain holds: the content of its files, its declaration, the code that reads it and the
versions of the libraries that decode it. A damaged entry is made anew, and a warning says so. A cache that can't be used costs
time only; a warning says so once.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import sys
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import cache
from importlib import metadata
from pathlib import Path

from filelock import FileLock, Timeout

from tlbench.data import readers
from tlbench.data.cache_entries import (
    FORMAT,
    Entry,
    damaged_entries,
    entries,
    entry_path,
    prune,
    read_entry,
    remove_entries,
    write_entry,
)
from tlbench.data.checksums import digest
from tlbench.data.declaration import Declaration
from tlbench.data.decoding.files import cache_folder
from tlbench.data.entry_contents import StoredDomain
from tlbench.data.source_files import file_hashes, files_of
from tlbench.errors import TlbenchError
from tlbench.terms import Domain, Labelled

__all__ = [
    "Entry",
    "StoredDomain",
    "cache_folder",
    "damaged_entries",
    "entries",
    "entry_key",
    "load_cached",
    "load_derived",
    "prune",
    "remove_entries",
]

SMALL_BYTES = 1 << 20
"""Domains whose files are smaller than this are not cached, unless they decode slowly: the others are mapped no faster."""
SLOW_FEATURES = frozenset({"tokens", "encoder"})
"""The features of texts that take seconds for a thousand texts, however small their files are."""
LOCK_TIMEOUT_SECONDS = 1800
"""How long a process waits for another one that decodes the same domain."""
KEYS_WITHOUT_EFFECT = frozenset({"name", "class_texts", "licence", "citation", "source", "sha256"})
"""The keys of a declaration that do not change what is loaded."""
MODULES_WITHOUT_EFFECT = frozenset(
    {"cache", "cache_entries", "entry_contents", "checksums", "preview", "divergence", "duplicates"}
)
"""The modules of `tlbench.data` that do not change what is loaded: the cache itself, and what describes loaded domains."""
LIBRARIES = ("numpy",)
"""The distributions that have a part in every domain."""
LIBRARIES_OF_OPERATIONS = ("scipy", "torch", "torchvision")
"""Those that have a part in shifts and preparations."""


def entry_key(declaration: Declaration, hashes: Mapping[str, str]) -> str:
    """The key of a domain's entry.

    Args:
        declaration: the declaration of the domain.
        hashes: the sha256 of each of its files, by the path below the data root.
    """
    sources = [source for source in (declaration.main, declaration.test) if source is not None]
    effective = declaration.model_dump(mode="json", exclude=set(KEYS_WITHOUT_EFFECT))
    libraries = LIBRARIES_OF_OPERATIONS if declaration.shifts or declaration.prepare else ()
    code = [_code_digest(source.reader) for source in sources]
    return digest([FORMAT, effective, sorted(hashes.items()), code, _versions(libraries)])


@cache
def _code_digest(reader: str) -> str:
    """A digest of the code that makes a domain, and of the versions of the libraries that its reader names in `LIBRARIES`."""
    contents = [hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(_code_files(reader))]
    return digest([_versions((*LIBRARIES, *getattr(readers.get(reader), "LIBRARIES", ()))), contents])


def _versions(libraries: Iterable[str]) -> list[tuple[str, str | None]]:
    """The version of each distribution; None where it is not installed."""
    return [(name, _version(name)) for name in libraries]


@cache
def _version(library: str) -> str | None:
    try:
        return metadata.version(library)
    except metadata.PackageNotFoundError:
        return None


def _code_files(reader: str) -> set[Path]:
    """The files of the code that makes a domain: those of `tlbench.data` and of the package of a third-party reader."""
    package = Path(__file__).parent
    left_out = {package / f"{module}.py" for module in MODULES_WITHOUT_EFFECT}
    own = {file for file in package.rglob("*.py") if file not in left_out}
    return own | _files_of_third_party(readers.get(reader))


def _files_of_third_party(reader: object) -> set[Path]:
    """The source files of a reader of another package: those of its whole package, or its own where it is in none."""
    file, package = getattr(reader, "__file__", None), str(getattr(reader, "__package__", "") or "").partition(".")[0]
    if file is None or package == "tlbench":
        return set()
    top = getattr(sys.modules.get(package), "__file__", None)
    return {Path(file), *(Path(top).parent.rglob("*.py") if top is not None else ())}


def load_cached(declaration: Declaration, root: Path, folder: Path, decode: Callable[[], Domain]) -> Domain:
    """A declared domain from its entry; without an entry it is decoded and stored.

    Not stored are small domains that decode quickly, domains whose files can't be known, and domains with features to be
    fitted for each pair.

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
        small = sum(file.stat().st_size for file in files or ()) < SMALL_BYTES
        if files is None or (small and not _decodes_slowly(declaration)):
            return decode()
        stamps = _stamps(files)
        hashes = {os.path.relpath(file, root): sha256 for file, sha256 in file_hashes(files, folder).items()}
        entry = entry_path(folder, entry_key(declaration, hashes))
    except OSError:
        return decode()  # whose error names the file

    def make() -> tuple[Domain, float | None, list[str] | None]:
        domain, messages = _with_warnings(decode)
        try:
            unchanged = _stamps(files) == stamps
        except OSError:
            unchanged = False
        # where a file changed meanwhile, what was decoded may not be what was hashed
        return domain, None, messages if unchanged and domain.unfitted is None else None

    return _load_or_make(entry, declaration.name, make).domain


def _decodes_slowly(declaration: Declaration) -> bool:
    """Whether a domain takes long to decode for the size of its files."""
    sources = [source for source in (declaration.main, declaration.test) if source is not None]
    features = [source.options.get("features") for source in sources]
    return any(isinstance(kind, str) and kind in SLOW_FEATURES for kind in features)


def load_derived(folder: Path, key: str, base: Domain, make: Callable[[], tuple[Domain, float]]) -> StoredDomain:
    """A domain with other features than its base, from its entry; without an entry it is made and stored.

    Args:
        folder: the cache folder.
        key: a digest of all that decides what the domain holds.
        base: the domain that it is computed from, whose labels, classes and notes it has.
        make: computes the domain, and measures the seconds that this takes.
    """
    stored = _load_or_make(entry_path(folder, digest([FORMAT, key])), base.name, lambda: (*make(), []), base)
    samples = replace(base.samples, x=stored.domain.samples.x)
    test = base.test
    if test is not None and stored.domain.test is not None:
        test = replace(test, x=stored.domain.test.x)
    return StoredDomain(replace(base, samples=samples, test=test), stored.seconds)


def _load_or_make(
    entry: Path, name: str, make: Callable[[], tuple[Domain, float | None, list[str] | None]], base: Domain | None = None
) -> StoredDomain:
    """The domain of an entry; without an entry it is made under a lock, so that one process makes it, and stored.

    Args:
        entry: the path of the entry.
        name: the name of the domain.
        make: gives the domain, the seconds to store, and the warnings to store, or None if it must not be stored.
        base: the domain whose labels and classes it must have, if any.
    """
    cached, _ = _read(entry, name, base)
    if cached is not None:
        return cached
    with contextlib.ExitStack() as stack:
        try:
            entry.parent.mkdir(parents=True, exist_ok=True)
            stack.enter_context(FileLock(f"{entry}.lock", timeout=LOCK_TIMEOUT_SECONDS))
        except (OSError, Timeout, NotImplementedError) as error:
            _warn_once(entry.parents[1], error)
            return StoredDomain(*make()[:2])
        cached, damage = _read(entry, name, base)
        if cached is not None:
            return cached  # another process made it meanwhile
        if damage is not None:
            logging.getLogger("tlbench.cache").warning(
                f"A damaged entry of the cache is made anew for the domain {name}: {damage}"
            )
        domain, seconds, messages = make()
        if messages is None:
            return StoredDomain(domain, seconds)
        try:
            write_entry(domain, entry, messages, seconds)
        except (OSError, TypeError) as error:
            _warn_once(entry.parents[1], error)
            return StoredDomain(domain, seconds)
        return _read(entry, name, base)[0] or StoredDomain(domain, seconds)


def _read(entry: Path, name: str, base: Domain | None) -> tuple[StoredDomain | None, str | None]:
    """The domain of an entry, if there is an intact one, and otherwise what is wrong with it, if there is one."""
    try:
        cached = read_entry(entry, name)
        if cached is not None and base is not None:
            _check_base(cached.domain, base)
    except TlbenchError as error:
        return None, str(error)
    return cached, None


def _check_base(domain: Domain, base: Domain) -> None:
    """Check that a derived domain has the labels, groups and classes of its base.

    Raises:
        TlbenchError: it has others.
    """
    pairs = [(domain.samples, base.samples), *([(domain.test, base.test)] if domain.test and base.test else [])]
    facts = [(one.classes, one.targets, one.groups, one.fingerprint, one.test is None) for one in (domain, base)]
    if facts[0] != facts[1] or not all(_same_labels(one, other) for one, other in pairs):
        raise TlbenchError("Labels or classes are not those of the domain.")


def _same_labels(one: Labelled, other: Labelled) -> bool:
    import torch

    groups = [tensor for tensor in (one.group, other.group) if tensor is not None]
    same_groups = len(groups) == 0 or (len(groups) == 2 and torch.equal(*groups))
    return torch.equal(one.y, other.y) and same_groups


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
    """Log a warning once per process; without a logging set-up it goes to standard error, as all of this logger do."""
    _logger().warning(message)


def _logger() -> logging.Logger:
    return logging.getLogger("tlbench.cache")
