"""A pool of one slot in which each case runs on several devices of this machine, with one process for each device."""

from __future__ import annotations

import multiprocessing
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path

from tlbench import clock, engine
from tlbench.engine.training import ddp
from tlbench.errors import TlbenchError, plain_text
from tlbench.runner.pools.process_pool import MAX_REASON
from tlbench.runner.pools.protocol import Begun, Ended, Lost, OnMessage, Stepped
from tlbench.runner.pools.worker_process import Messenger, context, end_of, enter_worker_process, kill, ready_to_start
from tlbench.runner.worker import Job, Worker, WorkerSetup
from tlbench.terms import Record

GRACE_SECONDS = 5.0
"""How long the other processes may take to finish after one has failed; one that waits for it in a collective never does."""

Outcome = Record | str
"""How a case ended in one process: the record (rank 0), "" (another rank is done), or the reason why it failed."""


@dataclass
class _Rank:
    process: BaseProcess
    pipe: Connection
    ready: bool = False
    outcome: Outcome | None = None
    """The outcome of the running case; None until it has ended in this process."""


class DdpPool:
    """One slot of several processes, one for each device; rank 0 gives the record.

    Args:
        setup: from `RunPlan.worker_setup`.
        devices: the device of each process, such as ("cuda:0", "cuda:1") or ("cpu", "cpu").
    """

    def __init__(self, setup: WorkerSetup, devices: Sequence[str]) -> None:
        self._setup, self._devices = setup, tuple(devices)
        self._folder = tempfile.TemporaryDirectory(prefix="tlbench-ranks-")
        self._group_count = 0
        self._busy = False
        self._deadline: float | None = None
        """When the running case is given up after one process has failed; None while none has."""
        self._ranks = self._spawn()

    def size(self) -> int:
        """One slot."""
        return 1

    def idle(self) -> Sequence[int]:
        """Slot 0, once all processes have joined the process group and no case runs."""
        return [0] if not self._busy and all(rank.ready for rank in self._ranks) else []

    def start(self, slot: int, job: Job) -> None:
        """Send a job to all processes."""
        self._busy, self._deadline = True, None
        for rank in self._ranks:
            rank.outcome = None
            try:
                rank.pipe.send(job)
            except OSError:
                return  # it died while idle: `wait` notices

    def wait(self, seconds: float, on_message: OnMessage) -> None:
        """Receive messages of the processes; a case ends for all of them when one dies or fails.

        Raises:
            TlbenchError: a process can't start.
        """
        end = clock.seconds() + seconds
        while True:
            rank_of: dict[Connection | int, _Rank] = {rank.pipe: rank for rank in self._ranks}
            rank_of |= {rank.process.sentinel: rank for rank in self._ranks}
            seconds_left = max(min(end, self._deadline or end) - clock.seconds(), 0.0)
            available = wait(list(rank_of), seconds_left)
            ranks = {id(rank): rank for one, rank in rank_of.items() if one in available}
            changes = [self._receive(rank, on_message) for rank in ranks.values()]
            if self._deadline is not None and clock.seconds() >= self._deadline:
                self._end_case(on_message)
                return
            if any(changes) or clock.seconds() >= end:
                return

    def stop(self, slot: int) -> None:
        """Kill all processes, and start as many."""
        self._kill()
        self._busy, self._deadline = False, None
        self._ranks = self._spawn()

    def close(self) -> None:
        """Kill all processes."""
        self._kill()
        self._ranks = []
        self._folder.cleanup()

    def _receive(self, rank: _Rank, on_message: OnMessage) -> bool:
        """Receive one message of a process; True where the scheduler should act on it."""
        if rank not in self._ranks:
            return False  # it belongs to a group that was killed a moment ago
        try:
            if not rank.pipe.poll():  # the process has ended
                raise EOFError
            kind, *content = rank.pipe.recv()
        except Exception:  # a message that was cut off or overwritten can't be unpickled
            self._replace_dead(rank, on_message)
            return True
        if kind == "step":
            on_message(Stepped(0, *content))
            return False
        if kind == "begun":
            on_message(Begun(0))
            return False
        if kind == "ready":
            rank.ready = True
            return all(one.ready for one in self._ranks)
        rank.outcome = content[0]
        failed = rank.outcome.status == "failed" if isinstance(rank.outcome, Record) else rank.outcome != ""
        if failed and self._deadline is None:
            self._deadline = clock.seconds() + GRACE_SECONDS
        if any(one.outcome is None for one in self._ranks):
            return False
        self._end_case(on_message)
        return True

    def _replace_dead(self, rank: _Rank, on_message: OnMessage) -> None:
        """Restart all processes after one has died."""
        reason = end_of(rank.process)
        if not all(one.ready for one in self._ranks):
            raise TlbenchError(
                f"--devices: A process can't start on this machine: it {reason}. Its own output above says more."
            ) from None
        count, was_busy = len(self._ranks), self._busy
        self.stop(0)
        if was_busy:
            on_message(Lost(0, f"One of the {count} processes of the case {reason}."))

    def _end_case(self, on_message: OnMessage) -> None:
        """Report a case that has ended in all processes, or that is given up because one failed and others wait for it."""
        outcomes = [rank.outcome for rank in self._ranks]
        if None in outcomes:
            self.stop(0)
        self._busy, self._deadline = False, None
        if isinstance(outcomes[0], Record):
            on_message(Ended(0, outcomes[0]))
        else:
            on_message(Lost(0, next(str(outcome) for outcome in outcomes if outcome), retryable=False))

    def _spawn(self) -> list[_Rank]:
        self._group_count += 1
        rendezvous = Path(self._folder.name) / f"meeting-{self._group_count}"
        start_context = context()
        ranks = []
        for number, device in enumerate(self._devices):
            parent_end, child_end = multiprocessing.Pipe()
            arguments = (child_end, self._setup, number, len(self._devices), rendezvous, device)
            process = start_context.Process(target=_serve, args=arguments, name="tlbench rank", daemon=True)
            with ready_to_start(None):
                process.start()
            child_end.close()
            ranks.append(_Rank(process, parent_end))
        return ranks

    def _kill(self) -> None:
        for rank in self._ranks:
            kill(rank.process)
            rank.process.close()
            rank.pipe.close()


def _serve(pipe: Connection, setup: WorkerSetup, rank: int, world: int, rendezvous: Path, device: str) -> None:
    """The main function of one process of the group: rank 0 sends the record, the others "" or why the case failed.

    Args:
        pipe: the connection to the pool.
        setup: the setup of the worker.
        rank: this process's number, from 0.
        world: the number of processes.
        rendezvous: the file through which the processes find each other.
        device: this process's device.
    """
    enter_worker_process()
    messenger = Messenger(pipe)
    worker = Worker(setup, device, interruptible=False)

    def on_step(done: int, total: int) -> None:
        messenger.send("step", done, total)

    def on_begin() -> None:
        if rank == 0:
            messenger.send("begun")

    with ddp.process_group(rank, world, rendezvous, engine.device_of(device)):
        messenger.send("ready")
        while True:
            job = messenger.receive()
            try:
                record = worker.run(job, None if rank else on_step, on_begin)
            except TlbenchError as error:
                messenger.send("ended", plain_text(str(error), MAX_REASON))
                continue
            reason = (record.reason or "The case failed.") if record.status == "failed" else ""
            messenger.send("ended", reason if rank else record)
