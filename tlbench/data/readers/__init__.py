"""The readers of source formats; this folder is their registry, and each module below it is one reader.

A reader has a `class Options` (a pydantic model that refuses unknown keys) and a function `read(options, root)`. It returns
`(x, y)`, samples (N, ...) and raw labels (N,) of any type that names classes, or a `ReaderResult`, which may hold the group of
each sample too. `tlbench.data.load` validates what any reader returns.

Third-party packages add readers by entry points of the group `tlbench.readers`: a name, and the module that holds `Options` and
`read`. A reader of this folder takes precedence over an entry point of the same name.
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
    """The interface of a reader's module."""

    Options: type[BaseModel]

    def read(self, options: Any, root: Path) -> tuple[Any, Any] | ReaderResult:
        """The samples (N, ...) and the labels (N,), as they are in the source."""


GROUP = "tlbench.readers"


def names() -> list[str]:
    """The names of all readers, from file names and entry points; nothing is imported for it."""
    return sorted({*_built_in(), *_third_party()})


def summaries() -> dict[str, str]:
    """The first line of each reader's docstring; for a reader that can't be used, the reason."""
    return {name: _summary(name) for name in names()}


def _summary(name: str) -> str:
    try:
        return (getattr(get(name), "__doc__", None) or "").strip().partition("\n")[0]
    except TlbenchError as error:
        return str(error)


def get(name: str) -> Reader:
    """The reader of a name; the name must be one of `names()`.

    Raises:
        TlbenchError: a third-party reader that can't be imported, or lacks `Options` or `read`.
    """
    if name in _built_in():
        return cast(Reader, importlib.import_module(_built_in()[name]))
    point = _third_party()[name]
    try:
        module = point.load()
    except Exception as error:  # another package's module may raise anything
        raise TlbenchError(f"The reader {name!r} ({point.value}) can't be imported: {type(error).__name__}: {error}") from error
    options = getattr(module, "Options", None)
    if not (isinstance(options, type) and issubclass(options, BaseModel) and callable(getattr(module, "read", None))):
        raise TlbenchError(f"The reader {name!r} ({point.value}) needs a pydantic model `Options` and a function `read`.")
    return cast(Reader, module)


@functools.cache
def _built_in() -> dict[str, str]:
    modules = [module.name for module in pkgutil.walk_packages(__path__, f"{__name__}.") if not module.ispkg]
    return {module.rpartition(".")[2]: module for module in modules}


@functools.cache
def _third_party() -> dict[str, metadata.EntryPoint]:
    return {point.name: point for point in metadata.entry_points(group=GROUP)}
