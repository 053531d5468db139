"""Checksums: JSON files that carry their own, and checksums of files that are noted with the files' stamps.

The stamp of a file is its size, its times of modification and of change, and its inode. A file is not read again while its
stamp is the noted one: programs can set the time of modification back, but not the time of change.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from tlbench import plain_files
from tlbench.errors import TlbenchError

CLOCK_TICK_NS = 2 * 10**9
"""Two changes of a file within this time may get the same time stamp on coarse file systems."""
JSON_LIMIT_BYTES = 64 * 2**20
CHUNK_BYTES = 2**20
CHECKSUM_KEY = "checksum"

Checksum = Callable[[Path], "int | str"]
"""A file -> its checksum."""


def digest(value: Any) -> str:
    """32 hex digits of the sha256 of the canonical JSON of a value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:32]


def sha256(path: Path) -> str:
    """The sha256 of a file, as 64 hex digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def crc32(path: Path) -> int:
    """The CRC-32 of a file (ISO 3309), which is several times as fast as sha256, and tells damage but no intent."""
    checksum = 0
    with path.open("rb") as stream:
        while chunk := stream.read(CHUNK_BYTES):
            checksum = zlib.crc32(chunk, checksum)
    return checksum


def read_json(path: Path) -> dict[str, Any]:
    """The content of a file that `write_json` wrote.

    Raises:
        FileNotFoundError: there is no such file.
        TlbenchError: it is a link or no plain file, too large, no such JSON, or its checksum is that of other content.
    """
    if path.is_symlink():
        raise TlbenchError(f"{path}: The file is a link.")
    try:
        limit = min(path.stat().st_size, JSON_LIMIT_BYTES)  # as much memory is allocated
        content = plain_files.parse_json(plain_files.read_plain(path, limit).decode("utf-8"))
    except ValueError as error:
        raise TlbenchError(f"{path}: The file is no JSON; it is truncated or damaged.") from error
    if not isinstance(content, dict) or content.pop(CHECKSUM_KEY, None) != digest(content):
        raise TlbenchError(f"{path}: The content of the file has another checksum than the one that it states.")
    return content


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a file with its checksum; it is whole from the moment that it has its name.

    Raises:
        OSError: the file can't be written.
        TypeError: the content holds what JSON can't.
    """
    text = json.dumps({**content, CHECKSUM_KEY: digest(content)}, indent=1)
    with tempfile.NamedTemporaryFile("w", dir=path.parent, encoding="utf-8", delete=False) as temporary:
        try:
            temporary.write(text)
            temporary.flush()
            os.fsync(temporary.fileno())
            Path(temporary.name).replace(path)
        except BaseException:
            Path(temporary.name).unlink(missing_ok=True)
            raise


def noted_checksums(paths: Iterable[Path], note: Path | None, checksum: Checksum, anew: bool = False) -> dict[Path, int | str]:
    """The checksum of each file. A file whose stamp is that of the note is not read again.

    A stamp counts only if the file's last change is at least two seconds older than the note.

    Args:
        paths: the files.
        note: the file of the note, which is written where a file was read; None: every file is read.
        checksum: computes a checksum.
        anew: whether every file is read, whatever the note says.

    Raises:
        OSError: a file can't be read.
    """
    noted_ns, noted = (0, {}) if note is None or anew else _read_note(note)
    facts: dict[str, list[Any]] = {}
    for path in paths:
        stat = path.stat()
        stamp = [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino]
        fact = noted.get(str(path))
        is_old = max(stat.st_mtime_ns, stat.st_ctime_ns) < noted_ns - CLOCK_TICK_NS
        is_noted = is_old and isinstance(fact, list) and fact[1:] == stamp
        facts[str(path)] = fact if is_noted and fact is not None else [checksum(path), *stamp]
    if note is not None and any(noted.get(path) is not fact for path, fact in facts.items()):
        with contextlib.suppress(OSError):
            note.parent.mkdir(parents=True, exist_ok=True)
            write_json(note, facts)
    return {Path(path): fact[0] for path, fact in facts.items()}


def _read_note(path: Path) -> tuple[int, dict[str, Any]]:
    """When a note was written, in nanoseconds since 1970, and its content; (0, {}) if there is none or it is damaged."""
    with contextlib.suppress(OSError, TlbenchError):
        return path.stat().st_mtime_ns, read_json(path)
    return 0, {}
