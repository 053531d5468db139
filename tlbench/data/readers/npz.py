"""NumPy archives (.npz): one array of rows, one of labels; pickled objects are refused."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from tlbench.data import files
from tlbench.data.arrays import Table
from tlbench.data.mistakes import way_out
from tlbench.data.selection import Where, met
from tlbench.terms import Strict, TlbenchError


class Options(Strict, strict=True):
    """Where the arrays are, and which of their rows are meant."""

    path: Annotated[str, Field(description="the .npz file, relative to the data root")]
    x: Annotated[str, Field(description="the key of the rows")]
    y: Annotated[str, Field(description="the key of the labels")]
    group: Annotated[str, Field(description="the key of the groups, for worst-group accuracy")] | None = None
    where: Annotated[Where, Field(description="rows to keep: key = value, list of values or { min, max }")] = Field(
        default_factory=dict
    )


def read(options: Options, root: Path) -> Table:
    """The arrays under the two keys.

    Raises:
        TlbenchError: no such file or key, or not a whole archive of plain arrays.
    """
    group = [] if options.group is None else [options.group]
    x, y, *more = arrays_of(options.path, [options.x, options.y, *group, *options.where], root)
    if not (more or options.where):
        return Table(x, y)
    columns = dict(zip([*group, *options.where], more, strict=True))
    for name, column in columns.items():
        if column.ndim != 1 or not x.ndim or len(column) != len(x) or len(y) != len(x):
            raise TlbenchError(f"array {name!r} has the shape {column.shape}; it needs one value for each row of x {x.shape}")
    keep = np.ones(len(x), dtype=bool)
    for name, wanted in options.where.items():
        keep &= met(columns[name], wanted, name)
    if not keep.any():
        raise TlbenchError(f"where selects none of {len(x)} rows; it asks for {options.where}")
    return Table(x[keep], y[keep], None if options.group is None else columns[options.group][keep])


def arrays_of(given: str, keys: Sequence[str], root: Path) -> list[Any]:
    """The arrays under some keys of an archive.

    Raises:
        TlbenchError: no such file or key, or not a whole archive of plain arrays.
    """
    path = files.find(root, given)
    with files.reading(path, "npz"), path.open("rb") as stream:
        if stream.read(4) != b"PK\x03\x04":
            raise TlbenchError(f"{path}: not an npz file; numpy.savez writes one")
        stream.seek(0)
        with zipfile.ZipFile(stream) as archive:
            unpacked = sum(member.file_size for member in archive.infolist() if member.filename.removesuffix(".npy") in keys)
            files.unpackable(path, unpacked, path.stat().st_size)
        stream.seek(0)
        with np.load(stream, allow_pickle=False) as archive:
            return [_array(archive, key, path) for key in keys]


def _array(archive: Any, key: str, path: Path) -> Any:
    if key not in archive.files:
        raise TlbenchError(f"{path}: no array {key!r}; {way_out(key, archive.files)}")
    try:
        return archive[key]
    except ValueError as error:
        if "allow_pickle" not in str(error):
            raise
        raise TlbenchError(
            f"{path}: array {key!r} holds pickled objects (mixed shapes?), which are never loaded; "
            "save it as plain numbers or texts"
        ) from error
