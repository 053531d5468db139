"""The readers that exist: one file each, found by lying here.

A reader has `class Options` (a pydantic model without unknown keys) and `read(options, root) -> (x, y)`: rows (N, ...)
and raw labels (N,) of any type that names classes. What was read is checked by
`tlbench.data.load`, once for all readers.
"""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path
from typing import Any, Protocol, cast

from pydantic import BaseModel


class Reader(Protocol):
    """What a reader's file offers."""

    Options: type[BaseModel]

    def read(self, options: Any, root: Path) -> tuple[Any, Any]:
        """Rows (N, ...) and labels (N,) as they are in the source."""


def names() -> list[str]:
    """The readers that exist, by their file names; nothing is imported to answer."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def summaries() -> dict[str, str]:
    """The first line of each reader's docstring."""
    return {name: (importlib.import_module(f"{__name__}.{name}").__doc__ or "").partition("\n")[0] for name in names()}


def get(name: str) -> Reader:
    """The reader of a name that exists."""
    return cast(Reader, importlib.import_module(f"{__name__}.{name}"))
