"""Why a case failed, as one line for its record: what was raised, and the line of the method's own file that it came from.

A method may raise anything: an error whose text can't be read, has ten million characters, or is no valid Unicode.
"""

from __future__ import annotations

import ast
import contextlib
import inspect
import sys
import traceback
from collections.abc import Iterable
from pathlib import Path
from types import FunctionType

from tlbench.errors import TlbenchError, encodable_text, error_text, plain_text
from tlbench.methods.base import Method
from tlbench.terms import SPLITS

REASON_CHARACTERS = 500
"""The longest text of an error that goes into a record; sentences of tlbench itself may be four times as long."""
TRACEBACK_FRAMES = 60
"""The frames of a traceback that are shown, half of them from its start: a recursion has thousands."""


def failure_reason(error: BaseException, method_class: type[Method] | None) -> str:
    """The reason for a `failed` record.

    An error of tlbench is its own text. Of any other, the class and the text are followed by the innermost line that lies in
    a file of the method, else by the innermost line of all: "TypeError: ... (my_method.py:12)".

    Args:
        error: what was raised.
        method_class: the class of the case's method; None: it can't be had.
    """
    if isinstance(error, TlbenchError):
        return plain_text(error_text(error), 4 * REASON_CHARACTERS)
    text = plain_text(error_text(error), REASON_CHARACTERS)
    named = f"{type(error).__name__}: {text}" if text else type(error).__name__
    origin = raised_at(error, method_class)
    reason = f"{named} ({origin})" if origin else named
    if method_class is not None and "NoneType" in text and (hint := _withheld_split(method_class)):
        reason += f". {hint}"
    return plain_text(reason, 4 * REASON_CHARACTERS)


def raised_at(error: BaseException, method_class: type[Method] | None) -> str:
    """The innermost line in the method's own files, else the innermost of all, as `file.py:12`; empty without a traceback."""
    lines = [(frame.f_code.co_filename, line) for frame, line in traceback.walk_tb(error.__traceback__)]
    if not lines:
        return ""
    files = set() if method_class is None else _files_of(method_class)
    file, line = next((one for one in reversed(lines) if one[0] in files), lines[-1])
    return f"{Path(file).name}:{line}"


def defined_at(method_class: type[Method]) -> str:
    """The file and the line of a method's class, as `folder/my_method.py:12`; empty where its source can't be read."""
    with contextlib.suppress(OSError, TypeError):
        file, (_, line) = inspect.getsourcefile(method_class), inspect.getsourcelines(method_class)
        if file is not None:
            path = Path(file)
            return f"{path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path}:{line}"
    return ""


def traceback_text(error: BaseException) -> str:
    """The traceback of an error, of up to 60 frames."""
    frames = traceback.extract_tb(error.__traceback__)
    edge, skipped = TRACEBACK_FRAMES // 2, len(frames) - TRACEBACK_FRAMES
    lines = traceback.format_list(frames)
    if skipped > 0:
        lines = [*lines[:edge], f"  ... {skipped} frames are left out ...\n", *lines[-edge:]]
    head = "Traceback (most recent call last):\n"
    message = plain_text(f"{type(error).__name__}: {error_text(error)}", 4 * REASON_CHARACTERS)
    return encodable_text(head + "".join(lines)) + message


def _files_of(method_class: type[Method]) -> set[str]:
    """The files in which a method is written: that of its module, and those of its functions (a notebook's cells)."""
    functions = [value for value in vars(method_class).values() if isinstance(value, FunctionType)]
    module = getattr(sys.modules.get(method_class.__module__), "__file__", None)
    return {function.__code__.co_filename for function in functions} | ({module} if module else set())


def _withheld_split(method_class: type[Method]) -> str:
    """The sentence that a split is None because `reads` lacks it, where the method's source names such a split."""
    withheld = {*SPLITS} - {*method_class.reads}
    for name, split in _split_accesses(method_class):
        if split in withheld:
            return f"{name}.{split} is None because `reads` lacks {split!r}. Add {split!r} to `reads`."
    return ""


def _split_accesses(method_class: type[Method]) -> Iterable[tuple[str, str]]:
    """The attributes of a step or a task that the source of a method names, such as ("step", "target")."""
    source = ""
    with contextlib.suppress(OSError, TypeError):
        source = inspect.getsource(sys.modules[method_class.__module__])
    if not source:
        return
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in {"step", "task"}:
            yield node.value.id, node.attr
