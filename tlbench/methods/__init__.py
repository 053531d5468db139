"""The methods that exist: one file each in a folder per family, found by lying there; nothing is listed twice.

Methods from elsewhere come in by `plug(file)` or through the entry-point group `tlbench.methods`.
"""

from __future__ import annotations

import ast
import functools
import importlib
import importlib.metadata
import importlib.util
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from tlbench.errors import TlbenchError, schema_errors, unknown_name

if TYPE_CHECKING:
    from tlbench.methods.base import Method

_registered: dict[str, Path] = {}


def method_files() -> dict[str, Path]:
    """Where each shipped or plugged method stands, by name; nothing is imported to answer."""
    return dict(sorted({**_shipped(), **_registered}.items()))


@functools.cache
def _shipped() -> dict[str, Path]:
    return {file.stem: file for file in Path(__file__).parent.glob("*/*.py") if not file.stem.startswith("_")}


def method_names() -> list[str]:
    """All methods, those of entry points too."""
    return sorted({*method_files(), *_entry_points()})


def method_summary(name: str) -> str:
    """The first line of a method's file; nothing is imported to answer."""
    file = method_files().get(name)
    if file is None:
        return f"(entry point {_entry_points()[name].value})"
    return (ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or "").partition("\n")[0]


def register_file(file: Path) -> str:
    """Make the method in a file outside the package known under the file's name, which is returned.

    Raises:
        TlbenchError: no such file, or the name is taken by a shipped method.
    """
    if not file.is_file() or file.suffix != ".py":
        raise TlbenchError(f"plugin {file}: no such Python file; `tlbench new method NAME` writes a start")
    if file.stem in method_files() and method_files()[file.stem].resolve() != file.resolve():
        raise TlbenchError(f"plugin {file}: there is a method {file.stem!r} already; rename the file")
    if not file.stem.isidentifier():
        raise TlbenchError(f"plugin {file}: a method's file is named as a Python identifier, such as my_method.py")
    _registered[file.stem] = file.resolve()
    return file.stem


def registered_files() -> list[Path]:
    """The files that `plug` has made known."""
    return list(_registered.values())


def method_class(name: str) -> type[Method]:
    """The class of a method.

    Raises:
        TlbenchError: there is no such method, or its file holds no class of one.
    """
    from tlbench.methods.base import DeepMethod, Method, ShallowMethod

    if name in _registered:
        module = _from_file(name, _registered[name])
    elif name in method_files():
        module = importlib.import_module(f"{__name__}.{method_files()[name].parent.name}.{name}")
    elif name in _entry_points():
        loaded = _entry_points()[name].load()
        if isinstance(loaded, type) and issubclass(loaded, Method):
            return loaded
        module = loaded
    else:
        raise TlbenchError(unknown_name("method", name, method_names()))
    own = [v for v in vars(module).values() if isinstance(v, type) and issubclass(v, (DeepMethod, ShallowMethod))]
    own = [kind for kind in own if kind.__module__ == module.__name__]
    if len(own) != 1:
        raise TlbenchError(
            f"{module.__file__}: one method is one file: it holds {len(own)} classes of Trained or Solved, not 1"
        )
    return own[0]


def method_options(name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """All options of a method: those given, checked, and the defaults of the others.

    Raises:
        TlbenchError: unknown method or option, or a value out of its range.
    """
    wrong, checked = _options(name, given, f"methods.{name}")
    if wrong:
        raise TlbenchError("\n".join(wrong))
    return checked


def suite_errors(raw: Mapping[str, Any]) -> list[str]:
    """What is wrong with the `[methods]` tables of a suite."""
    tables = raw.get("methods")
    wrong: list[str] = []
    for row, table in tables.items() if isinstance(tables, Mapping) else ():
        if not isinstance(table, Mapping) or not isinstance(table.get("method", ""), str):
            continue  # the suite's own schema says so
        name = table.get("method") or row
        if name not in method_names():
            wrong.append(unknown_name("method", name, method_names(), f"methods.{row}"))
        else:
            wrong += _options(name, {k: v for k, v in table.items() if k != "method"}, f"methods.{row}")[0]
    return wrong


def _options(name: str, given: Mapping[str, Any], where: str) -> tuple[list[str], dict[str, Any]]:
    from pydantic import ValidationError

    model = method_class(name).Options
    try:
        return [], model.model_validate(dict(given)).model_dump()
    except ValidationError as error:
        return [sentence for _, sentence in schema_errors(error, model, where, f"option of {name}")], {}


@functools.cache
def _entry_points() -> dict[str, importlib.metadata.EntryPoint]:
    return {point.name: point for point in importlib.metadata.entry_points(group="tlbench.methods")}


def _from_file(name: str, file: Path) -> ModuleType:
    module_name = f"tlbench_plugin_{name}"
    if module_name in sys.modules:
        return sys.modules[module_name]
    spec = importlib.util.spec_from_file_location(module_name, file)
    assert spec is not None and spec.loader is not None  # a .py file has both
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[module_name]
        raise TlbenchError(f"plugin {file}: cannot be imported: {type(error).__name__}: {error}") from error
    return module
