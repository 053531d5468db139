"""NumPy archives (.npz): an array of samples and an array of labels; pickled objects are refused."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import BeforeValidator, Field

from tlbench.data.decoding import files, mapped_arrays
from tlbench.data.decoding.arrays import ReaderResult
from tlbench.data.sample_selection import Where, condition_mask
from tlbench.errors import TlbenchError, did_you_mean
from tlbench.terms import Strict

Keys = Annotated[list[str], BeforeValidator(lambda value: [value] if isinstance(value, str) else value), Field(min_length=1)]
"""One key, or a list of keys: several are the targets of a multi-task regression."""


class Options(Strict, strict=True):
    """The file, the keys of its arrays, and which samples to select."""

    path: Annotated[str, Field(description="the .npz file, relative to the data root")]
    x: Annotated[str, Field(description="the key of the samples")]
    y: Annotated[Keys, Field(description="the key of the labels, or a list of keys of targets")]
    group: Annotated[str, Field(description="the key of the groups, for worst-group accuracy")] | None = None
    where: Annotated[Where, Field(description="samples to select: key = value, list of values or { min, max }")] = Field(
        default_factory=dict
    )


def read(options: Options, root: Path) -> ReaderResult:
    """The arrays under the two keys.

    Raises:
        TlbenchError: a file or key that is not there, a damaged archive, or an array of pickled objects.
    """
    group = [] if options.group is None else [options.group]
    arrays = read_arrays(options.path, [options.x, *options.y, *group, *options.where], root)
    return select_samples(arrays, options.y, options.group, options.where)


def select_samples(arrays: Sequence[Any], ys: Sequence[str], group: str | None, where: dict[str, Any]) -> ReaderResult:
    """The samples that meet all conditions.

    Args:
        arrays: x (N, ...), each of `ys` (N,), the group (N,) if there is one, and each column (N,) of `where`, in this order.
        ys: the names of the labels or targets.
        group: the name of the groups, if there are any.
        where: the conditions, by the name of a column.

    Raises:
        TlbenchError: an array without one value per sample, or no sample meets the conditions.
    """
    x, *rest = arrays
    y, rest = stack_targets(rest[: len(ys)], ys), rest[len(ys) :]
    targets = tuple(ys) if y.ndim == 1 or len(ys) == y.shape[1] else ()
    columns = dict(zip([*([] if group is None else [group]), *where], rest, strict=True))
    for name, column in columns.items():
        if column.ndim != 1 or not x.ndim or len(column) != len(x) or len(y) != len(x):
            raise TlbenchError(
                f"The array {name!r} has the shape {column.shape}. It needs one value for each sample of x {x.shape}."
            )
    groups = None if group is None else columns[group]
    if not where:
        return ReaderResult(x, y, groups, targets=targets)
    mask_N = np.ones(len(x), dtype=bool)
    for name, condition in where.items():
        mask_N &= condition_mask(columns[name], condition, name)
    if not mask_N.any():
        raise TlbenchError(f"where selects none of {len(x)} samples. Its conditions are {where}.")
    indices = np.flatnonzero(mask_N)
    return ReaderResult(mapped_arrays.take(x, indices), y[mask_N], None if groups is None else groups[mask_N], targets=targets)


def stack_targets(ys: Sequence[Any], names: Sequence[str]) -> Any:
    """One array of labels unchanged; K arrays of targets as the columns of one array (N, K).

    Raises:
        TlbenchError: the arrays differ in length.
    """
    if len(ys) == 1:
        return ys[0]
    columns = [np.asarray(y).reshape(-1) for y in ys]
    if len({len(column) for column in columns}) > 1:
        sizes = ", ".join(str(len(column)) for column in columns)
        raise TlbenchError(f"The targets {', '.join(names)} have {sizes} values. All need the same number.")
    return np.stack(columns, axis=1)


def read_arrays(path: str, keys: Sequence[str], root: Path) -> list[Any]:
    """The arrays under some keys of an archive; large uncompressed ones are mapped from disk.

    Args:
        path: the .npz file, relative to the data root.
        keys: the keys of the arrays.
        root: the data root.

    Raises:
        TlbenchError: a file or key that is not there, a damaged archive, or an array of pickled objects.
    """
    file = files.find(root, path)
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
