"""The readers that exist: one file each, found by lying here.

A reader has `class Options` (a pydantic model without unknown keys) and `read(options, root) -> (x, y)`: rows (N, ...)
and raw labels (N,) of any type that names classes; or a `Table`, which may hold a group of each row too. What was read is
checked by `tlbench.data.load`, once for all readers.

Another package adds readers by the entry points of the group `tlbench.readers`: a name, and the module that holds
`Options` and `read`. A name of this folder stays this folder's.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
from importlib import metadata
from pathlib import Path
from typing import Any, Protocol, cast

from pydantic import BaseModel

from tlbench.data.decoding.arrays import ReaderResult
from tlbench.errors import TlbenchError


class Reader(Protocol):
    """What a reader's file offers."""

    Options: type[BaseModel]

    def read(self, options: Any, root: Path) -> tuple[Any, Any] | ReaderResult:
        """Rows (N, ...) and labels (N,) as they are in the source."""


GROUP = "tlbench.readers"


def names() -> list[str]:
    """The readers that exist, by their file names and entry points; nothing is imported to answer."""
    return sorted({*_own(), *_others()})


def summaries() -> dict[str, str]:
    """The first line of each reader's docstring; of one that can't be used, why."""
    return {name: _summary(name) for name in names()}


def _summary(name: str) -> str:
    try:
        return (getattr(get(name), "__doc__", None) or "").strip().partition("\n")[0]
    except TlbenchError as error:
        return str(error)


def get(name: str) -> Reader:
    """The reader of a name that exists.

    Raises:
        TlbenchError: a reader of another package that can't be imported, or is none.
    """
    if name in _own():
        return cast(Reader, importlib.import_module(f"{__name__}.{name}"))
    point = _others()[name]
    try:
        found = point.load()
    except Exception as error:  # another package's module may raise anything
        raise TlbenchError(f"reader {name!r} ({point.value}) can't be imported: {type(error).__name__}: {error}") from error
    options = getattr(found, "Options", None)
    if not (isinstance(options, type) and issubclass(options, BaseModel) and callable(getattr(found, "read", None))):
        raise TlbenchError(f"reader {name!r} ({point.value}) needs a pydantic model `Options` and a function `read`")
    return cast(Reader, found)


def _own() -> list[str]:
    return [module.name for module in pkgutil.iter_modules(__path__)]


@functools.cache
def _others() -> dict[str, metadata.EntryPoint]:
    return {point.name: point for point in metadata.entry_points(group=GROUP)}
