"""The registry of balancers: how the losses of several tasks become one update of the backbone that they share.

A balancer is one file, and the folder is the registry. Third-party balancers are classes or modules that an installed package
names in its entry-point group `tlbench.balancers`. Listing imports no torch.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tlbench.errors import TlbenchError
from tlbench.registry import Registry, check_options

if TYPE_CHECKING:
    from tlbench.balancers.base import Balancer

__all__ = ["ENTRY_POINTS", "balancer_class", "balancer_names", "balancer_summary", "check_balancer", "make_balancer"]

ENTRY_POINTS = "tlbench.balancers"
"""The entry-point group of installed packages; each entry point names a subclass of `Balancer`, or a module with one."""
_NO_BALANCERS = ("base", "adam", "simplex")
"""The modules of this folder that are no balancers."""


def _base() -> type[Balancer]:
    from tlbench.balancers.base import Balancer

    return Balancer


_FILES = sorted(file for file in Path(__file__).parent.glob("*.py") if not file.stem.startswith("_"))
_REGISTRY: Registry[Balancer] = Registry(
    noun="balancer",
    modules={file.stem: f"{__name__}.{file.stem}" for file in _FILES if file.stem not in _NO_BALANCERS},
    folder=Path(__file__).parents[1],
    group=ENTRY_POINTS,
    base=_base,
)


def balancer_names() -> list[str]:
    """The names of all balancers, those of entry points among them; no balancer is imported."""
    return _REGISTRY.names()


def balancer_summary(name: str) -> str:
    """The first line of a balancer's docstring; no balancer is imported.

    Raises:
        TlbenchError: there is no such balancer.
    """
    return _REGISTRY.summary(name)


def balancer_class(name: str) -> type[Balancer]:
    """The class of a balancer.

    Raises:
        TlbenchError: there is no such balancer, it cannot be imported, or its module defines none or several.
    """
    return _REGISTRY.kind(name)


def make_balancer(name: str, tasks: int, options: Mapping[str, Any] | None = None) -> Balancer:
    """A balancer of some tasks, with its options; those that are not given have their defaults.

    Args:
        name: one of `balancer_names()`.
        tasks: K, the number of tasks.
        options: by name, such as `{"c": 0.4}` of cagrad.

    Raises:
        TlbenchError: there is no such balancer or option, or a value is of another type or out of its range.
    """
    kind, given = balancer_class(name), dict(options or {})
    declared = {key: one.default for key, one in inspect.signature(kind).parameters.items() if key != "tasks"}
    check_options(name, given, declared)
    try:
        return kind(tasks, **given)
    except ValueError as error:
        raise TlbenchError(f"balancer {name}: {error}") from error


def check_balancer(entry: str | Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """The name and the options of a balancer as a suite writes it: a name, or a table with the key `kind`.

    Raises:
        TlbenchError: there is no such balancer or option, or a value is out of its range.
    """
    table = {"kind": entry} if isinstance(entry, str) else dict(entry)
    name = table.pop("kind", None)
    if not isinstance(name, str):
        raise TlbenchError(f"A balancer is a name, or a table with the key 'kind'. Available: {', '.join(balancer_names())}.")
    make_balancer(name, 2, table)
    return name, table
