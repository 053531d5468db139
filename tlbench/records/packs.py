"""Packs: the predictions or the facts of a method entry in one zip, `<results>/<suite>/predictions/<entry>.zip`.

A member is a file that its content names, under its own name and byte for byte. Members are stored as they are, for these files
are compressed already; so no member unpacks to more than the pack has. A pack is read as a stranger's file, and has one form
only: plain members, no comments, no extra fields, the directory at the end. `packing` writes them.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import struct
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from tlbench.errors import TlbenchError
from tlbench.plain_files import open_plain, read_plain

KINDS = ("predictions", "facts")
"""The folders of a suite whose files are packed."""
MAX_MEMBERS, MAX_DIRECTORY_BYTES = 2**16 - 2, 2**24
RESTORE = "Restore the pack, or remove it and run its cases again (`tlbench run SUITE --fresh`)."
_MEMBER_NAME = re.compile(r"[0-9a-f]{16,64}\.npz")
_SHOWN_CHARACTERS = 80
_END = struct.Struct("<4s4H2LH")
_ENTRY = struct.Struct("<4s4x2H8x2L4H6xL")
_LOCAL = struct.Struct("<4s5H3L2H")
_DATE = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class _Directory:
    """Where the members of a pack lie."""

    signature: tuple[int, int, int]
    """Of the file that was read: a pack that was replaced has another one."""
    members: Mapping[str, tuple[int, int]]
    """By name, the offset of a member's header and its bytes."""
    error: str
    """What is wrong with the pack; it has no members then."""


_directories: dict[Path, _Directory] = {}
_packs_of_files: dict[Path, Path] = {}
"""The pack in which a content-named file was last seen."""


def pack_file(results: Path, suite: str, kind: str, entry: str) -> Path:
    """The pack of a method entry, named as its results file is.

    Args:
        results: the results directory.
        suite: the name of the suite.
        kind: one of `KINDS`.
        entry: the name of the method entry.
    """
    return results / suite / kind / f"{entry}.zip"


def packs_in(folder: Path) -> list[Path]:
    """The packs in a folder, sorted. Hidden ones are of other programs: `._coral.zip`."""
    try:
        with os.scandir(folder) as entries:  # faster than a glob, for folders of thousands of loose files
            names = sorted(one.name for one in entries if one.name.endswith(".zip") and not one.name.startswith("."))
    except OSError:
        return []
    return [folder / name for name in names]


def read_content(file: Path, limit_bytes: int) -> tuple[Path, bytes]:
    """Where a content-named file lies, and its bytes: the file itself or, where there is none, a member of a pack beside it.

    Raises:
        FileNotFoundError: there is no such file and no such member.
        TlbenchError: it is no plain file, it is too large, or a pack that may hold it is damaged.
    """
    with contextlib.suppress(FileNotFoundError):
        return file, read_plain(file, limit_bytes)
    packed = _packed(file, limit_bytes)
    return packed or (file, read_plain(file, limit_bytes))  # a pack was undone between the two looks, or there is no file


def is_stored(file: Path) -> bool:
    """Whether a content-named file is there, by itself or as a member of a sound pack beside it."""
    return file.is_file() or any(file.name in _sound_names(pack) for pack in packs_in(file.parent))


def members(pack: Path) -> list[str]:
    """The names of the members of a pack, in their order.

    Raises:
        FileNotFoundError: there is no such pack.
        TlbenchError: it is damaged, or is no pack.
    """
    with open_plain(pack) as handle:
        return list(_directory(pack, handle).members)


def read_member(pack: Path, name: str, limit_bytes: int) -> bytes:
    """The bytes of a member of a pack.

    Raises:
        FileNotFoundError: there is no such pack, or no such member.
        TlbenchError: the pack is damaged, or the member is too large.
    """
    with open_plain(pack) as handle:
        extent = _directory(pack, handle).members.get(name)
        if extent is None:
            raise FileNotFoundError(pack / name)
        offset, size_bytes = extent
        if size_bytes > limit_bytes:
            raise TlbenchError(f"{pack}: The member {name} has more than {limit_bytes:,} bytes, and is not read. {RESTORE}")
        handle.seek(offset)
        content = handle.read(_LOCAL.size + len(name) + size_bytes)
    start = _LOCAL.size + len(name)
    signature, *_, name_bytes, extra_bytes = _LOCAL.unpack_from(content.ljust(_LOCAL.size, b"\0"))
    header = signature, name_bytes, extra_bytes, content[_LOCAL.size : start]
    if header != (b"PK\3\4", len(name), 0, name.encode()) or len(content) != start + size_bytes:
        raise TlbenchError(f"{pack}: The member {name} is not where the directory of the pack says. {RESTORE}")
    return content[start:]


def zip_of(contents: Mapping[str, bytes]) -> bytes:
    """The bytes of a pack: the same for the same members, whatever their order.

    Raises:
        TlbenchError: a zip of the plain form does not hold so many members.
    """
    if len(contents) > MAX_MEMBERS:
        raise TlbenchError(f"A pack holds {MAX_MEMBERS:,} files at most, and there are {len(contents):,}. Prune them first.")
    stream = io.BytesIO()
    try:
        with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED, allowZip64=False) as archive:
            for name in sorted(contents):
                member = zipfile.ZipInfo(name, _DATE)
                member.create_system, member.external_attr = 3, 0o644 << 16  # on all systems as on Unix
                archive.writestr(member, contents[name])
    except zipfile.LargeZipFile as error:
        raise TlbenchError("A pack has 2 GiB at most. Prune files that no record names first.") from error
    return stream.getvalue()


def _packed(file: Path, limit_bytes: int) -> tuple[Path, bytes] | None:
    """Where a file lies in the packs beside it, and its bytes; None where no pack has it.

    Raises:
        TlbenchError: no sound pack has it, and a pack is damaged.
    """
    key = file.absolute()
    damage: TlbenchError | None = None
    if (pack := _packs_of_files.get(key)) is not None:
        try:
            return file.parent / pack.name / file.name, read_member(pack, file.name, limit_bytes)
        except (FileNotFoundError, TlbenchError):
            del _packs_of_files[key]
    for pack in packs_in(file.parent):
        try:
            content = read_member(pack, file.name, limit_bytes)
        except FileNotFoundError:
            continue
        except TlbenchError as error:
            damage = damage or error
            continue
        return pack / file.name, content
    if damage is not None:
        raise damage
    return None


def _sound_names(pack: Path) -> list[str]:
    """The names of the members of a pack; none where it is damaged or was removed."""
    try:
        return members(pack)
    except (FileNotFoundError, TlbenchError):
        return []


def _directory(pack: Path, handle: BinaryIO) -> _Directory:
    """The directory of an open pack, which is read once in a process, and again when the file has changed.

    Raises:
        TlbenchError: the pack is damaged.
    """
    key = pack.absolute()
    status = os.fstat(handle.fileno())
    signature = status.st_ino, status.st_size, status.st_mtime_ns
    directory = _directories.get(key)
    if directory is None or directory.signature != signature:
        try:
            directory = _Directory(signature, _read_directory(handle), "")
        except ValueError as error:
            directory = _Directory(signature, {}, str(error))
        _directories[key] = directory
        _packs_of_files.update((key.parent / name, key) for name in directory.members)
    if directory.error:
        raise TlbenchError(f"{pack}: {directory.error} {RESTORE}")
    return directory


def _read_directory(handle: BinaryIO) -> dict[str, tuple[int, int]]:
    """Where the members of an open pack lie: by name, the offset of the header and the bytes.

    Raises:
        ValueError: the file has another form, with a sentence that says what is wrong.
    """
    end = max(handle.seek(0, os.SEEK_END) - _END.size, 0)
    handle.seek(end)
    tail = handle.read(_END.size)
    if len(tail) < _END.size or not tail.startswith(b"PK\5\6"):
        raise ValueError("The pack is cut off, or is no zip without a comment.")
    _, disk, first_disk, count_here, count, directory_bytes, offset, comment_bytes = _END.unpack(tail)
    is_plain = (disk, first_disk, count_here, comment_bytes) == (0, 0, count, 0) and count <= MAX_MEMBERS
    if not is_plain or directory_bytes > MAX_DIRECTORY_BYTES or offset + directory_bytes != end:
        raise ValueError("The directory of the pack does not fit its bytes.")
    handle.seek(offset)
    directory = handle.read(directory_bytes)
    extents: dict[str, tuple[int, int]] = {}
    position = 0
    for _ in range(count):
        name, extent, entry_bytes = _read_entry(directory, position, offset)
        if name in extents:
            raise ValueError(f"There are two members {name}.")
        extents[name] = extent
        position += entry_bytes
    if position != directory_bytes:
        raise ValueError("The directory of the pack does not fit its bytes.")
    return extents


def _read_entry(directory: bytes, position: int, directory_offset: int) -> tuple[str, tuple[int, int], int]:
    """The name of the member whose entry starts at a position, where it lies, and the bytes of its entry.

    Raises:
        ValueError: it is no entry of a pack.
    """
    if len(directory) - position < _ENTRY.size or directory[position : position + 4] != b"PK\1\2":
        raise ValueError("The directory of the pack does not fit its bytes.")
    _, flags, compression, packed_bytes, size_bytes, name_bytes, *others, offset = _ENTRY.unpack_from(directory, position)
    start = position + _ENTRY.size
    name = directory[start : start + name_bytes].decode("ascii", "backslashreplace")
    if not _MEMBER_NAME.fullmatch(name):
        raise ValueError(f"The member {name[:_SHOWN_CHARACTERS]!r} has no name of 16 to 64 hexadecimal digits and .npz.")
    if flags or compression or packed_bytes != size_bytes or any(others):
        raise ValueError(f"The member {name} is compressed, encrypted or commented; members of packs are stored as they are.")
    if offset + _LOCAL.size + name_bytes + size_bytes > directory_offset:
        raise ValueError(f"The member {name} reaches beyond the members of the pack.")
    return name, (offset, size_bytes), _ENTRY.size + name_bytes
