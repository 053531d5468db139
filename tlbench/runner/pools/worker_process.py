"""Processes in which cases run: how one is started, what it does first, how it is told to end, and what its end means."""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterator
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import ModuleType
from typing import Any

CONNECTION_LOST = 75
"""The exit code of a worker whose connection to the run is gone."""
EXIT_SECONDS = 2.0
"""How long a process that has closed its connection may take to end."""
SUBREAPER = 36
"""Linux's PR_SET_CHILD_SUBREAPER: the orphans below a process become its children."""


def context() -> Any:  # the classes of the contexts have no common type with `Process`
    """The multiprocessing context in which worker processes start, see `process_pool.ProcessPool`."""
    method = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
    start_context = multiprocessing.get_context(method)
    start_context.set_forkserver_preload(["tlbench.runner.pools.preloaded"])
    return start_context


@contextlib.contextmanager
def ready_to_start(threads: int | None) -> Iterator[None]:
    """Processes that are started in the block see no Ctrl-C, import no script of the user, and use so many threads."""
    with _signals_blocked(), _main_module_hidden(), _thread_variables(threads):
        yield


def enter_worker_process() -> None:
    """The first thing that a worker process does: what a method does to it concerns no other process.

    It leads a session of its own, so that its children end with it; it ignores Ctrl-C; what is printed goes to standard error,
    for standard output may carry events; a crash prints the line of Python at which it happened; and it ends once the process
    that started it is gone.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    with contextlib.suppress(OSError, AttributeError):  # Windows has no sessions
        os.setsid()
    with contextlib.suppress(OSError, AttributeError, ValueError):
        ctypes.CDLL(None).prctl(SUBREAPER, 1, 0, 0, 0)
    with contextlib.suppress(OSError, AttributeError, ValueError):  # a program without standard streams
        os.dup2(2, 1)
        sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # suppressed where it is no text file
        faulthandler.enable(all_threads=False)
    multiprocessing.current_process()._config["daemon"] = False  # type: ignore[attr-defined]  # a method may start processes
    threading.Thread(target=_exit_with_parent, daemon=True).start()


class Messenger:
    """Sends what a worker process has to say; a child that a method has forked says nothing, and ends.

    Args:
        pipe: the connection to the pool.
    """

    def __init__(self, pipe: Connection) -> None:
        self._pipe, self._process = pipe, os.getpid()

    def send(self, *message: Any) -> None:
        """Send a message; without a connection the process ends."""
        if os.getpid() != self._process:
            os._exit(0)
        try:
            self._pipe.send(message)
        except OSError:
            os._exit(CONNECTION_LOST)

    def receive(self) -> Any:
        """Wait for a message of the pool; without a connection the process ends, whatever threads a method has left."""
        try:
            return self._pipe.recv()
        except (EOFError, OSError):
            os._exit(CONNECTION_LOST)


def end_of(process: BaseProcess) -> str:
    """How a process has ended that sends nothing more, as a predicate; one that is still there closed its connection."""
    process.join(EXIT_SECONDS)
    return exit_reason(CONNECTION_LOST if process.exitcode is None else process.exitcode)


def exit_reason(code: int) -> str:
    """How a process ended, as a predicate: "exited with code 7", "was killed by signal 9 (SIGKILL)"."""
    if code == CONNECTION_LOST:
        return "lost its connection to the run: the method may have closed files that it had not opened"
    if code < 0:
        name = signal.Signals(-code).name if -code in {*signal.Signals} else "a real-time signal"
        hint = ", often because memory ran out" if code == -signal.SIGKILL else ""
        return f"was killed by signal {-code} ({name}){hint}"
    return f"exited with code {code}"


def kill(process: BaseProcess) -> None:
    """Kill a worker process with all processes below it, and wait for its end."""
    pid = process.pid
    assert pid is not None  # it was started
    for descendant in _descendants(pid):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(descendant, signal.SIGKILL)
    process.kill()
    with contextlib.suppress(ProcessLookupError, PermissionError, AttributeError):
        os.killpg(pid, signal.SIGKILL)  # of a worker that has ended, the children that were left
    process.join()


def _descendants(pid: int) -> list[int]:
    """The processes below a process, those in sessions of their own among them; none where /proc does not exist."""
    parents: dict[int, int] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError, IndexError):  # it may end while it is read
            parents[int(folder.name)] = int((folder / "stat").read_text(encoding="latin-1").rpartition(")")[2].split()[1])
    below = [pid]
    for ancestor in below:
        below += [child for child, parent in parents.items() if parent == ancestor]
    return below[1:]


def _exit_with_parent() -> None:
    """End this process and its children once the process that started it is gone."""
    parent = multiprocessing.parent_process()
    assert parent is not None  # a worker process has one
    wait([parent.sentinel])
    if hasattr(os, "getpgrp") and os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


@contextlib.contextmanager
def _main_module_hidden() -> Iterator[None]:
    """Keep new processes from importing the script that runs, which may have no `if __name__ == "__main__":`."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


@contextlib.contextmanager
def _thread_variables(threads: int | None) -> Iterator[None]:
    """Set the environment variables from which numerical libraries read their number of threads when they are imported."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS") if threads is not None else ()
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(dict.fromkeys(names, str(threads)))
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value


@contextlib.contextmanager
def _signals_blocked() -> Iterator[None]:
    """Start processes that never see Ctrl-C, not even in their first seconds; this process receives it after the block."""
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
