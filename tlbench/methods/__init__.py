"""The registry of methods: one file each, in a folder per family; a file of such a folder is a method under its name.

Third-party methods are files that `--plugin` names, or modules and classes that an installed package names in its entry-point
group `tlbench.methods`.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tlbench import plugins
from tlbench.errors import TlbenchError, schema_errors, unknown_name
from tlbench.nn import backbones

if TYPE_CHECKING:
    from tlbench.methods.base import Method

ENTRY_POINTS = "tlbench.methods"
"""The entry-point group of installed packages; each entry point names a module with one method, or a method's class."""
_registered: dict[str, Path] = {}
_registered_classes: dict[str, type[Method]] = {}


def method_files() -> dict[str, Path]:
    """The file of each shipped or registered method, by name; no method is imported."""
    return dict(sorted({**shipped_files(), **_registered}.items()))


@functools.cache
def shipped_files() -> dict[str, Path]:
    """The file of each shipped method, by name; its folder is the family."""
    return {file.stem: file for file in Path(__file__).parent.glob("*/*.py") if not file.stem.startswith("_")}


def families() -> dict[str, str]:
    """The family of each shipped method, by name, in words."""
    return {name: file.parent.name.replace("_", " ") for name, file in shipped_files().items()}


def method_names() -> list[str]:
    """The names of all methods, those of entry points among them; no method is imported."""
    return sorted({*method_files(), *plugins.entry_points(ENTRY_POINTS)})


def method_summary(name: str) -> str:
    """The first line of a method's docstring; no method is imported."""
    file = method_files().get(name)
    return f"(entry point {plugins.entry_points(ENTRY_POINTS)[name].value})" if file is None else plugins.summary(file)


def register_file(file: Path) -> str:
    """Register the method or the backbone that a file outside the package defines, and return its name, that of the file.

    A file with `Options` or `build` at its top level defines a backbone, any other a method. A shipped file keeps its name.

    Raises:
        TlbenchError: the file does not exist, cannot be parsed, breaks the contract of a backbone, or its name is taken.
    """
    plugins.check_file(file)
    if plugins.is_backbone(file):
        return backbones.register_file(file)
    shipped = shipped_files().get(file.stem)
    if shipped is not None and shipped.resolve() == file.resolve():
        return file.stem
    if file.stem in method_files() and method_files()[file.stem].resolve() != file.resolve():
        raise TlbenchError(f"plugin {file}: There is already a method {file.stem!r}. Rename the file.")
    _registered[file.stem] = file.resolve()
    plugins.forget_changed_file(file.resolve())
    return file.stem


def register_class(kind: type[Method]) -> str:
    """Register a subclass of `DeepMethod` or `ShallowMethod`, such as one of a notebook, and return its name.

    Raises:
        TlbenchError: the class is no subclass of them, or breaks their contract.
    """
    from tlbench.methods.base import DeepMethod, ShallowMethod

    if not issubclass(kind, DeepMethod | ShallowMethod):
        raise TlbenchError(f"{kind.__name__} is no method. Derive it from tlbench.DeepMethod or tlbench.ShallowMethod.")
    try:
        kind.check()
    except ValueError as error:
        raise TlbenchError(str(error)) from error
    name = f"{kind.__module__}.{kind.__qualname__}"
    _registered_classes[name] = kind
    return name


def is_third_party(name: str) -> bool:
    """Whether a method is none of those that ship with tlbench: a registered file or class, or an entry point."""
    return name not in shipped_files()


def is_registered_class(name: str) -> bool:
    """Whether a method is a class that `register_class` has registered, which exists in this process alone."""
    return name in _registered_classes


def registered_files() -> list[Path]:
    """The files that `register_file` has registered, methods and backbones; worker processes register them again."""
    return [*_registered.values(), *backbones.registered_files()]


def method_class(name: str) -> type[Method]:
    """The class of a method.

    Raises:
        TlbenchError: there is no such method, it cannot be imported, or its file defines none or several.
    """
    from tlbench.methods.base import DeepMethod, Method, ShallowMethod

    if name in _registered_classes:
        return _registered_classes[name]
    if name in _registered:
        module = plugins.import_file(_registered[name])
    elif name in method_files():
        module = importlib.import_module(f"{__name__}.{method_files()[name].parent.name}.{name}")
    elif name in plugins.entry_points(ENTRY_POINTS):
        loaded = plugins.load_entry_point(plugins.entry_points(ENTRY_POINTS)[name])
        if isinstance(loaded, type) and issubclass(loaded, Method):
            return loaded
        module = loaded
    else:
        raise TlbenchError(unknown_name("method", name, method_names()))
    classes = [
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, (DeepMethod, ShallowMethod)) and value.__module__ == module.__name__
    ]
    if len(classes) != 1:
        raise TlbenchError(
            f"{module.__file__}: The file defines {len(classes)} subclasses of DeepMethod or ShallowMethod. "
            "One method is one file: define exactly one."
        )
    if name not in shipped_files():
        try:
            classes[0].check()
        except ValueError as error:
            raise TlbenchError(f"{module.__file__}: {error}") from error
    return classes[0]


def plugin_hash(name: str) -> str | None:
    """The sha256 of the file that defines a third-party method, as `plugins.module_hash`; None for a shipped one.

    Raises:
        TlbenchError: there is no such method, or it cannot be imported.
    """
    if name in _registered:
        return plugins.file_hash(_registered[name])
    if name in method_files() or name in _registered_classes:
        return None
    return plugins.module_hash(method_class(name).__module__)


def method_options(name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """All options of a method: the validated values of those given, and the defaults of the others.

    Raises:
        TlbenchError: the method or an option does not exist, or a value is out of its range.
    """
    errors, options = _validated(name, given, f"methods.{name}")
    if errors:
        raise TlbenchError("\n".join(errors))
    return options


def suite_errors(raw: Mapping[str, Any]) -> list[str]:
    """The errors in the `[methods]` tables of a suite, a sentence each."""
    tables = raw.get("methods")
    errors: list[str] = []
    for entry, table in tables.items() if isinstance(tables, Mapping) else ():
        if not isinstance(table, Mapping) or not isinstance(table.get("method", ""), str):
            continue  # the suite's own schema reports it
        name = table.get("method") or entry
        if name not in method_names():
            errors.append(unknown_name("method", name, method_names(), f"methods.{entry}"))
        else:
            options = {key: value for key, value in table.items() if key != "method"}
            errors += _validated(name, options, f"methods.{entry}")[0]
    return errors


def _validated(name: str, options: Mapping[str, Any], where: str) -> tuple[list[str], dict[str, Any]]:
    """The errors in the options of a method, or all its options where there are none."""
    from pydantic import ValidationError

    model = method_class(name).Options
    try:
        return [], model.model_validate(dict(options)).model_dump()
    except ValidationError as error:
        return [sentence for _, sentence in schema_errors(error, model, where, f"option of {name}")], {}
