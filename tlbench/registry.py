"""Registries of small kinds, such as selection rules and balancers: one file each in a folder, and entry points of packages.

Names and summaries are read without an import of what they stand for.
"""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

from tlbench import plugins
from tlbench.errors import TlbenchError, unknown_name

T = TypeVar("T")


@dataclass(frozen=True)
class Registry(Generic[T]):
    """What a folder of modules and an entry-point group register under names."""

    noun: str
    """What is registered, for errors, such as "rule"."""
    modules: Mapping[str, str]
    """The name of each shipped module, by the name that it registers."""
    folder: Path
    """The folder of the `tlbench` package."""
    group: str
    """The entry-point group; an entry point names a subclass of the base class, or a module with one."""
    base: Callable[[], type[T]]
    """Imports the base class."""

    def names(self) -> list[str]:
        """The names that are registered, those of entry points among them."""
        return sorted({*self.modules, *plugins.entry_points(self.group)})

    def summary(self, name: str) -> str:
        """The first line of the docstring of what is registered under a name.

        Raises:
            TlbenchError: there is no such name.
        """
        if name in self.modules:
            return plugins.summary(self.folder.joinpath(*self.modules[name].split(".")[1:]).with_suffix(".py"))
        self._check(name)
        return f"(entry point {plugins.entry_points(self.group)[name].value})"

    def kind(self, name: str) -> type[T]:
        """The class that is registered under a name.

        Raises:
            TlbenchError: there is no such name, it cannot be imported, or its module defines no class or several.
        """
        base = self.base()
        if name in self.modules:
            module: Any = importlib.import_module(self.modules[name])
        else:
            self._check(name)
            module = plugins.load_entry_point(plugins.entry_points(self.group)[name])
            if isinstance(module, type) and issubclass(module, base):
                return module
        classes = [
            value
            for value in vars(module).values()
            if isinstance(value, type) and issubclass(value, base) and value.__module__ == module.__name__
        ]
        if len(classes) != 1:
            raise TlbenchError(
                f"{module.__name__}: The module defines {len(classes)} subclasses of {base.__name__}. Define exactly one."
            )
        return classes[0]

    def make(self, name: str, options: Mapping[str, Any] | None = None) -> T:
        """An object of a registered dataclass; options that are not given have their defaults.

        Raises:
            TlbenchError: there is no such name or option, or a value is of another type than the default.
        """
        kind, given = self.kind(name), dict(options or {})
        check_options(name, given, {field.name: field.default for field in dataclasses.fields(cast(Any, kind))})
        return kind(**given)

    def _check(self, name: str) -> None:
        if name not in self.names():
            raise TlbenchError(unknown_name(self.noun, name, self.names()))


def check_options(name: str, given: Mapping[str, Any], defaults: Mapping[str, Any]) -> None:
    """Check that options exist and are of the type of their defaults; an integer may stand for a float.

    Args:
        name: what has the options, for errors.
        given: values by option.
        defaults: values of all options.

    Raises:
        TlbenchError: an option does not exist, or a value is of another type.
    """
    for option, value in given.items():
        if option not in defaults:
            raise TlbenchError(unknown_name(f"option of {name}", option, defaults))
        types = (float, int) if isinstance(defaults[option], float) else (type(defaults[option]),)
        if type(value) not in types:
            raise TlbenchError(f"Option {option} of {name} is {value!r}. It is of the type {types[0].__name__}.")
