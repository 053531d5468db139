"""What the readers of array files share: files and labels of a domain, order of axes, groups, and samples to select."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, Self

import numpy as np
from pydantic import BeforeValidator, Field, model_validator

from tlbench.data.decoding import files, mapped_arrays
from tlbench.data.decoding.arrays import Array, ReaderResult, is_sparse
from tlbench.data.decoding.axes import Axes, oriented
from tlbench.data.labels.classes import listed
from tlbench.data.sample_selection import Where, condition_mask
from tlbench.errors import TlbenchError
from tlbench.terms import Strict

PATH_KEYS = ("path", "files")
"""The options that name files."""


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _lists_by_class(value: Any) -> Any:
    return {label: _listed(names) for label, names in value.items()} if isinstance(value, Mapping) else value


Keys = Annotated[list[str], BeforeValidator(_listed), Field(min_length=1)]
"""One key, or a list of keys: several are the targets of a multi-task regression."""
Paths = Annotated[list[str], BeforeValidator(_listed), Field(min_length=1)]
"""One file, or a list of files whose samples are concatenated."""
ByClass = Annotated[dict[str, Keys], BeforeValidator(_lists_by_class), Field(min_length=1)]
"""Class -> one name or several: of files, or of arrays."""


class ArrayOptions(Strict, strict=True):
    """The files, the names of their arrays, and which samples to select."""

    path: Annotated[Paths, Field(description="the file, or a list of files, relative to the data root")] | None = None
    files: Annotated[ByClass, Field(description="class = file or list of files, in place of path and y")] | None = None
    x: Annotated[str | ByClass, Field(description="the array of the samples; or class = array or list of arrays, without y")]
    y: Annotated[Keys, Field(description="the array of the labels, or a list of arrays of targets")] | None = None
    group: Annotated[str, Field(description="the array of the groups, for worst-group accuracy")] | None = None
    where: Annotated[Where, Field(description="samples to select: array = value, list of values or { min, max }")] = Field(
        default_factory=dict
    )
    axes: (
        Annotated[Axes, Field(description="what each axis of x is, as in 'HWCN' or 'NTC'; default: samples come first")] | None
    ) = None

    @model_validator(mode="after")
    def _one_origin_of_labels(self) -> Self:
        if (self.path is None) == (self.files is None):
            raise ValueError("Give either path = a file (or a list), or files = { class = file }.")
        origins = [self.y is not None, self.files is not None, isinstance(self.x, dict)]
        if sum(origins) != 1:
            raise ValueError(
                "Labels come from one place. Give y = an array, or files = { class = file }, or x = { class = array }."
            )
        return self

    @property
    def targets(self) -> tuple[str, ...]:
        """The names of the arrays of labels or targets; () where the class is that of the file or of the array."""
        return tuple(self.y or ())


@dataclass(frozen=True)
class ArrayNames:
    """The arrays to read from one file."""

    x: str
    y: tuple[str, ...]
    columns: tuple[str, ...]
    """The groups and the columns of `where`."""


@dataclass(frozen=True)
class Piece:
    """The samples of one array."""

    x: Any
    """(N, ...)"""
    y: Any
    """(N,), (N, 1), (1, N) or (N, K)"""
    columns: tuple[Array, ...] = ()
    """(N,) each"""
    notes: tuple[str, ...] = ()


NamesOf = Callable[[Path], Sequence[str]]
"""A file -> the names of all its arrays."""
ReadArrays = Callable[[Path, list[str]], Sequence[Any]]
"""A file and the names of some of its arrays -> the arrays."""
ReadPiece = Callable[[Path, ArrayNames, "str | None"], Piece]
"""A file, the names of its arrays, and the class of all its samples (None: by y) -> the samples."""


def read(options: ArrayOptions, root: Path, read_arrays: ReadArrays, names_of: NamesOf) -> ReaderResult:
    """The samples of all files and arrays of a domain, with their axes as `axes` says.

    Args:
        options: the files and the names of their arrays.
        root: the data root.
        read_arrays: reads arrays of one file.
        names_of: names all arrays of one file.

    Raises:
        TlbenchError: see `read_pieces`.
    """

    def read_piece(path: Path, names: ArrayNames, label: str | None) -> Piece:
        x, *others = read_arrays(path, [names.x, *names.y, *names.columns])
        x, notes = oriented(x, options.axes, names.x)
        ys, columns = others[: len(names.y)], others[len(names.y) :]
        y = constant_labels(x, label) if label is not None else stack_targets(ys, names.y)
        return Piece(x, y, tuple(columns), notes)

    return read_pieces(options, root, read_piece, names_of)


def read_pieces(options: ArrayOptions, root: Path, read_piece: ReadPiece, names_of: NamesOf) -> ReaderResult:
    """The samples of all files and arrays of a domain.

    Args:
        options: the files and the names of their arrays.
        root: the data root.
        read_piece: reads the samples of one array.
        names_of: names all arrays of one file.

    Raises:
        TlbenchError: a file or array that is not there, a damaged file, arrays without one value per sample, or no sample is
            selected.
    """
    by_class: Mapping[str | None, Sequence[str]] = options.files or {None: options.path or []}  # type: ignore[assignment]
    x_by_class: Mapping[str | None, Sequence[str]]
    x_by_class = {None: [options.x]} if isinstance(options.x, str) else options.x  # type: ignore[assignment]
    columns = (*([] if options.group is None else [options.group]), *options.where)
    pieces: list[tuple[str, Piece]] = []
    for file_class, paths in by_class.items():
        for path in paths:
            for x_class, names in x_by_class.items():
                for name in names:
                    label = file_class if x_class is None else x_class
                    arrays = ArrayNames(name, options.targets, columns)
                    pieces.append((f"{path}: {name}", read_piece(files.find(root, path), arrays, label)))
    result = select_samples(joined(pieces), options.targets, options.group, options.where)
    used = {*chain.from_iterable(x_by_class.values()), *options.targets, *columns}
    stored = {name for path in {*chain.from_iterable(by_class.values())} for name in names_of(files.find(root, path))}
    return replace(result, reading=(*_roles(options, x_by_class, result.x), *result.reading, *unnamed(stored - used)))


def _roles(options: ArrayOptions, x_by_class: Mapping[Any, Sequence[str]], x: Any) -> tuple[str, ...]:
    """Which array has which role, for `data show`."""
    labels = f"labels {', '.join(options.targets)}" if options.targets else "the class is that of the file"
    labels = labels if isinstance(options.x, str) else "the class is that of the array"
    roles = [f"samples {listed([*chain.from_iterable(x_by_class.values())])}, {described(x)}", labels]
    roles += [] if options.group is None else [f"group {options.group}"]
    roles += [f"where {', '.join(options.where)}"] if options.where else []
    return ("; ".join(roles),)


def described(x: Any) -> str:
    """The shape and the type of samples (N, ...), in words."""
    shape = " x ".join(map(str, x.shape[1:])) or "1"
    return f"{x.shape[0] if x.ndim else 1:,} of {shape} ({x.dtype}{', sparse' if is_sparse(x) else ''})"


def unnamed(names: Iterable[str]) -> tuple[str, ...]:
    """What is left out because no key names it, for `data show`; () where nothing is."""
    left_out = sorted(name for name in names if not name.startswith("__"))
    return (f"left out, for no key names them: {listed(left_out)}",) if left_out else ()


def constant_labels(x: Any, label: str) -> Array:
    """The class of all samples of an array, as labels (N,).

    Raises:
        TlbenchError: the array is a single number.
    """
    if not x.ndim:
        raise TlbenchError("x is a single number; it must hold samples, as (N, ...).")
    return np.full(x.shape[0], label)


def joined(pieces: Sequence[tuple[str, Piece]]) -> Piece:
    """The samples of several arrays, one after the other.

    Args:
        pieces: each with the name of its file and its array, for errors.

    Raises:
        TlbenchError: an array is named twice, arrays whose samples differ in shape, or labels that are not one for each sample.
    """
    first_name, first = pieces[0]
    if len(pieces) == 1:
        return first
    names = [name for name, _ in pieces]
    if twice := [name for name in names if names.count(name) > 1]:
        raise TlbenchError(f"{twice[0]} is named twice. Name each file and array once.")
    for name, piece in pieces:
        if piece.x.shape[1:] != first.x.shape[1:] or is_sparse(piece.x) != is_sparse(first.x):
            raise TlbenchError(
                f"{name}: The samples are {piece.x.shape[1:]}, those of {first_name} {first.x.shape[1:]}. All need one shape, "
                "and all or none must be sparse."
            )
        lengths = {_rows(piece.y).shape[0], *map(len, piece.columns)}
        if lengths != {piece.x.shape[0]}:
            raise TlbenchError(
                f"{name}: There are {piece.x.shape[0]} samples, and labels, groups or columns of "
                f"{', '.join(map(str, sorted(lengths)))} values. Each sample needs one value of each."
            )
    xs, ys = [piece.x for _, piece in pieces], [_rows(piece.y) for _, piece in pieces]
    if len({y.shape[1:] for y in ys}) > 1:
        raise TlbenchError(
            f"The labels have the shapes {', '.join(str(y.shape) for y in ys)}. All files need the same columns."
        )
    if len({y.dtype.kind in "biuf" for y in ys}) > 1:  # together they would all become texts, and 1.0 another class than 1
        raise TlbenchError("Some files hold numbers as labels and others texts. Store the labels of all files in one way.")
    columns = zip(*(piece.columns for _, piece in pieces), strict=True)
    notes = tuple(dict.fromkeys(note for _, piece in pieces for note in piece.notes))
    return Piece(_concatenated(xs), np.concatenate(ys), tuple(np.concatenate(column) for column in columns), notes)


def _rows(y: Any) -> Array:
    """Labels (N,), (N, 1) or (1, N) as (N,); targets (N, K) as they are."""
    y = np.asarray(y)
    return y.reshape(-1) if y.ndim == 2 and 1 in y.shape else y


def _concatenated(xs: Sequence[Any]) -> Any:
    if is_sparse(xs[0]):
        from scipy import sparse

        return sparse.vstack([x.tocsr() for x in xs], format="csr")
    x = mapped_arrays.empty((sum(len(x) for x in xs), *xs[0].shape[1:]), np.result_type(*xs))
    start = 0
    for one in xs:
        for chunk in mapped_arrays.chunks(one):
            x[start + chunk.start : start + min(chunk.stop, len(one))] = one[chunk]
        start += len(one)
    return x


def select_samples(piece: Piece, ys: Sequence[str], group: str | None, where: Mapping[str, Any]) -> ReaderResult:
    """The samples that meet all conditions.

    Args:
        piece: its columns are the group, if there is one, and each column of `where`, in this order.
        ys: the names of the labels or targets.
        group: the name of the groups, if there are any.
        where: the conditions, by the name of a column.

    Raises:
        TlbenchError: an array without one value per sample, or no sample meets the conditions.
    """
    x, y = piece.x, piece.y if not piece.columns else _rows(piece.y)
    targets = tuple(ys) if len(ys) > 1 or (ys and (y.ndim == 1 or 1 in y.shape)) else ()
    columns = dict(zip([*([] if group is None else [group]), *where], piece.columns, strict=True))
    for name, column in columns.items():
        if column.ndim != 1 or not x.ndim or len(column) != x.shape[0] or len(y) != x.shape[0]:
            raise TlbenchError(
                f"The array {name!r} has the shape {column.shape}. It needs one value for each sample of x {x.shape}."
            )
    groups = None if group is None else columns[group]
    if not where:
        return ReaderResult(x, y, groups, piece.notes, targets)
    mask_N = np.ones(x.shape[0], dtype=bool)
    for name, condition in where.items():
        mask_N &= condition_mask(columns[name], condition, name)
    if not mask_N.any():
        raise TlbenchError(f"where selects none of {x.shape[0]} samples. Its conditions are {where}.")
    x = x.tocsr() if is_sparse(x) else x
    indices = np.flatnonzero(mask_N)
    groups = None if groups is None else groups[mask_N]
    reading = (f"{len(indices):,} of {x.shape[0]:,} samples, {x.shape[0] - len(indices):,} left out by where",)
    return ReaderResult(mapped_arrays.take(x, indices), y[mask_N], groups, piece.notes, targets, reading=reading)


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
