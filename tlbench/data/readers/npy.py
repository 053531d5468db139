"""Two NumPy files (.npy), one of rows and one of labels; pickled objects are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from tlbench.data.decoding import files
from tlbench.errors import TlbenchError
from tlbench.terms import Strict


class Options(Strict, strict=True):
    """Where the two files are."""

    x: Annotated[str, Field(description="the .npy file of the rows, relative to the data root")]
    y: Annotated[str, Field(description="the .npy file of the labels, relative to the data root")]


def read(options: Options, root: Path) -> tuple[Any, Any]:
    """The two arrays, mapped from disk until they are changed.

    Raises:
        TlbenchError: no such file, or not a whole one of plain numbers or texts.
    """
    return _array(files.find(root, options.x)), _array(files.find(root, options.y))


def _array(path: Path) -> Any:
    with files.guarded_reading(path, "npy"), path.open("rb") as stream:
        if stream.read(6) != b"\x93NUMPY":
            raise TlbenchError(f"{path}: not an npy file; numpy.save writes one")
        try:
            return np.load(path, mmap_mode="c", allow_pickle=False)
        except ValueError as error:
            if "Python objects" not in str(error) and "allow_pickle" not in str(error):
                raise
            raise TlbenchError(f"{path}: holds pickled objects, which are never loaded; save plain numbers or texts") from error
