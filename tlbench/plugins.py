"""Third-party methods and backbones: Python files that `--plugin` names, and entry points of installed packages."""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib.metadata
import importlib.util
import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any

from tlbench import content_hashes
from tlbench.errors import TlbenchError, error_text, plain_text
from tlbench.plain_files import read_plain
from tlbench.process_state import restored_state

BACKBONE_NAMES = ("Options", "build")
"""What a backbone's module defines at its top level; a plugin file that defines either is a backbone, any other a method."""

MAX_BYTES = 4 * 2**20
"""The largest plugin file that is read."""
MAX_ERROR_CHARACTERS = 500
"""The longest text of an error that a plugin file raises."""

HASH_ATTRIBUTE = "tlbench_content_sha256"
"""The attribute of a plugin's module that holds the sha256 of the content it was imported from."""


def check_file(file: Path) -> None:
    """Check a plugin file without importing it.

    Raises:
        TlbenchError: the file does not exist, its name is no identifier, or it is not valid Python.
    """
    if not file.exists() or file.is_dir() or file.suffix != ".py":
        raise TlbenchError(f"plugin {file}: There is no such Python file. `tlbench new method NAME` writes one to start from.")
    if not file.stem.isidentifier():
        raise TlbenchError(f"plugin {file}: The file is not named by a Python identifier, such as my_method.py. Rename it.")
    try:
        _syntax_tree(file)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:  # the last two: nested without end
        raise TlbenchError(f"plugin {file}: The file cannot be imported: {_named_with_line(error, file)}") from error


def is_backbone(file: Path) -> bool:
    """Whether a plugin file defines a backbone instead of a method; the file is parsed, not imported."""
    return bool(_definitions(file) & {*BACKBONE_NAMES})


def missing_backbone_names(file: Path) -> list[str]:
    """The names that a backbone's file lacks."""
    return sorted({*BACKBONE_NAMES} - _definitions(file))


def summary(file: Path) -> str:
    """The first line of a module's docstring, or an empty text; the file is parsed, not imported."""
    return (ast.get_docstring(_syntax_tree(file)) or "").partition("\n")[0]


def import_file(file: Path) -> ModuleType:
    """The module of a plugin file, imported once under the name `tlbench_plugin_<file name>`.

    The module is compiled from the bytes that `file_hash` hashes, and never from a cached bytecode file.

    Raises:
        TlbenchError: the import fails, the text then says why; or another plugin file has the same name.
    """
    name = _module_name(file)
    if name in sys.modules:
        if sys.modules[name].__file__ != str(file):
            raise TlbenchError(
                f"plugin {file}: {sys.modules[name].__file__} is a plugin of the same name. Rename one of the files."
            )
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None and spec.loader is not None  # every .py file has both
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        content = _content(file)
        setattr(module, HASH_ATTRIBUTE, hashlib.sha256(content).hexdigest())
        with restored_state(environment=False):
            exec(compile(content, str(file), "exec", dont_inherit=True), module.__dict__)
    except BaseException as error:
        del sys.modules[name]
        if isinstance(error, TlbenchError | KeyboardInterrupt):
            raise
        raise TlbenchError(f"plugin {file}: The file cannot be imported: {_named_with_line(error, file)}") from error
    return module


def forget_changed_file(file: Path) -> None:
    """Forget the module of a plugin file that was edited since its import, so that the next import runs the new code."""
    module = sys.modules.get(_module_name(file))
    if module is not None and module.__file__ == str(file) and file_hash(file) != content_hashes.sha256(file):
        del sys.modules[_module_name(file)]


def file_hash(file: Path) -> str:
    """The sha256 of a plugin file: of the content that this process has imported, else of the content on disk."""
    module = sys.modules.get(_module_name(file))
    imported = None if module is None or module.__file__ != str(file) else getattr(module, HASH_ATTRIBUTE, None)
    return imported or content_hashes.sha256(file)


@functools.cache
def module_hash(name: str) -> str:
    """The sha256 of the source file of an imported module; `version ...`, that of its distribution, where it has no file.

    Submodules are not included: a module that imports code beside it is known by its own file.
    """
    path = getattr(sys.modules.get(name), "__file__", None)
    if path is not None and Path(path).is_file():
        return content_hashes.sha256(Path(path))
    owners = importlib.metadata.packages_distributions().get(name.partition(".")[0], [])
    versions = ", ".join(f"{owner} {importlib.metadata.version(owner)}" for owner in sorted(set(owners)))
    return f"version {versions or 'unknown'}"


def _content(file: Path) -> bytes:
    """The content of a plugin file, which is a plain file of up to 4 MiB."""
    try:
        return read_plain(file, MAX_BYTES)
    except TlbenchError as error:
        raise TlbenchError(f"plugin {error}") from error


def _named_with_line(error: BaseException, file: Path) -> str:
    """An error as its class, its text, and the innermost line of the file that it comes from."""
    lines = [line for frame, line in traceback.walk_tb(error.__traceback__) if frame.f_code.co_filename == str(file)]
    text = plain_text(f"{type(error).__name__}: {error_text(error)}", MAX_ERROR_CHARACTERS)
    return f"{text} (line {lines[-1]})" if lines else text


def _module_name(file: Path) -> str:
    return f"tlbench_plugin_{file.stem}"


@functools.cache
def entry_points(group: str) -> dict[str, importlib.metadata.EntryPoint]:
    """The entry points of a group by name, from all installed packages."""
    return {point.name: point for point in importlib.metadata.entry_points(group=group)}


def load_entry_point(point: importlib.metadata.EntryPoint) -> Any:
    """The object that an entry point names.

    Raises:
        TlbenchError: the import fails; the text says why.
    """
    try:
        return point.load()
    except Exception as error:
        raise TlbenchError(
            f"entry point {point.name} of {point.group}: {point.value} cannot be imported: {type(error).__name__}: {error}"
        ) from error


def _definitions(file: Path) -> set[str]:
    """The functions and classes at the top level of a file, and the names that it imports or assigns there."""
    names: set[str] = set()
    for node in _syntax_tree(file).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.Assign):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return names


def _syntax_tree(file: Path) -> ast.Module:
    return ast.parse(_content(file).decode("utf-8-sig"), str(file))
