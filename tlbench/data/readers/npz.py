"""NumPy archives (.npz): one array of rows, one of labels; pickled objects are refused."""

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

Keys = Annotated[list[str], BeforeValidator(lambda given: [given] if isinstance(given, str) else given), Field(min_length=1)]
"""One key, or a list of keys: several are the targets of a multi-task regression."""


class Options(Strict, strict=True):
    """Where the arrays are, and which of their rows are meant."""

    path: Annotated[str, Field(description="the .npz file, relative to the data root")]
    x: Annotated[str, Field(description="the key of the rows")]
    y: Annotated[Keys, Field(description="the key of the labels, or a list of keys of targets")]
    group: Annotated[str, Field(description="the key of the groups, for worst-group accuracy")] | None = None
    where: Annotated[Where, Field(description="rows to keep: key = value, list of values or { min, max }")] = Field(
        default_factory=dict
    )


def read(options: Options, root: Path) -> ReaderResult:
    """The arrays under the two keys.

    Raises:
        TlbenchError: no such file or key, or not a whole archive of plain arrays.
    """
    more = [] if options.group is None else [options.group]
    arrays = arrays_of(options.path, [options.x, *options.y, *more, *options.where], root)
    return chosen(arrays, options.y, options.group, options.where)


def chosen(arrays: Sequence[Any], ys: Sequence[str], group: str | None, where: dict[str, Any]) -> ReaderResult:
    """The rows that meet all conditions.

    Args:
        arrays: x, each of `ys`, the group if there is one, and each column of `where`, in this order.
        ys: the names of the labels or targets.
        group: the name of the groups.
        where: what is asked of some columns.

    Raises:
        TlbenchError: an array without one value for each row, or no row left.
    """
    x, *rest = arrays
    y, more = together(rest[: len(ys)], ys), rest[len(ys) :]
    held = tuple(ys) if y.ndim == 1 or len(ys) == y.shape[1] else ()
    columns = dict(zip([*([] if group is None else [group]), *where], more, strict=True))
    for name, column in columns.items():
        if column.ndim != 1 or not x.ndim or len(column) != len(x) or len(y) != len(x):
            raise TlbenchError(f"array {name!r} has the shape {column.shape}; it needs one value for each row of x {x.shape}")
    groups = None if group is None else columns[group]
    if not where:
        return ReaderResult(x, y, groups, targets=held)
    keep = np.ones(len(x), dtype=bool)
    for name, wanted in where.items():
        keep &= condition_mask(columns[name], wanted, name)
    if not keep.any():
        raise TlbenchError(f"where selects none of {len(x)} rows; it asks for {where}")
    kept = np.flatnonzero(keep)
    return ReaderResult(mapped_arrays.take(x, kept), y[keep], None if groups is None else groups[keep], targets=held)


def together(ys: Sequence[Any], names: Sequence[str]) -> Any:
    """One array of labels as it is; several as the columns of one (N, K).

    Raises:
        TlbenchError: columns of unequal length.
    """
    if len(ys) == 1:
        return ys[0]
    columns = [np.asarray(y).reshape(-1) for y in ys]
    if len({len(column) for column in columns}) > 1:
        raise TlbenchError(f"{', '.join(names)} hold {', '.join(str(len(c)) for c in columns)} numbers; all need as many")
    return np.stack(columns, axis=1)


def arrays_of(given: str, keys: Sequence[str], root: Path) -> list[Any]:
    """The arrays under some keys of an archive.

    Raises:
        TlbenchError: no such file or key, or not a whole archive of plain arrays.
    """
    path = files.find(root, given)
    with files.guarded_reading(path, "npz"), path.open("rb") as stream:
        if stream.read(4) != b"PK\x03\x04":
            raise TlbenchError(f"{path}: not an npz file; numpy.savez writes one")
        stream.seek(0)
        with zipfile.ZipFile(stream) as archive:
            unpacked = sum(member.file_size for member in archive.infolist() if member.filename.removesuffix(".npy") in keys)
            files.check_unpacked_size(path, unpacked, path.stat().st_size)
            lying = {member.filename.removesuffix(".npy"): member for member in archive.infolist()}
        stream.seek(0)
        with np.load(stream, allow_pickle=False) as archive:
            return [
                _mapped(path, stream, lying[key]) if key in lying and _is_large(lying[key]) else _array(archive, key, path)
                for key in keys
            ]


def _is_large(member: zipfile.ZipInfo) -> bool:
    return member.compress_type == zipfile.ZIP_STORED and member.file_size > mapped_arrays.MAPPED_BYTES


def _mapped(path: Path, stream: Any, member: zipfile.ZipInfo) -> Any:
    """A large array that lies unpacked in the archive, mapped from there.

    Its own head tells where it begins (APPNOTE 4.3.7), and the checksum of the archive is not looked at.
    """
    stream.seek(member.header_offset + 26)
    name, extra = np.frombuffer(stream.read(4), dtype="<u2")
    stream.seek(member.header_offset + 30 + int(name) + int(extra))
    version = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read(stream)
    if dtype.hasobject:
        raise TlbenchError(f"{path}: array {member.filename!r} holds pickled objects, which are never loaded")
    return np.memmap(path, dtype, "c", stream.tell(), shape, "F" if fortran else "C")


def _array(archive: Any, key: str, path: Path) -> Any:
    if key not in archive.files:
        raise TlbenchError(f"{path}: There is no array {key!r}. {did_you_mean(key, archive.files)}")
    try:
        return archive[key]
    except ValueError as error:
        if "allow_pickle" not in str(error):
            raise
        raise TlbenchError(
            f"{path}: array {key!r} holds pickled objects (mixed shapes?), which are never loaded; "
            "save it as plain numbers or texts"
        ) from error
