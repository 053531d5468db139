"""Arrays of an HDF5 file, held to that file: links to other files, virtual and external storage are refused."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tlbench.data.decoding import files, mapped_arrays
from tlbench.errors import TlbenchError, did_you_mean


def arrays_of(path: Path, keys: Sequence[str], matlab: bool = False) -> list[Any]:
    """The arrays under some names ('rows', 'train/rows'); with `matlab`, as MATLAB 7.3 shows them.

    Raises:
        TlbenchError: h5py is not installed, no such array, not a whole HDF5 file, or arrays that are not in the file itself.
    """
    try:
        import h5py
    except ImportError as error:
        raise TlbenchError(f"{path}: HDF5 files (MATLAB 7.3 writes them too) need h5py; pip install 'tlbench[hdf5]'") from error
    with files.guarded_reading(path, "MATLAB v7.3" if matlab else "HDF5"):
        if not h5py.is_hdf5(path):
            raise TlbenchError(
                f"{path}: not a whole {'MATLAB v7.3' if matlab else 'HDF5'} file (truncated, or of another format)"
            )
        with h5py.File(path, "r", locking=False) as file:
            return [_matlab(path, file, key) if matlab else _array(path, file, key) for key in keys]


def _held(path: Path, file: Any, key: str) -> Any:
    """What lies under a name, if it lies in the file itself."""
    import h5py

    here = file
    for part in key.strip("/").split("/"):
        if not isinstance(here, h5py.Group) or part not in here.keys():  # noqa: SIM118  # `in here` would follow a link
            there = [name for name in here if not name.startswith("#")] if isinstance(here, h5py.Group) else []
            raise TlbenchError(f"{path}: There is no array {key!r}. {did_you_mean(part, there)}")
        if isinstance(here.get(part, getlink=True), h5py.ExternalLink | h5py.SoftLink):
            raise TlbenchError(f"{path}: {key!r} is a link; links are refused, name the array itself")
        here = here[part]
    return here


def _array(path: Path, file: Any, key: str) -> Any:
    import h5py

    held = _held(path, file, key)
    if not isinstance(held, h5py.Dataset):
        raise TlbenchError(f"{path}: {key!r} is a group, not an array; there are {', '.join(f'{key}/{name}' for name in held)}")
    return _plain(path, held, key)


def _plain(path: Path, held: Any, key: str) -> Any:
    if held.is_virtual or held.external:
        raise TlbenchError(f"{path}: {key!r} lies in another file; refused")
    if held.dtype.kind not in "biufSUO":
        raise TlbenchError(f"{path}: {key!r} holds {held.dtype}; it must be plain numbers or texts")
    files.unpackable(path, held.size * held.dtype.itemsize, path.stat().st_size)
    if held.ndim == 0 or held.dtype.kind not in "biuf" or held.size * held.dtype.itemsize <= mapped_arrays.MAPPED_BYTES:
        return held[()]
    out = mapped_arrays.empty(held.shape, held.dtype)
    for part in mapped_arrays.parts(out):
        out[part] = held[part]
    return out


def _matlab(path: Path, file: Any, key: str) -> Any:
    """A variable, its axes in MATLAB's order; sparse matrices stay sparse, texts and cells of texts become texts."""
    import h5py

    held = _held(path, file, key)
    if isinstance(held, h5py.Group):
        if "MATLAB_sparse" not in held.attrs:
            raise TlbenchError(f"{path}: variable {key!r} is a struct; name an array of numbers")
        from scipy import sparse

        lying = {name: _plain(path, _held(path, held, name), key) for name in ("jc", "data", "ir") if name in held.keys()}  # noqa: SIM118
        jc, parts = lying["jc"], [lying[name] for name in ("data", "ir") if name in lying]
        data, ir = parts if len(parts) == 2 else (np.zeros(0), np.zeros(0, dtype=np.int64))
        x = sparse.csc_array(
            (data, ir.astype(np.int64), jc.astype(np.int64)), shape=(int(held.attrs["MATLAB_sparse"]), len(jc) - 1)
        )
        x.check_format(full_check=True)
        return x
    kind = held.attrs.get("MATLAB_class", b"")
    if kind == b"cell":
        cells = [_plain(path, file[reference], key) for reference in held[()].T.reshape(-1)]
        if any(cell.dtype != np.uint16 and cell.size != 1 for cell in cells):
            raise TlbenchError(f"{path}: {key!r} is a cell array whose cells are arrays; it must be texts or single numbers")
        return np.array(["".join(map(chr, c.reshape(-1))) if c.dtype == np.uint16 else str(c.item()) for c in cells])
    array = _plain(path, held, key).T
    return np.array(["".join(map(chr, row)).strip() for row in array]) if kind == b"char" else array
