"""Files under the data root: found without leaving it, and read without a traceback of somebody's library."""

from __future__ import annotations

import contextlib
import gzip
import io
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

from tlbench.terms import TlbenchError


def root_of(given: Path | None, suite: Path | None = None) -> Path:
    """The data root: the folder that was given, else TLBENCH_DATA, else the suite file's own (or this folder)."""
    if given is not None:
        return given
    if named := os.environ.get("TLBENCH_DATA"):
        return Path(named)
    return suite.parent if suite is not None else Path()


def find(root: Path, path: str) -> Path:
    """The file `path` of the data root.

    Raises:
        TlbenchError: there is no such file, or it lies outside the root (absolute, `..`, a link that leads out).
    """
    rule = "paths are relative to the data root and stay in it"
    if Path(path).is_absolute() or ".." in Path(path).parts or "\0" in path:
        raise TlbenchError(f"path {path!r} leaves the data root {root}; {rule}")
    found = root / path
    try:
        if not found.resolve().is_relative_to(root.resolve()):
            raise TlbenchError(f"path {path!r} is a link that leaves the data root {root}; {rule}")
        if found.is_file():
            return found
    except (OSError, RuntimeError) as error:  # a name that is too long, links in a ring
        raise TlbenchError(f"path {path[:100]!r} in the data root {root}: {error}") from error
    what = "is a folder, not a file" if found.is_dir() else "is not there"
    lacking = "" if root.is_dir() else " (that folder does not exist)"
    raise TlbenchError(
        f"file {path!r} {what} in the data root {root}{lacking}; name the folder that holds it by --data DIR or TLBENCH_DATA"
    )


@contextlib.contextmanager
def reading(path: Path, what: str) -> Iterator[None]:
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
            yield cast(BinaryIO, io.BufferedReader(stream, 1 << 20))
