"""A pool whose cases each run in a fresh process that holds no label of a scored sample; this process scores them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait

import torch

from tlbench import clock, engine
from tlbench.engine.isolated import IsolatedCase
from tlbench.errors import TlbenchError
from tlbench.runner.isolation import BEGUN, LOST, STEPPED, CaseProcess, SampleFiles, SentInputs, steps_of
from tlbench.runner.pools.protocol import Begun, Ended, Lost, Message, OnMessage, Stepped
from tlbench.runner.worker import Job, WorkerSetup
from tlbench.terms import Domain, Record

NOT_VMAPPED_NOTE = "seeds not vmapped: an isolated case is one seed in one process"


@dataclass
class _Running:
    case: IsolatedCase
    process: CaseProcess
    start: float
    """When the case began, by the seconds of the clock; its preparation in this process is counted as well."""


class IsolatedPool:
    """A pool of slots; each job starts a process of its own.

    Args:
        setup: from `RunPlan.worker_setup`.
        devices: the device of each slot, such as ("cpu", "cpu").
        domains: the loaded domains of the plan, by name; they stay in this process.
    """

    def __init__(self, setup: WorkerSetup, devices: Sequence[str], domains: Mapping[str, Domain]) -> None:
        limits = dataclasses.replace(setup.limits, threads=setup.limits.threads or torch.get_num_threads())
        self._setup, self._devices, self._domains = dataclasses.replace(setup, limits=limits), devices, domains
        self._files = SampleFiles()
        self._running: dict[int, _Running] = {}
        self._ended: dict[int, Message] = {}
        """By slot, the end of cases that could not be prepared."""

    def size(self) -> int:
        """The number of cases that run at once."""
        return len(self._devices)

    def idle(self) -> Sequence[int]:
        """The slots without a case."""
        return [slot for slot in range(len(self._devices)) if slot not in self._running and slot not in self._ended]

    def start(self, slot: int, job: Job) -> None:
        """Split the data of a job here, and start its process."""
        start = clock.seconds()
        device = engine.device_of(self._devices[slot])
        try:
            case = IsolatedCase(job.case, self._setup.suite, self._domains, device)
            if case.error is not None:
                self._ended[slot] = Ended(slot, self._with_run_facts(case.record(None), start))
                return
            process = CaseProcess(SentInputs.of(case.inputs, self._files), self._setup, job, self._devices[slot])
        except TlbenchError as error:
            self._ended[slot] = Lost(slot, str(error), retryable=False)
        else:
            self._running[slot] = _Running(case, process, start)

    def wait(self, seconds: float, on_message: OnMessage) -> None:
        """Receive messages of the processes, score what they predicted, and notice which of them died."""
        deadline = clock.seconds() + seconds
        while True:
            for slot in list(self._ended):
                on_message(self._ended.pop(slot))
                return
            slots = {running.process.pipe: slot for slot, running in self._running.items()}
            readable = wait(list(slots), max(deadline - clock.seconds(), 0.0))
            any_ended = [self._receive(slots[pipe], on_message) for pipe in readable if isinstance(pipe, Connection)]
            if any(any_ended) or clock.seconds() >= deadline:
                return

    def stop(self, slot: int) -> None:
        """Kill the process of a slot."""
        if (running := self._running.pop(slot, None)) is not None:
            running.process.close()

    def close(self) -> None:
        """Kill all processes, and remove the files of samples."""
        for slot in list(self._running):
            self.stop(slot)
        self._files.close()

    def _receive(self, slot: int, on_message: OnMessage) -> bool:
        """Receive one message of a process; True where its case has ended."""
        running = self._running[slot]
        kind, content = running.process.receive()
        if kind == BEGUN:
            on_message(Begun(slot))
            return False
        if kind == STEPPED:
            on_message(Stepped(slot, *steps_of(content)))
            return False
        self.stop(slot)
        if kind == LOST:
            on_message(Lost(slot, content.decode()))
        else:
            on_message(Ended(slot, self._with_run_facts(running.case.record(content), running.start)))
        return True

    def _with_run_facts(self, record: Record, start: float) -> Record:
        """Add wall seconds, threads and concurrent cases, and the note where seeds were to be vmapped."""
        limits, notes = self._setup.limits, record.notes
        if self._setup.suite.train.vmap_seeds == "on" and record.kind == "deep":
            notes = (*notes, NOT_VMAPPED_NOTE)
        facts = {"threads": limits.threads, "concurrent_cases": self._setup.concurrent_cases}
        return record.model_copy(
            update={
                "cost": record.cost.model_copy(update={"wall_seconds": clock.seconds() - start}),
                "machine": record.machine.model_copy(update=facts),
                "notes": notes,
            }
        )
