"""Each case on several devices of this machine at once: a pool of one place, which is one process for each device."""

from __future__ import annotations

import multiprocessing
import signal
import tempfile
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path

from tlbench import clock, engine
from tlbench.engine.training import ddp
from tlbench.errors import TlbenchError
from tlbench.runner.pools.protocol import Ended, Lost, Message, Stepped
from tlbench.runner.pools.process_pool import context, die_with_the_driver, exit_reason, signals_blocked
from tlbench.runner.worker import Job, Worker, WorkerSetup
from tlbench.terms import Record

GRACE_SECONDS = 5.0
"""How long after one process has failed the others may take to say the same; one that waits for it in vain never does."""


@dataclass
class _Rank:
    process: BaseProcess
    pipe: Connection
    ready: bool = False
    said: Record | str | None = None
    """Of the case that runs: its record (of the first process), nothing but that it is done (""), or why it failed."""


class DdpPool:
    """One place of several processes, one for each device; the first of them gives the record.

    Args:
        work: from `Plan.work`.
        devices: such as ("cuda:0", "cuda:1"), or ("cpu", "cpu").
    """

    def __init__(self, work: WorkerSetup, devices: Sequence[str]) -> None:
        self._work, self._devices = work, tuple(devices)
        self._folder = tempfile.TemporaryDirectory(prefix="tlbench-ranks-")
        self._meetings = 0
        self._busy = False
        self._ends: float | None = None
        self._ranks = self._spawn()

    def size(self) -> int:
        """One place."""
        return 1

    def idle(self) -> Sequence[int]:
        """Place 0, once all its processes have met."""
        return [0] if not self._busy and all(rank.ready for rank in self._ranks) else []

    def start(self, place: int, job: Job) -> None:
        """Send a job to all of them."""
        self._busy, self._ends = True, None
        for rank in self._ranks:
            rank.said = None
            try:
                rank.pipe.send(job)
            except (BrokenPipeError, ConnectionResetError):
                return  # it died while idle: `wait` says so

    def wait(self, seconds: float, tell: Callable[[Message], None]) -> None:
        """Hear what they say; where one of them dies or can't go on, none can."""
        ends = clock.seconds() + seconds
        while True:
            by_pipe = {rank.pipe: rank for rank in self._ranks}
            heard = wait(list(by_pipe), max(min(ends, self._ends or ends) - clock.seconds(), 0.0))
            news = [self._hear(by_pipe[pipe], tell) for pipe in heard if isinstance(pipe, Connection) and pipe in by_pipe]
            if self._ends is not None and clock.seconds() >= self._ends:
                self._over(tell)
                return
            if any(news) or clock.seconds() >= ends:
                return

    def stop(self, place: int) -> None:
        """Kill them all, and start as many."""
        self._kill()
        self._busy, self._ends = False, None
        self._ranks = self._spawn()

    def close(self) -> None:
        """Kill them all."""
        self._kill()
        self._ranks = []
        self._folder.cleanup()

    def _hear(self, rank: _Rank, tell: Callable[[Message], None]) -> bool:
        if rank not in self._ranks:
            return False  # of those that were killed a moment ago
        try:
            kind, *rest = rank.pipe.recv()
        except (EOFError, OSError):
            rank.process.join()
            why = f"one of its {len(self._ranks)} processes {exit_reason(rank.process.exitcode)}"
            if not all(one.ready for one in self._ranks):
                raise TlbenchError(f"--devices: a process can't start here: it {exit_reason(rank.process.exitcode)}") from None
            busy = self._busy
            self.stop(0)
            if busy:
                tell(Lost(0, why))
            return True
        if kind == "step":
            tell(Stepped(0, *rest))
            return False
        if kind == "ready":
            rank.ready = True
            return all(one.ready for one in self._ranks)
        rank.said = rest[0]
        failed = rank.said.status == "failed" if isinstance(rank.said, Record) else rank.said != ""
        if failed and self._ends is None:
            self._ends = clock.seconds() + GRACE_SECONDS
        if any(one.said is None for one in self._ranks):
            return False
        self._over(tell)
        return True

    def _over(self, tell: Callable[[Message], None]) -> None:
        """A case that all have ended, or that one has failed and another waits for in vain: then all are made anew."""
        first, *others = (rank.said for rank in self._ranks)
        if first is None or None in others:
            self.stop(0)
        self._busy, self._ends = False, None
        if isinstance(first, Record):
            tell(Ended(0, first))
        else:
            tell(Lost(0, next(str(said) for said in (first, *others) if said), retryable=False))

    def _spawn(self) -> list[_Rank]:
        self._meetings += 1
        meeting = Path(self._folder.name) / f"meeting-{self._meetings}"
        processes = context()
        made = []
        for number, device in enumerate(self._devices):
            ours, theirs = multiprocessing.Pipe()
            arguments = (theirs, self._work, number, len(self._devices), meeting, device)
            process = processes.Process(target=_serve, args=arguments, name="tlbench rank", daemon=True)
            with signals_blocked():
                process.start()
            theirs.close()
            made.append(_Rank(process, ours))
        return made

    def _kill(self) -> None:
        for rank in self._ranks:
            rank.process.kill()
        for rank in self._ranks:
            rank.process.join()
            rank.process.close()
            rank.pipe.close()


def _serve(pipe: Connection, work: WorkerSetup, rank: int, world: int, meeting: Path, device: str) -> None:
    """The life of one of the processes. The first one gives the record; the others say that they are done, or why not."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=die_with_the_driver, daemon=True).start()
    worker = Worker(work, device)
    with ddp.process_group(rank, world, meeting, engine.device_of(device)):
        pipe.send(("ready",))
        while True:
            try:
                job = pipe.recv()
            except EOFError:
                return
            try:
                record = worker.run(job, (lambda done, total: pipe.send(("step", done, total))) if not rank else None)
            except TlbenchError as error:
                pipe.send(("ended", str(error)))
                continue
            why = (record.reason or "it failed") if record.status == "failed" else ""
            pipe.send(("ended", why if rank else record))
