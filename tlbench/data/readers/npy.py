"""Two NumPy files (.npy), one of samples and one of labels; pickled objects are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from tlbench.data.decoding import files
from tlbench.errors import TlbenchError
from tlbench.terms import Strict


class Options(Strict, strict=True):
    """The two files."""

    x: Annotated[str, Field(description="the .npy file of the samples, relative to the data root")]
    y: Annotated[str, Field(description="the .npy file of the labels, relative to the data root")]


def read(options: Options, root: Path) -> tuple[Any, Any]:
    """The two arrays, mapped from disk (copy on write).

    Raises:
        TlbenchError: a file that is not there, is damaged, or holds pickled objects.
    """
    return _array(files.find(root, options.x)), _array(files.find(root, options.y))


def _array(path: Path) -> Any:
    with files.guarded_reading(path, "npy"), path.open("rb") as stream:
        if stream.read(6) != b"\x93NUMPY":
            raise TlbenchError(f"{path}: This is not an npy file. Write one with numpy.save.")
        try:
            return np.load(path, mmap_mode="c", allow_pickle=False)
        except ValueError as error:
            if "Python objects" not in str(error) and "allow_pickle" not in str(error):
                raise
            raise TlbenchError(
                f"{path}: The file holds pickled objects, which are never loaded. Save plain numbers or texts."
            ) from error
