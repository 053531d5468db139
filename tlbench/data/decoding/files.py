"""Files under the data root: found without leaving it, and read without a traceback of somebody's library."""

from __future__ import annotations

import contextlib
import gzip
import io
import os
import warnings
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, TypeVar, cast

from tlbench.errors import TlbenchError

Item = TypeVar("Item")

UNPACKED_LIMIT_BYTES = 8 * 2**30
"""A packed file that unpacks to more is refused."""
BOMB_BYTES, BOMB_RATIO = 256 * 2**20, 400
"""A packed file that unpacks to more bytes than this and to more than so many times its size is refused: no data do."""


def root_of(given: Path | None, suite: Path | None = None) -> Path:
    """The data root: the folder that was given, else TLBENCH_DATA, else the suite file's own (or this folder)."""
    if given is not None:
        return given
    if named := os.environ.get("TLBENCH_DATA"):
        return Path(named)
    return suite.parent if suite is not None else Path()


def cache_folder() -> Path | None:
    """The folder that `TLBENCH_CACHE` names, else `~/.cache/tlbench` (below XDG_CACHE_HOME); None if it says `off`."""
    named = os.environ.get("TLBENCH_CACHE", "")
    if named.lower() in {"off", "0", "no", "false"}:
        return None
    if named:
        return Path(named).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "tlbench"


def may_fetch() -> bool:
    """Whether readers may download what is not there: `--download` sets TLBENCH_DOWNLOAD for this run alone."""
    return os.environ.get("TLBENCH_DOWNLOAD", "").lower() in {"1", "yes", "true"}


def find(root: Path, path: str, *, folder: bool = False) -> Path:
    """The file (or folder) `path` of the data root.

    Raises:
        TlbenchError: there is no such file (or folder), or it lies outside the root (absolute, `..`, a link that leads out).
    """
    rule = "paths are relative to the data root and stay in it"
    if Path(path).is_absolute() or ".." in Path(path).parts or "\0" in path:
        raise TlbenchError(f"path {path!r} leaves the data root {root}; {rule}")
    found = root / path
    try:
        if not found.resolve().is_relative_to(root.resolve()):
            raise TlbenchError(f"path {path!r} is a link that leaves the data root {root}; {rule}")
        if found.is_dir() if folder else found.is_file():
            return found
    except (OSError, RuntimeError) as error:  # a name that is too long, links in a ring
        said = getattr(error, "strerror", None) or str(error).replace(path, "it")
        raise TlbenchError(f"path {path[:100]!r} in the data root {root}: {said}") from error
    kind, other = ("folder", "file") if folder else ("file", "folder")
    what = f"is a {other}, not a {kind}" if found.exists() else "is not there"
    lacking = "" if root.is_dir() else " (that folder does not exist)"
    raise TlbenchError(
        f"{kind} {path!r} {what} in the data root {root}{lacking}; name the folder that holds it by --data DIR or TLBENCH_DATA"
    )


def folder(root: Path, path: str) -> Path:
    """The folder `path` of the data root.

    Raises:
        TlbenchError: there is no such folder, or it lies outside the root.
    """
    return find(root, path, folder=True)


@contextlib.contextmanager
def describe(what: str) -> Iterator[None]:
    """Let a mistake begin with what it is about."""
    try:
        yield
    except TlbenchError as error:
        raise TlbenchError(f"{what}: {error}") from error


@contextlib.contextmanager
def guarded_reading(path: Path, what: str) -> Iterator[None]:
    """Turn whatever a library raises or warns about a broken file into a TlbenchError that names the file."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)  # scipy warns of a damaged variable and hands out a text in its place
            yield
    except TlbenchError:
        raise
    except PermissionError as error:
        raise TlbenchError(f"{path}: may not be read by this user ({error.strerror})") from error
    except Exception as error:  # libraries raise nearly anything on damaged bytes: EOFError, zlib.error, KeyError...
        said = f"{type(error).__name__}: {error}".strip().splitlines()[0]
        raise TlbenchError(f"{path}: not a whole {what} file (truncated, or of another format): {said}") from error


def each(path: Path, what: str, items: Iterable[Item]) -> Iterator[Item]:
    """The items, each of them read as by `reading`."""
    iterator = iter(items)
    while True:
        with guarded_reading(path, what):
            try:
                item = next(iterator)
            except StopIteration:
                return
        yield item


@contextlib.contextmanager
def unzipped(path: Path) -> Iterator[BinaryIO]:
    """The bytes of a file, gzip or plain as its first two bytes say."""
    with path.open("rb") as plain:
        zipped = plain.read(2) == b"\x1f\x8b"
        plain.seek(0)
        if not zipped:
            yield plain
            return
        with gzip.GzipFile(fileobj=plain) as stream:
            yield cast(BinaryIO, io.BufferedReader(_Held(stream, path), 1 << 20))


class _Held(io.RawIOBase):
    """What a gzip stream unpacks to, held to a size that its file can honestly have."""

    def __init__(self, stream: gzip.GzipFile, path: Path) -> None:
        self._stream, self._path, self._packed = stream, path, path.stat().st_size

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
        unpackable(self._path, self._stream.tell(), self._packed)
        return count


def unpackable(path: Path, unpacked: int, packed: int) -> None:
    """Hold what a packed file becomes to a size that it can honestly have.

    Raises:
        TlbenchError: a decompression bomb.
    """
    if unpacked > UNPACKED_LIMIT_BYTES or (unpacked > BOMB_BYTES and unpacked > BOMB_RATIO * packed):
        raise TlbenchError(
            f"{path}: {packed} bytes unpack to {unpacked} and more, as decompression bombs do; refused "
            "(unpack it yourself if it is meant)"
        )


def texts(value: Any) -> Iterator[str]:
    """Every text among tables and lists in one another, such as options: some of them name files."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for one in value.values():
            yield from texts(one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from texts(one)
