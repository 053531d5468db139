"""Files inside a tar archive, plain or gzip; nothing is unpacked to disk."""

from __future__ import annotations

import tarfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from tlbench.data.decoding import files
from tlbench.errors import TlbenchError, did_you_mean

MEMBER_LIMIT_BYTES = 2**30
"""The limit of one file that is read as a whole."""
NAMES_LIMIT = 10_000
"""A name that is not there is compared with at most so many names of the archive."""


def leaves_archive(name: str) -> bool:
    """Whether the name of a member is absolute or leads out of the archive."""
    path = PurePosixPath(name)
    return path.is_absolute() or ".." in path.parts


def check_member(path: Path, member: tarfile.TarInfo) -> None:
    """Check that a member of an archive is a plain file or a folder inside it.

    Raises:
        TlbenchError: it is a link, a device or leaves the archive, or its size is damaged.
    """
    if member.size < 0:
        raise TlbenchError(f"{path}: The member {member.name!r} has {member.size} bytes; the archive is damaged.")
    if leaves_archive(member.name) or member.issym() or member.islnk() or member.isdev():
        raise TlbenchError(f"{path}: The member {member.name!r} is a link, a device or leaves the archive. It is refused.")


def check_end(path: Path, stream: BinaryIO, offset: int) -> None:
    """Check the end mark of an archive: tarfile accepts one that is cut, or damaged, between two members.

    Args:
        path: the archive, for errors.
        stream: its uncompressed bytes.
        offset: where the last member ends.

    Raises:
        TlbenchError: the end mark is not there.
    """
    stream.seek(offset)
    if stream.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
        raise TlbenchError(
            f"{path}: This is not a whole tar file; it has no end mark at byte {offset}. It is truncated or damaged."
        )


def read_members(path: Path, names: Sequence[str]) -> dict[str, bytes]:
    """The contents of some files of an archive by their names, in one pass.

    Args:
        path: the archive.
        names: the names as the archive writes them, with or without a leading "./".

    Raises:
        TlbenchError: a damaged archive, a member that is not there or is no plain file, or links and names that leave it.
    """
    for name in names:
        if leaves_archive(name):
            raise TlbenchError(f"The name {name!r} leaves the archive {path}. Names are those of files inside it.")
    name_of = {str(PurePosixPath(name)): name for name in names}
    contents: dict[str, bytes] = {}
    others: list[str] = []
    with (
        files.guarded_reading(path, "tar"),
        files.open_unzipped(path) as stream,
        tarfile.open(fileobj=stream, mode="r:") as archive,
    ):
        for member in archive:
            check_member(path, member)
            name = str(PurePosixPath(member.name))
            if name in name_of and member.isfile():
                contents[name_of[name]] = _content(path, archive, member)
            elif member.isfile() and len(others) < NAMES_LIMIT:
                others.append(name)
        check_end(path, stream, archive.offset)
    for name in names:
        if name_of[str(PurePosixPath(name))] not in contents:
            raise TlbenchError(f"{path}: The archive has no file {name!r}. {did_you_mean(name, [*others, *contents])}")
    return {name: contents[name_of[str(PurePosixPath(name))]] for name in names}


def _content(path: Path, archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    if member.size > MEMBER_LIMIT_BYTES or member.issparse():
        raise TlbenchError(
            f"{path}: The member {member.name!r} has {member.size:,} bytes, or gaps; {MEMBER_LIMIT_BYTES:,} bytes without gaps "
            "are allowed. Unpack the archive, and split the file."
        )
    extracted = archive.extractfile(member)
    content = b"" if extracted is None else extracted.read()
    if len(content) != member.size:
        raise TlbenchError(f"{path}: The archive ends within {member.name!r}; it is truncated.")
    return content
