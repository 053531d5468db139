"""A checked Declaration -> a Domain: read, check, shift, prepare, fingerprint."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tlbench.data import arrays, prepare, readers, shifts
from tlbench.data.arrays import Array
from tlbench.data.declaration import Declaration, Operation, Part
from tlbench.terms import Domain, Labelled, TlbenchError

if TYPE_CHECKING:
    from torch import Tensor


def load(declaration: Declaration, root: Path) -> Domain:
    """Read a domain from the data root.

    Raises:
        TlbenchError: anything about the files or what is in them that the user can mend; it names the domain.
    """
    where = f"domains.{declaration.name}"
    with _about(where):
        x, names, y = _read(declaration.main, root)
        classes = declaration.classes or tuple(names)
        y = arrays.numbered(names, y, classes)
        if absent := [name for name in classes if name not in names]:
            raise TlbenchError(f"no row has the class {absent[0]!r}; the labels are {', '.join(names)}")
        x, y = _shifted(x, y, declaration, declaration.main.rows)
        main = _prepared(x, x, declaration.prepare)
    parts = [_finished(main, y, where)]
    if declaration.test is not None:
        where = f"{where}.test"
        with _about(where):
            test, names, y = _read(declaration.test, root)
            y = arrays.numbered(names, y, classes)
            if test.shape[1:] != x.shape[1:]:
                raise TlbenchError(f"test rows are {test.shape[1:]}, main rows {x.shape[1:]}; both need one shape")
            test, y = _shifted(test, y, declaration, declaration.test.rows)
            test = _prepared(test, x, declaration.prepare)
        parts.append(_finished(test, y, where))
    return Domain(
        name=declaration.name,
        rows=_labelled(*parts[0]),
        classes=classes,
        fingerprint=_fingerprint(parts, classes),
        test=_labelled(*parts[1]) if len(parts) > 1 else None,
    )


@contextlib.contextmanager
def _about(where: str) -> Iterator[None]:
    try:
        yield
    except TlbenchError as error:
        raise TlbenchError(f"{where}: {error}") from error


def _read(part: Part, root: Path) -> tuple[Any, list[str], NDArray[np.int64]]:
    """Rows (N, ...), the names of their own classes, and labels (N,) as positions in them."""
    reader = readers.get(part.reader)
    x, y = reader.read(reader.Options.model_validate(part.options), root)
    x, y = arrays.checked(x, y, part.shape)
    return x, *arrays.texts(y)


def _shifted(x: Any, y: NDArray[np.int64], declaration: Declaration, rows: int | None) -> tuple[Any, NDArray[np.int64]]:
    if rows is not None:
        x, y = shifts.subsample(x, y, rows, shifts.generator("rows", 0))
    for shift in declaration.shifts:
        options = dict(shift.options)
        rng = shifts.generator(shift.kind, options.pop("seed"))
        x, y = shifts.kinds.function(shift.kind)(x, y, rng, **options)
    return x, y


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


def _labelled(x: Array, y: Array) -> Labelled:
    import torch

    rows: Tensor = torch.from_numpy(x)
    return Labelled(rows, torch.from_numpy(y))


def _fingerprint(parts: Sequence[tuple[Array, Array]], classes: Sequence[str]) -> str:
    """16 hex digits of sha256 over all that a Domain holds but its name: the content, wherever it was read from."""
    hasher = hashlib.sha256(repr((tuple(classes), len(parts))).encode())
    for part in parts:
        for array in part:
            hasher.update(f"{array.shape}{array.dtype.str}".encode())
            hasher.update(np.ascontiguousarray(array).data)
    return hasher.hexdigest()[:16]
