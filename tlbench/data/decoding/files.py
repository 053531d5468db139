"""Files below the data root: resolved without leaving it, and read so that an error of a library names the file."""

from __future__ import annotations

import contextlib
import difflib
import gzip
import io
import itertools
import os
import warnings
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, TypeVar, cast

from tlbench.errors import TlbenchError

Item = TypeVar("Item")

NAMES_LIMIT = 10_000
"""A path that is not there is compared with at most so many names of its folder."""
UNPACKED_LIMIT_BYTES = 8 * 2**30
"""A compressed file that unpacks to more is refused."""
BOMB_BYTES, BOMB_RATIO = 256 * 2**20, 400
"""A compressed file that unpacks to more than these bytes and more than this many times its size is a decompression bomb."""


def resolve_data_root(given: Path | None, suite: Path | None = None) -> Path:
    """The data root: the folder that was given, else TLBENCH_DATA, else the suite file's folder, else the current one."""
    if given is not None:
        return given
    if variable := os.environ.get("TLBENCH_DATA"):
        return Path(variable)
    return suite.parent if suite is not None else Path()


def cache_folder() -> Path | None:
    """The folder that `TLBENCH_CACHE` names, else `~/.cache/tlbench` (below XDG_CACHE_HOME); None if the variable is `off`."""
    variable = os.environ.get("TLBENCH_CACHE", "")
    if variable.lower() in {"off", "0", "no", "false"}:
        return None
    if variable:
        return Path(variable).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "tlbench"


def download_allowed() -> bool:
    """Whether readers may download missing data: `--download` sets TLBENCH_DOWNLOAD for one run."""
    return os.environ.get("TLBENCH_DOWNLOAD", "").lower() in {"1", "yes", "true"}


def find(root: Path, path: str, *, folder: bool = False) -> Path:
    """The file (or folder) `path` of the data root.

    Raises:
        TlbenchError: there is no such file (or folder), or it lies outside the root (absolute, `..`, a link that leads out).
    """
    rule = "Paths are relative to the data root and stay within it."
    if Path(path).is_absolute() or ".." in Path(path).parts or "\0" in path:
        raise TlbenchError(f"The path {path!r} leaves the data root {root}. {rule}")
    location = root / path
    try:
        if not location.resolve().is_relative_to(root.resolve()):
            raise TlbenchError(f"The path {path!r} is a link that leaves the data root {root}. {rule}")
        if location.is_dir() if folder else location.is_file():
            return location
    except (OSError, RuntimeError) as error:  # a name that is too long, or links in a cycle
        reason = getattr(error, "strerror", None) or str(error).replace(path, "it")
        raise TlbenchError(f"The path {path[:100]!r} in the data root {root} can't be read: {reason}.") from error
    kind, other = ("folder", "file") if folder else ("file", "folder")
    fact = f"is a {other}, not a {kind}," if location.exists() else "is not there"
    missing_root = "" if root.is_dir() else " (that folder does not exist)"
    raise TlbenchError(f"The {kind} {path!r} {fact} in the data root {root}{missing_root}. {_way_out(root, path)}")


def _way_out(root: Path, path: str) -> str:
    """What to do about a path that is not there: take the nearest name, if there is one, or name another data root."""
    elsewhere = "Name the folder that holds it by --data DIR or TLBENCH_DATA."
    if (root / path).exists():
        return "Correct the path; if the data are in another folder, name that by --data DIR or TLBENCH_DATA."
    holder = root
    for name in Path(path).parts:
        if (holder / name).is_dir():
            holder /= name
            continue
        names = [one.name for one in itertools.islice(holder.glob("*"), NAMES_LIMIT)] if holder.is_dir() else []
        folded = {one.casefold(): one for one in names}
        near = folded.get(name.casefold()) or next(iter(difflib.get_close_matches(name, names, n=1)), None)
        if near is not None:
            return f"Did you mean {(holder / near).relative_to(root).as_posix()!r}? If not: {elsewhere}"
        break
    if holder != root:
        there = holder.relative_to(root).as_posix()
        return f"The folder {there!r} is there, and holds no such name. Correct the path, or put the data there."
    return elsewhere


def find_folder(root: Path, path: str) -> Path:
    """The folder `path` of the data root.

    Raises:
        TlbenchError: there is no such folder, or it lies outside the root.
    """
    return find(root, path, folder=True)


@contextlib.contextmanager
def error_prefix(prefix: str) -> Iterator[None]:
    """Prefix the errors of a block with where they happened, such as `domains.a`."""
    try:
        yield
    except TlbenchError as error:
        raise TlbenchError(f"{prefix}: {error}") from error


@contextlib.contextmanager
def guarded_reading(path: Path, what: str) -> Iterator[None]:
    """Turn any exception or UserWarning of a library about a damaged file into a TlbenchError that names the file.

    `what` is the expected format, such as "npz".
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)  # scipy warns of a damaged variable and returns a text in its place
            yield
    except TlbenchError:
        raise
    except PermissionError as error:
        raise TlbenchError(
            f"{path}: The file may not be read by this user ({error.strerror}). Change its permissions."
        ) from error
    except Exception as error:  # libraries raise nearly anything on damaged bytes: EOFError, zlib.error, KeyError...
        reason = f"{type(error).__name__}: {error}".strip().splitlines()[0]
        raise TlbenchError(
            f"{path}: This is not a whole {what} file; it is truncated or has another format ({reason})."
        ) from error


def guarded_items(path: Path, what: str, items: Iterable[Item]) -> Iterator[Item]:
    """The items of an iterable, each of them read under `guarded_reading`."""
    iterator = iter(items)
    while True:
        with guarded_reading(path, what):
            try:
                item = next(iterator)
            except StopIteration:
                return
        yield item


@contextlib.contextmanager
def open_unzipped(path: Path) -> Iterator[BinaryIO]:
    """The uncompressed bytes of a file: gzip is recognised by its first two bytes, other files are read as they are."""
    with path.open("rb") as plain:
        is_gzip = plain.read(2) == b"\x1f\x8b"
        plain.seek(0)
        if not is_gzip:
            yield plain
            return
        with gzip.GzipFile(fileobj=plain) as stream:
            yield cast(BinaryIO, io.BufferedReader(_SizeLimitedStream(stream, path), 1 << 20))


class _SizeLimitedStream(io.RawIOBase):
    """A gzip stream that raises a TlbenchError once it has unpacked to an implausible size."""

    def __init__(self, stream: gzip.GzipFile, path: Path) -> None:
        self._stream, self._path, self._packed_bytes = stream, path, path.stat().st_size

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        return self._stream.tell()

    def readinto(self, buffer: Any) -> int:
        count = self._stream.readinto(buffer)
        check_unpacked_size(self._path, self._stream.tell(), self._packed_bytes)
        return count


def check_unpacked_size(path: Path, unpacked_bytes: int, packed_bytes: int) -> None:
    """Check that a compressed file unpacks to a plausible size.

    Raises:
        TlbenchError: the file is a decompression bomb.
    """
    too_large = unpacked_bytes > UNPACKED_LIMIT_BYTES
    if too_large or (unpacked_bytes > BOMB_BYTES and unpacked_bytes > BOMB_RATIO * packed_bytes):
        raise TlbenchError(
            f"{path}: {packed_bytes} bytes unpack to {unpacked_bytes} and more, as decompression bombs do; this is refused. "
            "Unpack the file yourself if you trust it."
        )


def nested_texts(value: Any) -> Iterator[str]:
    """All texts in nested tables and lists, such as the options of a reader: some of them name files."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from nested_texts(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from nested_texts(item)
