"""A pool of Ray actors: as many as the cluster has resources for, restarted elsewhere when a node dies."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tlbench import clock
from tlbench.errors import TlbenchError
from tlbench.runner.pools.protocol import Begun, Ended, Lost, OnMessage
from tlbench.runner.worker import Job, Worker, WorkerSetup
from tlbench.terms import Record

CAPACITY_POLL_SECONDS = 5.0
"""The interval at which the pool looks whether the cluster has grown."""
MAX_FAILED_STARTS = 3
"""After this many workers in succession that died before they were ready, the run ends with an error."""
READY_TIMEOUT_SECONDS = 120.0
"""How long the pool waits for its first worker: the cluster may be full, or may install the runtime environment first."""


@dataclass
class _Slot:
    actor: Any
    reference: Any
    """The Ray object reference to wait for: of the actor's start, or of the job that it runs."""
    run_reference: Any = None
    """The reference of the job itself, while its method is imported and its data are loaded."""
    ready: bool = False
    busy: bool = False


class RayPool:
    """A pool of actors of a Ray cluster, each with `cores` CPU cores and `gpus` GPUs (a fraction shares a GPU).

    There are as many actors as the cluster has resources for, and more as it grows. They send no messages about training
    steps. Each node loads the data from the data root at the path that this process uses, through its own cache: all actors
    of a node map the same files.

    Args:
        setup: from `RunPlan.worker_setup`.
        address: the address of the cluster; `auto`: the one that this machine belongs to; `local`: a new one on this machine.
        cores: CPU cores of each case.
        gpus: GPUs of each case.
        max_workers: the largest number of actors; None: no limit.

    Raises:
        TlbenchError: Ray is not installed, there is no cluster, or no node has the resources of one case.
    """

    def __init__(
        self, setup: WorkerSetup, address: str, *, cores: float = 1, gpus: float = 0, max_workers: int | None = None
    ) -> None:
        self._ray = _import_ray()
        self._owns_connection = _connect(self._ray, address)
        self._resources = {"CPU": cores, "GPU": gpus}
        self._max_workers = max_workers
        self._device = "cuda:0" if gpus else "cpu"  # Ray shows an actor the GPUs that are its own, numbered from 0
        self._actor_class = self._ray.remote(num_cpus=cores, num_gpus=gpus, max_restarts=0)(_Actor)
        self._setup = self._ray.put(setup)  # one copy for each node
        self._failed_starts = 0
        self._slots: dict[int, _Slot] = {}
        self._start = self._last_poll = clock.seconds()
        capacity = self._capacity()
        if not capacity:
            total = {name: amount for name, amount in self._ray.cluster_resources().items() if name in self._resources}
            self.close()
            raise TlbenchError(
                f"--ray {address}: A case needs {self._resources} on one node, and the cluster has {total} in all. "
                "Ask for less per case."
            )
        self._grow(capacity)

    def size(self) -> int:
        """The number of actors, including those that wait for resources."""
        return len(self._slots)

    def idle(self) -> Sequence[int]:
        """The actors that have started and have no job; the pool grows with the cluster."""
        if clock.seconds() - self._last_poll > CAPACITY_POLL_SECONDS:
            self._last_poll = clock.seconds()
            self._grow(self._capacity())
        return [number for number, slot in self._slots.items() if slot.ready and not slot.busy]

    def start(self, slot: int, job: Job) -> None:
        """Send a job to an actor."""
        receiver = self._slots[slot]
        receiver.busy, receiver.reference = True, receiver.actor.prepare.remote(job)
        receiver.run_reference = receiver.actor.run.remote(job)

    def wait(self, seconds: float, on_message: OnMessage) -> None:
        """Wait until a job ends, or an actor starts or dies.

        Raises:
            TlbenchError: no worker can start, or none was ready in time.
        """
        number_of = {slot.reference: number for number, slot in self._slots.items() if slot.busy or not slot.ready}
        if not number_of:
            return
        available, _ = self._ray.wait(list(number_of), num_returns=1, timeout=seconds)
        for reference in available:
            self._receive(number_of[reference], reference, on_message)
        any_ready = any(slot.ready for slot in self._slots.values())
        if not available and not any_ready and clock.seconds() - self._start > READY_TIMEOUT_SECONDS:
            raise TlbenchError(
                f"No worker was ready on the Ray cluster within {READY_TIMEOUT_SECONDS:g} s. The cluster may be full: "
                "see `ray status`."
            )

    def stop(self, slot: int) -> None:
        """Kill an actor and create another in its slot."""
        self._ray.kill(self._slots[slot].actor)
        self._slots[slot] = self._create_slot()

    def close(self) -> None:
        """Kill all actors, and disconnect from the cluster."""
        for slot in self._slots.values():
            with contextlib.suppress(Exception):  # a dead node has no actor to kill
                self._ray.kill(slot.actor)
        self._slots.clear()
        if self._owns_connection:
            self._ray.shutdown()

    def _receive(self, number: int, reference: Any, on_message: OnMessage) -> None:
        slot = self._slots[number]
        try:
            outcome = self._ray.get(reference)
        except self._ray.exceptions.RayError as error:
            self._replace_dead(number, error, on_message)
            return
        if not slot.busy:
            slot.ready, self._failed_starts = True, 0
            return
        if slot.run_reference is not None:
            slot.reference, slot.run_reference = slot.run_reference, None
            on_message(Begun(number))
            return
        slot.busy = False
        on_message(Ended(number, outcome) if isinstance(outcome, Record) else Lost(number, outcome, retryable=False))

    def _replace_dead(self, number: int, error: Exception, on_message: OnMessage) -> None:
        slot = self._slots[number]
        lines = str(error).strip().splitlines() or [""]
        self._failed_starts += not slot.ready
        if self._failed_starts >= MAX_FAILED_STARTS:
            raise TlbenchError(f"No worker can start on the Ray cluster: {type(error).__name__}: {lines[-1]}")
        with contextlib.suppress(Exception):
            self._ray.kill(slot.actor)
        self._slots[number] = self._create_slot()
        if slot.busy:
            on_message(Lost(number, f"The Ray worker of the case died: {type(error).__name__}: {lines[0][:200]}"))

    def _capacity(self) -> int:
        """The number of cases that all nodes together can run at once, other programs of the cluster ignored."""
        nodes = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        needed = {name: amount for name, amount in self._resources.items() if amount}
        capacity = sum(min(int(node.get(name, 0) / amount + 1e-9) for name, amount in needed.items()) for node in nodes)
        return capacity if self._max_workers is None else min(capacity, self._max_workers)

    def _grow(self, capacity: int) -> None:
        for number in range(len(self._slots), capacity):
            self._slots[number] = self._create_slot()

    def _create_slot(self) -> _Slot:
        actor = self._actor_class.remote(self._setup, self._device)
        return _Slot(actor, actor.ready.remote())


class _Actor:
    """A worker on a node of the cluster."""

    def __init__(self, setup: WorkerSetup, device: str) -> None:
        self._worker = Worker(setup, device, interruptible=False)

    def ready(self) -> None:
        """Return once the worker has started."""

    def prepare(self, job: Job) -> None:
        """Import the method of a job and load its data; `run` says what is wrong with them."""
        with contextlib.suppress(TlbenchError):
            self._worker.prepare(job.case)

    def run(self, job: Job) -> Record | str:
        """Run a job; the record, or the reason why the job can't run on this node."""
        try:
            return self._worker.run(job)
        except TlbenchError as error:
            return str(error)


def _import_ray() -> Any:
    try:
        import ray
        import ray.exceptions
    except ImportError as error:
        raise TlbenchError("--ray needs the extra `ray`: pip install 'tlbench[ray]' here and on every node.") from error
    return ray


def _connect(ray: Any, address: str) -> bool:
    """Connect to a cluster; False where this process was connected before, and so stays connected in the end."""
    if ray.is_initialized():
        return False
    try:
        ray.init(
            address=None if address == "local" else address,
            logging_level=logging.ERROR,
            log_to_driver=False,
            include_dashboard=False if address == "local" else None,
        )
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise TlbenchError(
            f"--ray {address}: There is no Ray cluster at that address ({error}). "
            "`ray start --head` starts one; `--ray local` needs none."
        ) from error
    return True
