"""A pool of processes on this machine. They ignore Ctrl-C, and exit when the process that started them is gone."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from tlbench import clock
from tlbench.errors import TlbenchError
from tlbench.runner.pools.protocol import Ended, Lost, OnMessage, Stepped
from tlbench.runner.worker import Job, Worker, WorkerSetup

MAX_FAILED_STARTS = 3
"""After this many workers in succession that died before they were ready, the run ends with an error."""
STEP_MESSAGE_SECONDS = 0.2
"""The shortest interval between two messages of a worker about its training steps."""


@dataclass
class _Slot:
    process: BaseProcess
    pipe: Connection
    device: str
    ready: bool = False
    busy: bool = False


class ProcessPool:
    """A pool of one process for each device named; a device named twice gets two.

    Threads and CUDA contexts do not survive a fork, so no process is forked from this one: each is forked from a server that
    has imported everything and run nothing (`forkserver`), or is spawned on systems without such a server. The processes map
    the same files of the cache, so that domains are in memory once.

    Args:
        setup: from `RunPlan.worker_setup`.
        devices: the device of each slot, such as ("cuda:0", "cuda:0").
    """

    def __init__(self, setup: WorkerSetup, devices: Sequence[str]) -> None:
        self._setup = setup
        self._failed_starts = 0
        self._slots = {number: self._spawn(device) for number, device in enumerate(devices)}

    def size(self) -> int:
        """The number of processes."""
        return len(self._slots)

    def idle(self) -> Sequence[int]:
        """The processes that have started and have no job."""
        return [number for number, slot in self._slots.items() if slot.ready and not slot.busy]

    def start(self, slot: int, job: Job) -> None:
        """Send a job to a process."""
        self._slots[slot].busy = True
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it died while idle: `wait` notices
            self._slots[slot].pipe.send(job)

    def wait(self, seconds: float, on_message: OnMessage) -> None:
        """Receive messages of the processes, and notice which of them died.

        Raises:
            TlbenchError: no worker can start.
        """
        deadline = clock.seconds() + seconds
        while True:
            numbers = {slot.pipe: number for number, slot in self._slots.items()}
            readable = wait(list(numbers), max(deadline - clock.seconds(), 0.0))
            changes = [self._receive(numbers[pipe], on_message) for pipe in readable if isinstance(pipe, Connection)]
            if any(changes) or clock.seconds() >= deadline:
                return

    def stop(self, slot: int) -> None:
        """Kill a process and start another in its slot."""
        killed = self._slots[slot]
        _kill(killed)
        self._slots[slot] = self._spawn(killed.device)

    def close(self) -> None:
        """Kill all processes; idle ones lose nothing by it."""
        for slot in self._slots.values():
            slot.process.kill()
        for slot in self._slots.values():
            _kill(slot)
        self._slots.clear()

    def _receive(self, number: int, on_message: OnMessage) -> bool:
        """Receive one message of a process; True where the scheduler should act on it."""
        slot = self._slots[number]
        try:
            kind, *content = slot.pipe.recv()
        except (EOFError, OSError):
            self._replace_dead(number, on_message)
            return True
        if kind == "step":
            on_message(Stepped(number, *content))
            return False
        if kind == "ready":
            slot.ready, self._failed_starts = True, 0
            return True
        slot.busy = False
        on_message(Ended(number, content[0]) if kind == "ended" else Lost(number, content[0], retryable=False))
        return True

    def _replace_dead(self, number: int, on_message: OnMessage) -> None:
        slot = self._slots[number]
        slot.process.join()
        reason = exit_reason(slot.process.exitcode)
        self._failed_starts += not slot.ready
        if self._failed_starts >= MAX_FAILED_STARTS:
            raise TlbenchError(f"No worker process can start: the last one {reason}. Its own output above says more.")
        self.stop(number)
        if slot.busy:
            on_message(Lost(number, f"The worker process {reason}."))

    def _spawn(self, device: str) -> _Slot:
        parent_end, child_end = multiprocessing.Pipe()
        process = context().Process(target=_serve, args=(child_end, self._setup, device), name="tlbench worker", daemon=True)
        with _thread_variables(self._setup.limits.threads), signals_blocked():
            process.start()
        child_end.close()
        return _Slot(process, parent_end, device)


def context() -> Any:  # the classes of the contexts have no common type with `Process`
    """The multiprocessing context in which worker processes start, see `ProcessPool`."""
    method = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
    start_context = multiprocessing.get_context(method)
    start_context.set_forkserver_preload([__name__])
    return start_context


def _kill(slot: _Slot) -> None:
    slot.process.kill()
    slot.process.join()
    slot.process.close()
    slot.pipe.close()


def exit_reason(code: int | None) -> str:
    """How a process ended, as a predicate: "exited with code 7", "was killed by signal 9 (SIGKILL)"."""
    if code is not None and code < 0:
        hint = ", often because memory ran out" if code == -signal.SIGKILL else ""
        return f"was killed by signal {-code} ({signal.Signals(-code).name}){hint}"
    return f"exited with code {code}"


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
def signals_blocked() -> Iterator[None]:
    """Start processes that never see Ctrl-C, not even in their first seconds; this process receives it after the block."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(pipe: Connection, setup: WorkerSetup, device: str) -> None:
    """The main function of a worker process: run jobs until the pipe closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=exit_with_parent, daemon=True).start()
    worker = Worker(setup, device)
    pipe.send(("ready",))
    last_message = clock.seconds()

    def on_step(done: int, total: int) -> None:
        nonlocal last_message
        if clock.seconds() - last_message >= STEP_MESSAGE_SECONDS or done == total:
            last_message = clock.seconds()
            pipe.send(("step", done, total))

    while True:
        try:
            job: Any = pipe.recv()
        except EOFError:
            return
        try:
            pipe.send(("ended", worker.run(job, on_step)))
        except TlbenchError as error:
            pipe.send(("failed", str(error)))


def exit_with_parent() -> None:
    """Exit this process once the process that started it is gone."""
    parent = multiprocessing.parent_process()
    assert parent is not None  # a worker process has one
    wait([parent.sentinel])
    os._exit(1)
