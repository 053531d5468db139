"""NumPy archives (.npz): one array of rows, one of labels; pickled objects are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from tlbench.data import files
from tlbench.data.mistakes import way_out
from tlbench.terms import Strict, TlbenchError


class Options(Strict, strict=True):
    """Where the arrays are."""

    path: Annotated[str, Field(description="the .npz file, relative to the data root")]
    x: Annotated[str, Field(description="the key of the rows")]
    y: Annotated[str, Field(description="the key of the labels")]


def read(options: Options, root: Path) -> tuple[Any, Any]:
    """The arrays under the two keys.

    Raises:
        TlbenchError: no such file or key, or not a whole archive of plain arrays.
    """
    path = files.find(root, options.path)
    with files.reading(path, "npz"), path.open("rb") as stream:
        if stream.read(4) != b"PK\x03\x04":
            raise TlbenchError(f"{path}: not an npz file; numpy.savez writes one")
        stream.seek(0)
        with np.load(stream, allow_pickle=False) as archive:
            return _array(archive, options.x, path), _array(archive, options.y, path)


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
