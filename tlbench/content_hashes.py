"""The sha256 of files and folders, for identities: what decides a number is known by its content, not by its path.

A file is read once in a process for each size, times and inode that it has.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

_known: dict[tuple[str, tuple[int, ...]], str] = {}
"""Path and stamp of a file -> the sha256 of its content."""


def sha256(path: Path) -> str:
    """64 hex digits of the sha256 of a file's content; of a folder, that of the names and contents of all files below it.

    Hidden names in a folder are left out. Links are followed to files, and not to folders.

    Raises:
        OSError: a file can't be read.
    """
    return _of_folder(path) if path.is_dir() else _of_file(path)


def _of_file(path: Path) -> str:
    status = path.stat()
    key = str(path.absolute()), (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
    if key not in _known:
        with path.open("rb") as stream:
            _known[key] = hashlib.file_digest(stream, "sha256").hexdigest()
    return _known[key]


def _of_folder(folder: Path) -> str:
    hasher = hashlib.sha256()
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for file in (Path(parent, name) for name in sorted(names) if not name.startswith(".")):
            if file.is_file():
                hasher.update(f"{file.relative_to(folder).as_posix()}\0{_of_file(file)}\n".encode())
    return hasher.hexdigest()
