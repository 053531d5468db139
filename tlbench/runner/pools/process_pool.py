"""A pool of processes on this machine. They ignore Ctrl-C, and exit when the process that started them is gone."""

from __future__ import annotations

import contextlib
import multiprocessing
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

from tlbench import clock
from tlbench.errors import TlbenchError, plain_text
from tlbench.runner.pools.protocol import Begun, Ended, Lost, OnMessage, Stepped
from tlbench.runner.pools.worker_process import Messenger, context, end_of, enter_worker_process, kill, ready_to_start
from tlbench.runner.worker import Job, Worker, WorkerSetup

MAX_FAILED_STARTS = 3
"""After this many workers in succession that died before they were ready, the run ends with an error."""
STEP_MESSAGE_SECONDS = 0.2
"""The shortest interval between two messages of a worker about its training steps."""
MAX_REASON = 2000
"""The longest text on a case that a worker can't run, in characters."""


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
        with contextlib.suppress(OSError):  # it died while idle: `wait` notices
            self._slots[slot].pipe.send(job)

    def wait(self, seconds: float, on_message: OnMessage) -> None:
        """Receive messages of the processes, and notice which of them died.

        Raises:
            TlbenchError: no worker can start.
        """
        deadline = clock.seconds() + seconds
        while True:
            number_of: dict[Connection | int, int] = {slot.pipe: number for number, slot in self._slots.items()}
            # a child that a method has forked holds the pipe open: the end of the process is waited for as well
            number_of |= {slot.process.sentinel: number for number, slot in self._slots.items()}
            available = wait(list(number_of), max(deadline - clock.seconds(), 0.0))
            numbers = dict.fromkeys(number for one, number in number_of.items() if one in available)
            changes = [self._receive(number, on_message) for number in numbers]
            if any(changes) or clock.seconds() >= deadline:
                return

    def stop(self, slot: int) -> None:
        """Kill a process and start another in its slot."""
        killed = self._slots[slot]
        _end(killed)
        self._slots[slot] = self._spawn(killed.device)

    def close(self) -> None:
        """Kill all processes; idle ones lose nothing by it."""
        for slot in self._slots.values():
            _end(slot)
        self._slots.clear()

    def _receive(self, number: int, on_message: OnMessage) -> bool:
        """Receive one message of a process; True where the scheduler should act on it."""
        slot = self._slots[number]
        try:
            if not slot.pipe.poll():  # the process has ended
                raise EOFError
            kind, *content = slot.pipe.recv()
        except Exception:  # a message that was cut off or overwritten can't be unpickled
            self._replace_dead(number, on_message)
            return True
        if kind in ("step", "begun"):
            on_message(Stepped(number, *content) if kind == "step" else Begun(number))
            return False
        if kind == "ready":
            slot.ready, self._failed_starts = True, 0
            return True
        slot.busy = False
        on_message(Ended(number, content[0]) if kind == "ended" else Lost(number, content[0], retryable=False))
        return True

    def _replace_dead(self, number: int, on_message: OnMessage) -> None:
        slot = self._slots[number]
        reason = end_of(slot.process)
        self._failed_starts += not slot.ready
        if self._failed_starts >= MAX_FAILED_STARTS:
            raise TlbenchError(f"No worker process can start: the last one {reason}. Its own output above says more.")
        self.stop(number)
        if slot.busy:
            on_message(Lost(number, f"The worker process {reason}."))

    def _spawn(self, device: str) -> _Slot:
        parent_end, child_end = multiprocessing.Pipe()
        process = context().Process(target=_serve, args=(child_end, self._setup, device), name="tlbench worker", daemon=True)
        with ready_to_start(self._setup.limits.threads):
            process.start()
        child_end.close()
        return _Slot(process, parent_end, device)


def _end(slot: _Slot) -> None:
    kill(slot.process)
    slot.process.close()
    slot.pipe.close()


def _serve(pipe: Connection, setup: WorkerSetup, device: str) -> None:
    """The main function of a worker process: run jobs until the pipe closes."""
    enter_worker_process()
    messenger = Messenger(pipe)
    worker = Worker(setup, device, interruptible=False)
    messenger.send("ready")
    last_message = clock.seconds()

    def on_step(done: int, total: int) -> None:
        nonlocal last_message
        if clock.seconds() - last_message >= STEP_MESSAGE_SECONDS or done == total:
            last_message = clock.seconds()
            messenger.send("step", done, total)

    while True:
        job = messenger.receive()
        try:
            record = worker.run(job, on_step, lambda: messenger.send("begun"))
        except TlbenchError as error:
            messenger.send("failed", plain_text(str(error), MAX_REASON))
        else:
            messenger.send("ended", record)
