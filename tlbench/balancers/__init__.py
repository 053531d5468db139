"""The registry of balancers: how the losses of several tasks become one update of the backbone that they share.

A balancer is one file, and the folder is the registry. Third-party balancers are classes or modules that an installed package
names in its entry-point group `tlbench.balancers`. Listing imports no torch.
"""

from __future__ import annotations

import functools
import importlib
import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tlbench import plugins
from tlbench.errors import TlbenchError, unknown_name

if TYPE_CHECKING:
    from tlbench.balancers.base import Balancer

__all__ = ["ENTRY_POINTS", "balancer_class", "balancer_names", "balancer_summary", "check_balancer", "make_balancer"]

ENTRY_POINTS = "tlbench.balancers"
"""The entry-point group of installed packages; each entry point names a subclass of `Balancer`, or a module with one."""
_NO_BALANCERS = ("base", "adam", "simplex")
"""The modules of this folder that are no balancers."""


@functools.cache
def _shipped() -> dict[str, Path]:
    files = sorted(Path(__file__).parent.glob("*.py"))
    return {file.stem: file for file in files if not file.stem.startswith("_") and file.stem not in _NO_BALANCERS}


def balancer_names() -> list[str]:
    """The names of all balancers, those of entry points among them; no balancer is imported."""
    return sorted({*_shipped(), *plugins.entry_points(ENTRY_POINTS)})


def balancer_summary(name: str) -> str:
    """The first line of a balancer's docstring; no balancer is imported.

    Raises:
        TlbenchError: there is no such balancer.
    """
    if name in _shipped():
        return plugins.summary(_shipped()[name])
    if name in balancer_names():
        return f"(entry point {plugins.entry_points(ENTRY_POINTS)[name].value})"
    raise TlbenchError(unknown_name("balancer", name, balancer_names()))


def balancer_class(name: str) -> type[Balancer]:
    """The class of a balancer.

    Raises:
        TlbenchError: there is no such balancer, it cannot be imported, or its module defines none or several.
    """
    from tlbench.balancers.base import Balancer

    if name in _shipped():
        module: Any = importlib.import_module(f"{__name__}.{name}")
    elif name in balancer_names():
        module = plugins.load_entry_point(plugins.entry_points(ENTRY_POINTS)[name])
        if isinstance(module, type) and issubclass(module, Balancer):
            return module
    else:
        raise TlbenchError(unknown_name("balancer", name, balancer_names()))
    classes = [
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Balancer) and value.__module__ == module.__name__
    ]
    if len(classes) != 1:
        raise TlbenchError(f"{module.__name__}: The module defines {len(classes)} subclasses of Balancer. Define exactly one.")
    return classes[0]


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
    for option, value in given.items():
        if option not in declared:
            raise TlbenchError(unknown_name(f"option of {name}", option, declared))
        types = (float, int) if isinstance(declared[option], float) else (type(declared[option]),)
        if type(value) not in types:
            raise TlbenchError(f"Option {option} of {name} is {value!r}. It is of the type {types[0].__name__}.")
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
