"""HDF5 files (.h5, .hdf5): an array of samples and an array of labels. It needs the extra `hdf5`."""

from __future__ import annotations

from pathlib import Path

from tlbench.data.decoding import array_files, hdf5
from tlbench.data.decoding.arrays import ReaderResult

PATH_KEYS = array_files.PATH_KEYS
LIBRARIES = ("h5py",)


class Options(array_files.ArrayOptions, strict=True):
    """See `ArrayOptions`; the names of arrays are their paths within the file, as in 'train/x'."""


def read(options: Options, root: Path) -> ReaderResult:
    """The arrays under the names.

    Raises:
        TlbenchError: a file or array that is not there, a damaged file, arrays that lie in another file, or no sample is
            selected.
    """
    return array_files.read(options, root, hdf5.arrays_of, hdf5.names_of)
