"""NumPy archives (.npz): an array of samples and an array of labels; pickled objects are refused."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tlbench.data.decoding import array_files, files, mapped_arrays
from tlbench.data.decoding.arrays import ReaderResult
from tlbench.errors import TlbenchError, did_you_mean

PATH_KEYS = array_files.PATH_KEYS


class Options(array_files.ArrayOptions, strict=True):
    """See `ArrayOptions`; the names of arrays are the keys of the archive."""


def read(options: Options, root: Path) -> ReaderResult:
    """The arrays under the keys.

    Raises:
        TlbenchError: a file or key that is not there, a damaged archive, or an array of pickled objects.
    """
    return array_files.read(options, root, read_arrays, names_of)


def read_arrays(file: Path, keys: Sequence[str]) -> list[Any]:
    """The arrays under some keys of an archive; large uncompressed ones are mapped from disk.

    Args:
        file: the .npz file.
        keys: the keys of the arrays.

    Raises:
        TlbenchError: a file or key that is not there, a damaged archive, or an array of pickled objects.
    """
    with files.guarded_reading(file, "npz"), file.open("rb") as stream:
        if stream.read(4) != b"PK\x03\x04":
            raise TlbenchError(f"{file}: This is not an npz file. Write one with numpy.savez.")
        stream.seek(0)
        with zipfile.ZipFile(stream) as archive:
            unpacked = sum(member.file_size for member in archive.infolist() if member.filename.removesuffix(".npy") in keys)
            files.check_unpacked_size(file, unpacked, file.stat().st_size)
            members = {member.filename.removesuffix(".npy"): member for member in archive.infolist()}
        stream.seek(0)
        with np.load(stream, allow_pickle=False) as archive:
            return [
                _mapped_array(file, stream, members[key])
                if key in members and _is_mappable(members[key])
                else _array(archive, key, file)
                for key in keys
            ]


def names_of(file: Path) -> list[str]:
    """The keys of an archive."""
    with zipfile.ZipFile(file) as archive:
        return [name.removesuffix(".npy") for name in archive.namelist()]


def _is_mappable(member: zipfile.ZipInfo) -> bool:
    return member.compress_type == zipfile.ZIP_STORED and member.file_size > mapped_arrays.MAPPED_BYTES


def _mapped_array(path: Path, stream: Any, member: zipfile.ZipInfo) -> Any:
    """An array that the archive stores uncompressed, mapped from the archive.

    The local file header tells where its data begin (.ZIP File Format Specification, section 4.3.7). The archive's checksum
    is not verified. https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT
    """
    stream.seek(member.header_offset + 26)
    name_bytes, extra_bytes = np.frombuffer(stream.read(4), dtype="<u2")
    stream.seek(member.header_offset + 30 + int(name_bytes) + int(extra_bytes))
    version = np.lib.format.read_magic(stream)
    read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran_order, dtype = read_header(stream)
    if dtype.hasobject:
        raise TlbenchError(
            f"{path}: The array {member.filename!r} holds pickled objects, which are never loaded. "
            "Save it as plain numbers or texts."
        )
    return np.memmap(path, dtype, "c", stream.tell(), shape, "F" if fortran_order else "C")


def _array(archive: Any, key: str, path: Path) -> Any:
    if key not in archive.files:
        raise TlbenchError(f"{path}: There is no array {key!r}. {did_you_mean(key, archive.files)}")
    try:
        return archive[key]
    except ValueError as error:
        if "allow_pickle" not in str(error):
            raise
        raise TlbenchError(
            f"{path}: The array {key!r} holds pickled objects (mixed shapes?), which are never loaded. "
            "Save it as plain numbers or texts."
        ) from error
