"""A checked Declaration -> a Domain: read, check, shift, prepare, fingerprint."""

from __future__ import annotations

import contextlib
import hashlib
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tlbench.data import arrays, prepare, readers, shifts, sources
from tlbench.data.arrays import Array
from tlbench.data.cache import through
from tlbench.data.declaration import Declaration, Operation, Part
from tlbench.terms import Domain, Labelled, TlbenchError

if TYPE_CHECKING:
    from torch import Tensor


def load(declaration: Declaration, root: Path, cache: Path | None = None) -> Domain:
    """The domain of a declaration: decoded from the files below the data root, or mapped from a cache folder.

    `tlbench.data.cache.default()` is the folder that runs use. Stated checksums are held either way.

    Raises:
        TlbenchError: anything about the files or what is in them that the user can mend; it names the domain.
    """
    with _about(f"domains.{declaration.name}"):
        sources.hold(declaration, root, cache)
    if cache is None:
        return decode(declaration, root)
    return through(declaration, root, cache, lambda: decode(declaration, root))


def decode(declaration: Declaration, root: Path) -> Domain:
    """Read a domain from the data root, past any cache.

    Raises:
        TlbenchError: anything about the files or what is in them that the user can mend; it names the domain.
    """
    where = f"domains.{declaration.name}"
    with _about(where):
        x, names, y, group = _read(declaration.main, root, declaration)
        classes = declaration.classes or tuple(names)
        x, y, group = _settled(x, names, y, group, classes, declaration)
        absent = [name for name in classes if name not in names and name != arrays.UNKNOWN]
        if absent and declaration.keep is None:
            raise TlbenchError(f"no row has the class {absent[0]!r}; the labels are {', '.join(names)}")
        groups = None if group is None else arrays.texts(group)[0]
        x, y, group = _shifted(x, y, group, declaration, declaration.main.rows, root)
        main = _prepared(x, x, declaration.prepare)
    parts = [_finished(main, y, where)]
    codes = [_coded(group, groups)]
    if declaration.test is not None:
        where = f"{where}.test"
        with _about(where):
            test, names, y, group = _read(declaration.test, root, declaration)
            test, y, group = _settled(test, names, y, group, classes, declaration)
            if test.shape[1:] != x.shape[1:]:
                raise TlbenchError(f"test rows are {test.shape[1:]}, main rows {x.shape[1:]}; both need one shape")
            test, y, group = _shifted(test, y, group, declaration, declaration.test.rows, root)
            test = _prepared(test, x, declaration.prepare)
            codes.append(_coded(group, groups))
        parts.append(_finished(test, y, where))
    return Domain(
        name=declaration.name,
        rows=_labelled(*parts[0], codes[0]),
        classes=classes,
        fingerprint=_fingerprint([p if c is None else (*p, c) for p, c in zip(parts, codes, strict=True)], classes),
        test=_labelled(*parts[1], codes[1]) if len(parts) > 1 else None,
    )


@contextlib.contextmanager
def _about(where: str) -> Iterator[None]:
    try:
        yield
    except TlbenchError as error:
        raise TlbenchError(f"{where}: {error}") from error


def _read(part: Part, root: Path, declaration: Declaration) -> tuple[Any, list[str], NDArray[np.int64], Any]:
    """Rows (N, ...), the names of their own classes, labels (N,) as positions in them, and groups (N,) or None."""
    reader = readers.get(part.reader)
    read = reader.read(reader.Options.model_validate(part.options), root)
    table = read if isinstance(read, arrays.Table) else arrays.Table(*read)
    for note in table.notes:
        warnings.warn(f"domains.{declaration.name}: {note}", UserWarning, stacklevel=2)
    x, y = arrays.checked(table.x, table.y, part.shape)
    return x, *arrays.renamed(*arrays.texts(y), declaration.label_map), table.group


def _settled(
    x: Any, names: Sequence[str], y: NDArray[np.int64], group: Any, classes: Sequence[str], declaration: Declaration
) -> tuple[Any, NDArray[np.int64], Any]:
    """Rows of the declared classes only, their labels (N,) as positions in them."""
    rows, y = arrays.settled(names, y, classes, declaration.others)
    if declaration.keep is not None:
        stay = np.isin(y, [list(classes).index(name) for name in declaration.keep])
        if not stay.any():
            raise TlbenchError(f"keep leaves no row: none has a class of {', '.join(declaration.keep)}")
        rows, y = rows[stay], y[stay]
    return (x, y, group) if len(rows) == x.shape[0] else (x[rows], y, None if group is None else group[rows])


def _coded(group: Any, groups: Sequence[str] | None) -> NDArray[np.int64] | None:
    """Groups (N,) as positions in the groups of the main rows."""
    if group is None or groups is None:
        return None
    names, codes = arrays.texts(group)
    if odd := [name for name in names if name not in groups]:
        raise TlbenchError(f"group {odd[0]!r} is not among those of the main rows: {', '.join(groups)}")
    return np.array([list(groups).index(name) for name in names], dtype=np.int64)[codes]


def _shifted(
    x: Any, y: NDArray[np.int64], group: Any, declaration: Declaration, rows: int | None, root: Path
) -> tuple[Any, NDArray[np.int64], Any]:
    if rows is not None:
        kept, y = shifts.subsample(np.arange(len(y)), y, rows, shifts.generator("rows", 0))
        x, group = x[kept], None if group is None else group[kept]
    for shift in declaration.shifts:
        before = len(y)
        x, y = shifts.applied(shift.kind, shift.options, x, y, root)
        if group is not None and len(y) != before:
            raise TlbenchError(f"shift {shift.kind} leaves rows out, and a group can't follow it; leave one of the two out")
    return x, y, group


def _prepared(x: Any, main: Any, operations: Sequence[Operation]) -> Any:
    """Rows after each preparation in turn; the main rows go the same way, for their statistics."""
    for operation in operations:
        function = prepare.kinds.function(operation.kind)
        prepared = function(x, main, **operation.options)
        main = prepared if x is main else function(main, main, **operation.options)
        x = prepared
    return x


def _finished(x: Any, y: NDArray[np.int64], where: str) -> tuple[Array, Array]:
    """Arrays as tensors will hold them: byte images stay bytes, all else becomes float32."""
    x = arrays.dense(x)
    kept = x.ndim == 4 and x.dtype == np.uint8
    with np.errstate(over="ignore"):  # what is too large for float32 becomes infinite, and is said so below
        x = np.require(x, np.uint8 if kept else np.float32, ["C", "W", "O"])
    with _about(where):
        arrays.finite(x, "after shifts and preparations, in single precision")
    return x, np.require(y, np.int64, ["C", "W", "O"])


def _labelled(x: Array, y: Array, group: Array | None) -> Labelled:
    import torch

    rows: Tensor = torch.from_numpy(x)
    return Labelled(rows, torch.from_numpy(y), group=None if group is None else torch.from_numpy(group))


def _fingerprint(parts: Sequence[tuple[Array, ...]], classes: Sequence[str]) -> str:
    """16 hex digits of sha256 over all that a Domain holds but its name: the content, wherever it was read from."""
    hasher = hashlib.sha256(repr((tuple(classes), len(parts))).encode())
    for part in parts:
        for array in part:
            hasher.update(f"{array.shape}{array.dtype.str}".encode())
            hasher.update(np.ascontiguousarray(array).data)
    return hasher.hexdigest()[:16]
