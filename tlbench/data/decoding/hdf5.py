"""Arrays of an HDF5 file. Links, virtual and external storage are refused, for they may lead to other files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tlbench.data.decoding import files, mapped_arrays
from tlbench.errors import TlbenchError, did_you_mean


def arrays_of(path: Path, keys: Sequence[str], matlab: bool = False) -> list[Any]:
    """The arrays at some keys ("x", "train/x") of a file.

    Args:
        path: the file.
        keys: the paths of the arrays within the file.
        matlab: whether to read MATLAB 7.3 variables: axes in MATLAB's order, sparse matrices, texts, cell arrays.

    Raises:
        TlbenchError: h5py is not installed, there is no such array, the file is not a whole HDF5 file, or an array does not
            lie in the file itself.
    """
    try:
        import h5py
    except ImportError as error:
        raise TlbenchError(
            f"{path}: HDF5 files (MATLAB 7.3 files are among them) need h5py. Run pip install 'tlbench[hdf5]'."
        ) from error
    file_format = "MATLAB v7.3" if matlab else "HDF5"
    with files.guarded_reading(path, file_format):
        if not h5py.is_hdf5(path):
            raise TlbenchError(f"{path}: This is not a whole {file_format} file; it is truncated or has another format.")
        with h5py.File(path, "r", locking=False) as file:
            read = _matlab_variable if matlab else _array
            return [read(path, file, key) for key in keys]


def names_of(path: Path) -> list[str]:
    """The paths of the arrays within a file, links left out."""
    import h5py

    names: list[str] = []

    def visit(name: str, node: Any) -> None:
        if isinstance(node, h5py.Dataset) and not name.startswith("#"):
            names.append(name)

    with files.guarded_reading(path, "HDF5"), h5py.File(path, "r", locking=False) as file:
        file.visititems(visit)
    return names


def _lookup(path: Path, file: Any, key: str) -> Any:
    """The group or data set at a key, provided that no link leads to it."""
    import h5py

    node = file
    for name in key.strip("/").split("/"):
        if not isinstance(node, h5py.Group) or name not in node.keys():  # noqa: SIM118  # `in node` would follow a link
            names = [name for name in node if not name.startswith("#")] if isinstance(node, h5py.Group) else []
            raise TlbenchError(f"{path}: There is no array {key!r}. {did_you_mean(name, names)}")
        if isinstance(node.get(name, getlink=True), h5py.ExternalLink | h5py.SoftLink):
            raise TlbenchError(f"{path}: {key!r} is a link; links are refused. Name the array itself.")
        node = node[name]
    return node


def _array(path: Path, file: Any, key: str) -> Any:
    import h5py

    dataset = _lookup(path, file, key)
    if not isinstance(dataset, h5py.Dataset):
        members = ", ".join(f"{key}/{name}" for name in dataset)
        raise TlbenchError(f"{path}: {key!r} is a group, not an array. It holds {members}.")
    return _read_dataset(path, dataset, key)


def _read_dataset(path: Path, dataset: Any, key: str) -> Any:
    if dataset.is_virtual or dataset.external:
        raise TlbenchError(f"{path}: {key!r} lies in another file, which is refused. Store the array in this file.")
    if dataset.dtype.kind not in "biufSUO":
        raise TlbenchError(f"{path}: {key!r} holds {dataset.dtype}; it must hold plain numbers or texts.")
    size_bytes = dataset.size * dataset.dtype.itemsize
    files.check_unpacked_size(path, size_bytes, path.stat().st_size)
    if dataset.ndim == 0 or dataset.dtype.kind not in "biuf" or size_bytes <= mapped_arrays.MAPPED_BYTES:
        return dataset[()]
    out = mapped_arrays.empty(dataset.shape, dataset.dtype)
    for chunk in mapped_arrays.chunks(out):
        out[chunk] = dataset[chunk]
    return out


def _matlab_variable(path: Path, file: Any, key: str) -> Any:
    """A variable with its axes in MATLAB's order; char arrays and cell arrays of texts become arrays of texts."""
    import h5py

    node = _lookup(path, file, key)
    if isinstance(node, h5py.Group):
        return _matlab_sparse(path, node, key)
    matlab_class = node.attrs.get("MATLAB_class", b"")
    if matlab_class == b"cell":
        cells = [_read_dataset(path, file[reference], key) for reference in node[()].T.reshape(-1)]
        if any(cell.dtype != np.uint16 and cell.size != 1 for cell in cells):
            raise TlbenchError(f"{path}: {key!r} is a cell array whose cells are arrays; they must be texts or single numbers.")
        return np.array(["".join(map(chr, c.reshape(-1))) if c.dtype == np.uint16 else str(c.item()) for c in cells])
    array = _read_dataset(path, node, key).T
    return np.array(["".join(map(chr, codes)).strip() for codes in array]) if matlab_class == b"char" else array


def _matlab_sparse(path: Path, group: Any, key: str) -> Any:
    """A sparse matrix, which MATLAB stores in the compressed-column format: values, row indices `ir`, column starts `jc`."""
    if "MATLAB_sparse" not in group.attrs:
        name, fields_of = key.replace("/", "."), list(group)
        raise TlbenchError(
            f"{path}: The variable {name!r} is a struct. Name one of its fields {', '.join(fields_of)}, "
            f"as in '{name}.{fields_of[0] if fields_of else 'x'}'."
        )
    from scipy import sparse

    names = [name for name in ("jc", "data", "ir") if name in group.keys()]  # noqa: SIM118  # `in group` would follow a link
    fields = {name: _read_dataset(path, _lookup(path, group, name), key) for name in names}
    jc = fields["jc"]
    has_entries = "data" in fields and "ir" in fields  # MATLAB leaves both out of an all-zero matrix
    values, ir = (fields["data"], fields["ir"]) if has_entries else (np.zeros(0), np.zeros(0, dtype=np.int64))
    shape = (int(group.attrs["MATLAB_sparse"]), len(jc) - 1)
    x = sparse.csc_array((values, ir.astype(np.int64), jc.astype(np.int64)), shape=shape)
    x.check_format(full_check=True)
    return x
