"""A checked Declaration -> a Domain: read, check, choose rows, make numbers of them, shift, prepare, fingerprint."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlbench.data import preparation, readers, shifts, source_files
from tlbench.data.cache import load_cached
from tlbench.data.declaration import DataSource, Declaration, Operation
from tlbench.data.decoding import arrays, files, mapped_arrays
from tlbench.data.decoding.arrays import Array, UnencodedSamples
from tlbench.data.fitted_features import UnfittedFeatures
from tlbench.errors import TlbenchError
from tlbench.terms import Domain, Labelled


def load(declaration: Declaration, root: Path, cache: Path | None = None) -> Domain:
    """The domain of a declaration: decoded from the files below the data root, or mapped from a cache folder.

    `tlbench.data.cache.default()` is the folder that runs use. Stated checksums are held either way. Features that are
    learned from the source of a pair are here learned from the domain's own rows; `tlbench.data.fitted` learns them anew.

    Raises:
        TlbenchError: anything about the files or what is in them that the user can mend; it names the domain.
    """
    with files.error_prefix(f"domains.{declaration.name}"):
        source_files.verify_checksums(declaration, root, cache)
    if cache is None:
        return decode(declaration, root)
    return load_cached(declaration, root, cache, lambda: decode(declaration, root))


@dataclass(frozen=True)
class RawSamples:
    """What was read of a part: rows (N, ...) or `Cells`, labels (N,) or targets (N, K), codes (N,) of groups or None."""

    x: Any
    y: NDArray[Any]
    names: tuple[str, ...]
    """Of the classes that the labels number, or of the targets."""
    group: Any
    notes: tuple[str, ...]


def decode(declaration: Declaration, root: Path) -> Domain:
    """Read a domain from the data root, past any cache.

    Raises:
        TlbenchError: anything about the files or what is in them that the user can mend; it names the domain.
    """
    where = f"domains.{declaration.name}"
    with files.error_prefix(where):
        raw = _read(declaration.main, root, declaration)
        classes = () if declaration.task == "regression" else declaration.classes or raw.names
        main = _settled(raw, classes, declaration)
        absent = [name for name in classes if name not in raw.names and name != arrays.UNKNOWN]
        if absent and declaration.keep is None:
            raise TlbenchError(f"no row has the class {absent[0]!r}; the labels are {', '.join(raw.names)}")
        groups = () if main.group is None else tuple(arrays.encode_labels(np.asarray(main.group))[0])
    test = None
    if declaration.test is not None:
        with files.error_prefix(f"{where}.test"):
            test = _settled(_read(declaration.test, root, declaration), classes, declaration)
    own = None
    if isinstance(main.x, UnencodedSamples):
        with files.error_prefix(where):
            own = main.x[_chosen(declaration, main, declaration.main.samples, root)]
    return SelectedDomain(declaration, root, main, test, classes, groups, own).made(() if own is None else [own])


@dataclass(frozen=True)
class SelectedDomain:
    """A domain whose rows are read, and whose labels stand; what is left is to make numbers of its rows and to shift them."""

    declaration: Declaration
    root: Path
    main: RawSamples
    test: RawSamples | None
    classes: tuple[str, ...]
    groups: tuple[str, ...]
    own: UnencodedSamples | None
    """The main rows that are left after all choices, where they are cells."""

    def made(self, learned: Sequence[UnencodedSamples]) -> Domain:
        """The domain, with features that are learned from some rows where any are learned."""
        declaration, where = self.declaration, f"domains.{self.declaration.name}"
        with files.error_prefix(where):
            base = _numbers(self.main, declaration.main, learned)
            x, y, group = _shifted(base, self.main, declaration, declaration.main.samples, self.root)
            prepared = _prepared(x, x, declaration.prepare)
            parts = [_finished(prepared, y, _coded(group, self.groups))]
        if self.test is not None and declaration.test is not None:
            with files.error_prefix(f"{where}.test"):
                other = _numbers(self.test, declaration.test, learned)
                if other.shape[1:] != base.shape[1:]:
                    raise TlbenchError(f"test rows are {other.shape[1:]}, main rows {base.shape[1:]}; both need one shape")
                other, y, group = _shifted(other, self.test, declaration, declaration.test.samples, self.root)
                parts.append(_finished(_prepared(other, x, declaration.prepare), y, _coded(group, self.groups)))
        cells = [raw.x for raw in (self.main, self.test) if raw is not None and isinstance(raw.x, UnencodedSamples)]
        targets = self.main.names if declaration.task == "regression" else ()
        labelled = [_labelled(*part) for part in parts]
        return Domain(
            name=declaration.name,
            samples=labelled[0],
            classes=self.classes,
            fingerprint=_fingerprint(parts, (self.classes or targets), [one.digest() for one in cells]),
            test=labelled[1] if len(labelled) > 1 else None,
            groups=self.groups,
            targets=targets,
            notes=tuple(note for raw in (self.main, self.test) if raw is not None for note in raw.notes),
            unfitted=None if self.own is None else UnfittedFeatures(self.own, self.made),
        )


def _read(part: DataSource, root: Path, declaration: Declaration) -> RawSamples:
    """Rows, labels as positions in the names of their own classes (or targets and their names), and groups."""
    reader = readers.get(part.reader)
    read = reader.read(reader.Options.model_validate(part.options), root)
    table = read if isinstance(read, arrays.ReaderResult) else arrays.ReaderResult(*read)
    for note in table.notes:
        warnings.warn(f"domains.{declaration.name}: {note}", UserWarning, stacklevel=2)
    y: NDArray[Any]
    if declaration.task == "regression":
        y, names = arrays.target_array(table.y, table.targets, table.x.shape[0] if hasattr(table.x, "shape") else None)
    else:
        if np.ndim(table.y) == 2 and 1 not in np.shape(table.y) and len(table.targets) > 1:
            raise TlbenchError(f"{len(table.targets)} columns of labels are targets of a regression; set task = 'regression'")
        labels = arrays.label_array(table.y)
        found, y = arrays.rename_labels(*arrays.encode_labels(labels), declaration.label_map)
        names = tuple(found)
    x = table.x
    if isinstance(x, UnencodedSamples):
        if len(x) != len(y):
            raise TlbenchError(f"x has {len(x)} rows and y {len(y)} labels; each row needs one label")
    else:
        x = arrays.sample_array(x, len(y), part.shape)
    return RawSamples(x, y, names, table.group, table.notes)


def _settled(raw: RawSamples, classes: Sequence[str], declaration: Declaration) -> RawSamples:
    """Rows of the declared classes only, their labels (N,) as positions in them."""
    if declaration.task == "regression":
        return raw
    rows, y = arrays.select_classes(raw.names, raw.y, classes, declaration.others)
    if declaration.keep is not None:
        stay = np.isin(y, [list(classes).index(name) for name in declaration.keep])
        if not stay.any():
            raise TlbenchError(f"keep leaves no row: none has a class of {', '.join(declaration.keep)}")
        rows, y = rows[stay], y[stay]
    if len(rows) == len(raw.y):
        return RawSamples(raw.x, y, tuple(classes), raw.group, raw.notes)
    return RawSamples(_taken(raw.x, rows), y, tuple(classes), None if raw.group is None else raw.group[rows], raw.notes)


def _taken(x: Any, rows: NDArray[np.integer[Any]]) -> Any:
    return x[rows] if isinstance(x, UnencodedSamples) else mapped_arrays.take(x, rows)


def _numbers(raw: RawSamples, part: DataSource, learned: Sequence[UnencodedSamples]) -> Any:
    if not isinstance(raw.x, UnencodedSamples):
        return raw.x
    if not learned:
        raise TlbenchError("its rows are not numbers, and those of the main part are; read both alike")
    return arrays.sample_array(raw.x.encode(learned), len(raw.y), part.shape)


def _coded(group: Any, groups: Sequence[str]) -> NDArray[np.int64] | None:
    """Groups (N,) as positions in the groups of the main rows."""
    if group is None or not groups:
        return None
    names, codes = arrays.encode_labels(np.asarray(group))
    if odd := [name for name in names if name not in groups]:
        raise TlbenchError(f"group {odd[0]!r} is not among those of the main rows: {', '.join(groups)}")
    return np.array([list(groups).index(name) for name in names], dtype=np.int64)[codes]


def _strata(y: NDArray[Any]) -> NDArray[np.int64]:
    """What choices of rows keep in proportion: the classes; targets of a regression are all of one kind."""
    return y if y.ndim == 1 else np.zeros(len(y), dtype=np.int64)


def _chosen(declaration: Declaration, raw: RawSamples, rows: int | None, root: Path) -> NDArray[np.int64]:
    """The numbers of the rows that stay, where no shift goes by features."""
    y = _strata(raw.y)
    stay = np.arange(len(y)) if rows is None else shifts.subsample(y, rows, shifts.generator("rows", 0))
    for shift in declaration.shifts:
        if shift.kind in shifts.CHOICES:
            _, _, chosen = shifts.apply_shifts(shift.kind, shift.options, stay, y[stay], root)
            stay = stay if chosen is None else stay[chosen]
    return stay


def _shifted(x: Any, raw: RawSamples, declaration: Declaration, rows: int | None, root: Path) -> tuple[Any, NDArray[Any], Any]:
    """Rows, labels and groups after the limit of rows and each shift in turn."""
    y, group = raw.y, None if raw.group is None else np.asarray(raw.group)
    if rows is not None and rows < len(y):
        stay = shifts.subsample(_strata(y), rows, shifts.generator("rows", 0))
        x, y, group = mapped_arrays.take(x, stay), y[stay], None if group is None else group[stay]
    for shift in declaration.shifts:
        x, labels, chosen = shifts.apply_shifts(shift.kind, shift.options, x, _strata(y), root)
        if chosen is not None:
            y, group = y[chosen], None if group is None else group[chosen]
        elif y.ndim == 1:
            y = labels
    return x, y, group


def _prepared(x: Any, main: Any, operations: Sequence[Operation]) -> Any:
    """Rows after each preparation in turn; the main rows go the same way, for their statistics."""
    for operation in operations:
        function = preparation.registry.function(operation.kind)
        prepared = function(x, main, **operation.options)
        main = prepared if x is main else function(main, main, **operation.options)
        x = prepared
    return x


Finished = tuple[Array, Array, "Array | None"]


def _finished(x: Any, y: NDArray[Any], group: Array | None) -> Finished:
    """Arrays as tensors will hold them: byte images stay bytes, all else becomes float32; class numbers are int64."""
    x = arrays.dense(x)
    kind: Any = np.uint8 if x.ndim == 4 and x.dtype == np.uint8 else np.float32
    with np.errstate(over="ignore"):  # what is too large for float32 becomes infinite, and is said so below
        fits = x.dtype == kind and x.flags["C_CONTIGUOUS"] and x.flags["WRITEABLE"]
        if not (fits and mapped_arrays.is_mapped(x)):  # else mapped so that writes stay out of the file, and left there
            small = x.size * np.dtype(kind).itemsize <= mapped_arrays.MAPPED_BYTES
            x = np.require(x, kind, ["C", "W", "O"]) if small else mapped_arrays.map_chunks(x, lambda part: part.astype(kind))
    arrays.check_finite(x, "after shifts and preparations, in single precision")
    return x, np.require(y, np.int64 if y.ndim == 1 else np.float32, ["C", "W", "O"]), group


def _labelled(x: Array, y: Array, group: Array | None) -> Labelled:
    import torch

    rows, groups = torch.from_numpy(mapped_arrays.remember(x)), None if group is None else torch.from_numpy(group)
    return Labelled(rows, torch.from_numpy(y), group=groups)


def _fingerprint(parts: Sequence[Finished], names: Sequence[str], cells: Sequence[bytes]) -> str:
    """16 hex digits of sha256 over all that a Domain holds but its name: the content, wherever it was read from.

    Of a domain whose features are learned for each pair, that is its own view and what its cells hold.
    """
    hasher = hashlib.sha256(repr((tuple(names), len(parts))).encode())
    for part in parts:
        for array in part:
            if array is None:
                continue
            hasher.update(f"{array.shape}{array.dtype.str}".encode())
            for rows in mapped_arrays.chunks(array):
                hasher.update(np.ascontiguousarray(array[rows]).data)
    for one in cells:
        hasher.update(one)
    return hasher.hexdigest()[:16]
