"""Each case on several devices of this machine at once: a pool of one place, which is one process for each device."""

from __future__ import annotations

import multiprocessing
import signal
import tempfile
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path

from tlbench import clock, engine
from tlbench.engine import parallel
from tlbench.runner.pools import Ended, Lost, Message, Stepped
from tlbench.runner.processes import die_with_the_driver, ending, shielded
from tlbench.runner.work import Job, Work, Worker
from tlbench.terms import TlbenchError


@dataclass
class _Rank:
    process: SpawnProcess
    pipe: Connection
    ready: bool = False


class Ranks:
    """One place of several processes, one for each device; the first of them gives the record.

    Args:
        work: from `Plan.work`.
        devices: such as ("cuda:0", "cuda:1"), or ("cpu", "cpu").
    """

    def __init__(self, work: Work, devices: Sequence[str]) -> None:
        self._work, self._devices = work, tuple(devices)
        self._folder = tempfile.TemporaryDirectory(prefix="tlbench-ranks-")
        self._meetings = self._jobs = 0
        self._busy = False
        self._ranks = self._spawn()

    def size(self) -> int:
        """One place."""
        return 1

    def idle(self) -> Sequence[int]:
        """Place 0, once all its processes have met."""
        return [0] if not self._busy and all(rank.ready for rank in self._ranks) else []

    def start(self, place: int, job: Job) -> None:
        """Send a job to all of them."""
        self._busy, self._jobs = True, self._jobs + 1
        for rank in self._ranks:
            try:
                rank.pipe.send((self._jobs, job))
            except (BrokenPipeError, ConnectionResetError):
                return  # it died while idle: `wait` says so

    def wait(self, seconds: float, tell: Callable[[Message], None]) -> None:
        """Hear what they say; where one of them dies or can't go on, none can."""
        ends = clock.seconds() + seconds
        while True:
            by_pipe = {rank.pipe: rank for rank in self._ranks}
            heard = wait(list(by_pipe), max(ends - clock.seconds(), 0.0))
            news = [self._hear(by_pipe[pipe], tell) for pipe in heard if isinstance(pipe, Connection) and pipe in by_pipe]
            if any(news) or clock.seconds() >= ends:
                return

    def stop(self, place: int) -> None:
        """Kill them all, and start as many."""
        self._kill()
        self._busy = False
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
            why = f"one of its {len(self._ranks)} processes {ending(rank.process.exitcode)}"
            if not all(one.ready for one in self._ranks):
                raise TlbenchError(f"--devices: a process can't start here: it {ending(rank.process.exitcode)}") from None
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
        number, said = rest
        if number != self._jobs or not self._busy:
            return False  # all of them failed alike, and another one has said so
        if kind == "ended" and rank is self._ranks[0]:
            self._busy = False
            tell(Ended(0, said))
        else:
            self.stop(0)
            tell(Lost(0, said if kind == "failed" else said.why, again=False))
        return True

    def _spawn(self) -> list[_Rank]:
        self._meetings += 1
        meeting = Path(self._folder.name) / f"meeting-{self._meetings}"
        context = multiprocessing.get_context("spawn")
        made = []
        for number, device in enumerate(self._devices):
            ours, theirs = multiprocessing.Pipe()
            arguments = (theirs, self._work, number, len(self._devices), meeting, device)
            process = context.Process(target=_serve, args=arguments, name="tlbench rank", daemon=True)
            with shielded():
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


def _serve(pipe: Connection, work: Work, rank: int, world: int, meeting: Path, device: str) -> None:
    """The life of one of the processes. The first one speaks for all; the others speak when they can't go on."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=die_with_the_driver, daemon=True).start()
    worker = Worker(work, device)
    with parallel.joined(rank, world, meeting, engine.device_of(device)):
        pipe.send(("ready",))
        while True:
            try:
                number, job = pipe.recv()
            except EOFError:
                return
            try:
                record = worker.run(job, (lambda done, total: pipe.send(("step", done, total))) if not rank else None)
            except TlbenchError as error:
                pipe.send(("failed", number, str(error)))
                continue
            if not rank or record.status == "failed":  # the others would wait for one that failed
                pipe.send(("ended", number, record))
