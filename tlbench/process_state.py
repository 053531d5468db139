"""What a method may leave changed in its process, put back: working directory, streams, signals, environment, torch's settings.

A method that changes such a thing would change the cases after it. Functions that it replaces (of torch, for instance), memory
that it overwrites and threads that it leaves behind can't be put back; a worker process therefore runs no other method after a
third-party one.
"""

from __future__ import annotations

import contextlib
import gc
import io
import logging
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

STREAM_DESCRIPTORS = (0, 1, 2)
"""Standard input, output and error."""
SIGNALS = tuple(number for name in ("SIGINT", "SIGTERM") if (number := getattr(signal, name, None)) is not None)


@dataclass(frozen=True)
class _Setting:
    """One thing of a process: how it is read, and how an earlier value is written back."""

    name: str
    read: Callable[[], Any]
    write: Callable[[Any], object]


@contextlib.contextmanager
def restored_state(*, environment: bool = True) -> Iterator[list[str]]:
    """Put back, at the end of the block, what was changed in it.

    Args:
        environment: whether `os.environ` and `sys.path` are put back as well. An import may change them for later imports.

    Returns:
        In the context, a list that is filled in the end: the names of what was changed, such as "the working directory".
    """
    changed: list[str] = []
    settings = [*_process_settings(), *(_environment_settings() if environment else ()), *_torch_settings()]
    before = [(setting, setting.read()) for setting in settings]
    descriptors = _duplicates()
    try:
        with warnings.catch_warnings():
            yield changed
    finally:
        if _restore_descriptors(descriptors):
            changed.append("the standard streams")
        for setting, value in before:
            with contextlib.suppress(Exception):  # a folder that is gone, for one
                if setting.read() != value:
                    changed.append(setting.name)
                    setting.write(value)
        changed[:] = dict.fromkeys(changed)


def _process_settings() -> list[_Setting]:
    settings = [
        _Setting("the working directory", _working_directory, os.chdir),
        _Setting("the standard streams", _streams, _set_streams),
        _Setting("the garbage collector", gc.isenabled, lambda enabled: gc.enable() if enabled else gc.disable()),
        _Setting("the recursion limit", sys.getrecursionlimit, sys.setrecursionlimit),
        _Setting("logging", _logging_state, _set_logging_state),
    ]
    if threading.current_thread() is threading.main_thread():
        settings.append(_Setting("signal handlers", _signal_handlers, _set_signal_handlers))
    return settings


def _environment_settings() -> list[_Setting]:
    def set_environment(values: dict[str, str]) -> None:
        for name in os.environ.keys() - values.keys():
            del os.environ[name]
        os.environ.update(values)

    def set_path(state: tuple[list[str], list[str]]) -> None:
        sys.path, sys.path[:] = state[0], state[1]

    return [
        _Setting("environment variables", lambda: dict(os.environ), set_environment),
        _Setting("sys.path", lambda: (sys.path, list(sys.path)), set_path),
    ]


def _torch_settings() -> list[_Setting]:
    """torch's global settings; none before torch is imported."""
    torch = sys.modules.get("torch")
    if torch is None:
        return []

    def set_deterministic(state: tuple[bool, bool]) -> None:
        torch.use_deterministic_algorithms(state[0], warn_only=state[1])

    def deterministic() -> tuple[bool, bool]:
        return torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()

    return [
        _Setting("torch's default dtype", torch.get_default_dtype, torch.set_default_dtype),
        _Setting("torch's default device", torch.get_default_device, lambda device: torch.set_default_device(None)),
        _Setting("torch's gradient mode", torch.is_grad_enabled, torch.set_grad_enabled),
        _Setting("torch's number of threads", torch.get_num_threads, torch.set_num_threads),
        _Setting("torch's deterministic mode", deterministic, set_deterministic),
        _Setting("torch's precision", torch.get_float32_matmul_precision, torch.set_float32_matmul_precision),
    ]


def _working_directory() -> str | None:
    try:
        return os.getcwd()  # noqa: PTH109  # a text that compares, also of a folder that is gone
    except OSError:
        return None


def _streams() -> tuple[Any, ...]:
    """The standard streams, and whether each is open: a method may close one."""
    streams = sys.stdin, sys.stdout, sys.stderr
    return (*streams, *(stream is not None and not stream.closed for stream in streams))


def _set_streams(state: tuple[Any, ...]) -> None:
    modes = ("r", "w", "w")
    for number, (name, stream, was_open) in enumerate(zip(("stdin", "stdout", "stderr"), state[:3], state[3:], strict=True)):
        if was_open and stream.closed:
            stream = open(number, modes[number], encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
        setattr(sys, name, stream)


def _logging_state() -> tuple[Any, ...]:
    root = logging.getLogger()
    return root.level, tuple(root.handlers), logging.root.manager.disable, logging.raiseExceptions


def _set_logging_state(state: tuple[Any, ...]) -> None:
    root = logging.getLogger()
    root.level, root.handlers[:] = state[0], state[1]
    logging.disable(state[2])
    logging.raiseExceptions = state[3]


def _signal_handlers() -> tuple[Any, ...]:
    return tuple(signal.getsignal(number) for number in SIGNALS)


def _set_signal_handlers(handlers: tuple[Any, ...]) -> None:
    for number, handler in zip(SIGNALS, handlers, strict=True):
        if handler is not None:  # None: it was set by no Python code, and can't be set by any
            signal.signal(number, handler)


def _duplicates() -> dict[int, tuple[int, tuple[int, int]]]:
    """A duplicate of each standard stream's descriptor that is open, and the file that it stands for."""
    duplicates = {}
    for number in STREAM_DESCRIPTORS:
        with contextlib.suppress(OSError):
            duplicates[number] = os.dup(number), _file_of(number)
    return duplicates


def _file_of(number: int) -> tuple[int, int]:
    status = os.fstat(number)
    return status.st_dev, status.st_ino


def _restore_descriptors(duplicates: dict[int, tuple[int, tuple[int, int]]]) -> bool:
    """Give the standard streams their descriptors back; whether one was closed, or stood for another file."""
    any_changed = False
    for number, (duplicate, file) in duplicates.items():
        try:
            is_same = _file_of(number) == file
        except OSError:
            is_same = False
        with contextlib.suppress(OSError):  # a method may have closed every descriptor
            if not is_same:
                any_changed = True
                os.dup2(duplicate, number)
            os.close(duplicate)
    for stream in (sys.stdout, sys.stderr):
        if any_changed and isinstance(stream, io.TextIOWrapper):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
    return any_changed
