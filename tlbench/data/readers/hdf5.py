"""HDF5 files (.h5, .hdf5): an array of samples and an array of labels. It needs the extra `hdf5`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from tlbench.data.decoding import files, hdf5
from tlbench.data.decoding.arrays import ReaderResult
from tlbench.data.readers import npz
from tlbench.data.sample_selection import Where
from tlbench.terms import Strict


class Options(Strict, strict=True):
    """The file, the names of its arrays, and which samples to select."""

    path: Annotated[str, Field(description="the HDF5 file, relative to the data root")]
    x: Annotated[str, Field(description="the name of the samples, as in 'train/x'")]
    y: Annotated[npz.Keys, Field(description="the name of the labels, or a list of names of targets")]
    group: Annotated[str, Field(description="the name of the groups, for worst-group accuracy")] | None = None
    where: Annotated[Where, Field(description="samples to select: name = value, list of values or { min, max }")] = Field(
        default_factory=dict
    )


def read(options: Options, root: Path) -> ReaderResult:
    """The arrays under the names.

    Raises:
        TlbenchError: a file or array that is not there, a damaged file, arrays that lie in another file, or no sample is
            selected.
    """
    group = [] if options.group is None else [options.group]
    arrays = hdf5.arrays_of(files.find(root, options.path), [options.x, *options.y, *group, *options.where])
    return npz.select_samples(arrays, options.y, options.group, options.where)
