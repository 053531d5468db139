"""Cases in processes of this machine. They ignore Ctrl-C, and die with the driver."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from tlbench import clock
from tlbench.errors import TlbenchError
from tlbench.runner.pools.protocol import Ended, Lost, Message, Stepped
from tlbench.runner.worker import Job, Worker, WorkerSetup

STILLBORN = 3
"""So many workers in a row that died before they were ready: no worker can start here."""
STEP_SECONDS = 0.2
"""A worker says how far it is at most this often."""


@dataclass
class _Place:
    process: BaseProcess
    pipe: Connection
    device: str
    ready: bool = False
    busy: bool = False


class ProcessPool:
    """A pool of processes, one a device named; a device named twice gets two.

    Threads and CUDA contexts do not survive a fork, and so no process is forked from this one: each comes from a server
    that has imported everything and run nothing (`forkserver`), or is spawned where a system has no such server. Domains
    come to them from the cache, as the same mapped files.
    """

    def __init__(self, work: WorkerSetup, devices: Sequence[str]) -> None:
        self._work = work
        self._stillborn = 0
        self._places = {number: self._spawn(device) for number, device in enumerate(devices)}

    def size(self) -> int:
        """How many processes there are."""
        return len(self._places)

    def idle(self) -> Sequence[int]:
        """Processes that have started and have no case."""
        return [number for number, place in self._places.items() if place.ready and not place.busy]

    def start(self, place: int, job: Job) -> None:
        """Send a job to a process."""
        self._places[place].busy = True
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it died while idle: `wait` says so
            self._places[place].pipe.send(job)

    def wait(self, seconds: float, tell: Callable[[Message], None]) -> None:
        """Hear what processes say, and which of them died."""
        ends = clock.seconds() + seconds
        while True:
            numbers = {place.pipe: number for number, place in self._places.items()}
            heard = wait(list(numbers), max(ends - clock.seconds(), 0.0))
            news = [self._hear(numbers[pipe], tell) for pipe in heard if isinstance(pipe, Connection)]
            if any(news) or clock.seconds() >= ends:
                return

    def stop(self, place: int) -> None:
        """Kill a process and start another in its place."""
        old = self._places[place]
        _end(old)
        self._places[place] = self._spawn(old.device)

    def close(self) -> None:
        """Kill all processes; those that are idle lose nothing by it."""
        for place in self._places.values():
            place.process.kill()
        for place in self._places.values():
            _end(place)
        self._places.clear()

    def _hear(self, number: int, tell: Callable[[Message], None]) -> bool:
        """One message of a process; True where the driver should look what to do next."""
        place = self._places[number]
        try:
            kind, *rest = place.pipe.recv()
        except (EOFError, OSError):
            return self._died(number, tell)
        if kind == "step":
            tell(Stepped(number, *rest))
            return False
        if kind == "ready":
            place.ready, self._stillborn = True, 0
            return True
        place.busy = False
        tell(Ended(number, rest[0]) if kind == "ended" else Lost(number, rest[0], retryable=False))
        return True

    def _died(self, number: int, tell: Callable[[Message], None]) -> bool:
        place = self._places[number]
        place.process.join()
        why = f"its worker {exit_reason(place.process.exitcode)}"
        self._stillborn += not place.ready
        if self._stillborn >= STILLBORN:
            raise TlbenchError(
                f"no worker can start here: the last one {exit_reason(place.process.exitcode)}; see what it said above"
            )
        self.stop(number)
        if place.busy:
            tell(Lost(number, why))
        return True

    def _spawn(self, device: str) -> _Place:
        ours, theirs = multiprocessing.Pipe()
        process = context().Process(target=_serve, args=(theirs, self._work, device), name="tlbench worker", daemon=True)
        with _environment(self._work.limits.threads), signals_blocked():
            process.start()
        theirs.close()
        return _Place(process, ours, device)


def context() -> Any:  # the classes of the contexts have no common type with `Process`
    """How processes of this machine are started: see `Processes`."""
    found = multiprocessing.get_context("forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn")
    found.set_forkserver_preload([__name__])
    return found


def _end(place: _Place) -> None:
    place.process.kill()
    place.process.join()
    place.process.close()
    place.pipe.close()


def exit_reason(code: int | None) -> str:
    """How a process ended, in words."""
    if code is not None and code < 0:
        hint = "; often the system's answer to too little memory" if code == -signal.SIGKILL else ""
        return f"was killed by signal {-code} ({signal.Signals(-code).name}{hint})"
    return f"ended with exit code {code}"


@contextlib.contextmanager
def _environment(threads: int | None) -> Iterator[None]:
    """Libraries read their number of threads from the environment when they are first imported."""
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
    """A process that starts inside never sees Ctrl-C, its first seconds included; here it comes when the start is over."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(pipe: Connection, work: WorkerSetup, device: str) -> None:
    """The life of a worker."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=die_with_the_driver, daemon=True).start()
    worker = Worker(work, device)
    pipe.send(("ready",))
    said = clock.seconds()

    def on_step(done: int, total: int) -> None:
        nonlocal said
        if clock.seconds() - said >= STEP_SECONDS or done == total:
            said = clock.seconds()
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


def die_with_the_driver() -> None:
    """End this process when the one that started it is gone."""
    parent = multiprocessing.parent_process()
    assert parent is not None  # a worker has one
    wait([parent.sentinel])
    os._exit(1)
