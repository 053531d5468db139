"""Cases on a Ray cluster: places are Ray actors, made where the cluster has room, remade where a node dies."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tlbench import clock
from tlbench.errors import TlbenchError
from tlbench.runner.pools.protocol import Ended, Lost, Message
from tlbench.runner.worker import Job, Worker, WorkerSetup
from tlbench.terms import Record

LOOK_SECONDS = 5.0
"""How often the cluster is asked whether it has grown."""
STILLBORN = 3
"""So many workers in a row that died before they were ready: no worker can start on this cluster."""
PATIENCE_SECONDS = 120.0
"""How long no worker at all may be ready before that is an error: a cluster too small, or one that installs too much."""


@dataclass
class _Place:
    actor: Any
    waits: Any
    """The reference that `wait` looks at: of the actor's start, or of the case that it runs."""
    ready: bool = False
    busy: bool = False


class RayPool:
    """A pool of actors, each with `cores` cores and `gpus` GPUs (a fraction shares one) of a Ray cluster.

    There are as many as the cluster has room for, and more as it grows. A worker says nothing about the steps of its case.
    Data come to each node from the data root at the path that the driver has, through the cache of that node: all actors of a
    node map the same files.

    Args:
        work: from `Plan.work`.
        address: of the cluster, `auto` for the one that this machine is part of, `local` for one of this machine alone.
        cores: of each case.
        gpus: of each case.
        most: not more places than this.

    Raises:
        TlbenchError: Ray is not installed, there is no cluster, or it has no room for one case.
    """

    def __init__(self, work: WorkerSetup, address: str, *, cores: float = 1, gpus: float = 0, most: int | None = None) -> None:
        self._ray = _ray()
        self._mine = _join(self._ray, address)
        self._needs = {"CPU": cores, "GPU": gpus}
        self._most = most
        self._device = "cuda:0" if gpus else "cpu"  # Ray shows an actor the GPUs that are its own, numbered from 0
        self._kind = self._ray.remote(num_cpus=cores, num_gpus=gpus, max_restarts=0)(_Actor)
        self._work = self._ray.put(work)  # one copy for each node
        self._stillborn = 0
        self._places: dict[int, _Place] = {}
        self._started = self._looked = clock.seconds()
        room = self._room()
        if not room:
            has = {name: amount for name, amount in self._ray.cluster_resources().items() if name in self._needs}
            self.close()
            raise TlbenchError(f"--ray {address}: a case needs {self._needs}, and the cluster has {has}; ask for less a case")
        self._grow(room)

    def size(self) -> int:
        """How many actors there are, those that wait for room too."""
        return len(self._places)

    def idle(self) -> Sequence[int]:
        """Actors that have started and have no case; the pool grows with the cluster."""
        if clock.seconds() - self._looked > LOOK_SECONDS:
            self._looked = clock.seconds()
            self._grow(self._room())
        return [number for number, place in self._places.items() if place.ready and not place.busy]

    def start(self, place: int, job: Job) -> None:
        """Send a job to an actor."""
        held = self._places[place]
        held.busy, held.waits = True, held.actor.run.remote(job)

    def wait(self, seconds: float, tell: Callable[[Message], None]) -> None:
        """Hear which cases ended and which actors started or died."""
        waits = {place.waits: number for number, place in self._places.items() if place.busy or not place.ready}
        if not waits:
            return
        ended, _ = self._ray.wait(list(waits), num_returns=1, timeout=seconds)
        for reference in ended:
            self._hear(waits[reference], reference, tell)
        if not ended and not any(p.ready for p in self._places.values()) and clock.seconds() - self._started > PATIENCE_SECONDS:
            raise TlbenchError(
                f"no worker was ready on the Ray cluster within {PATIENCE_SECONDS:g} s: see `ray status`; it may be full"
            )

    def stop(self, place: int) -> None:
        """Kill an actor and make another."""
        self._ray.kill(self._places[place].actor)
        self._places[place] = self._make()

    def close(self) -> None:
        """Kill all actors; leave the cluster."""
        for place in self._places.values():
            with contextlib.suppress(Exception):  # a node that is gone has no actor to kill
                self._ray.kill(place.actor)
        self._places.clear()
        if self._mine:
            self._ray.shutdown()

    def _hear(self, number: int, reference: Any, tell: Callable[[Message], None]) -> None:
        place = self._places[number]
        try:
            said = self._ray.get(reference)
        except self._ray.exceptions.RayError as error:
            self._died(number, error, tell)
            return
        if not place.busy:
            place.ready, self._stillborn = True, 0
            return
        place.busy = False
        tell(Ended(number, said) if isinstance(said, Record) else Lost(number, said, retryable=False))

    def _died(self, number: int, error: Exception, tell: Callable[[Message], None]) -> None:
        place = self._places[number]
        said = str(error).strip().splitlines() or [""]
        self._stillborn += not place.ready
        if self._stillborn >= STILLBORN:
            raise TlbenchError(f"no worker can start on the Ray cluster: {type(error).__name__}: {said[-1]}")
        with contextlib.suppress(Exception):
            self._ray.kill(place.actor)
        self._places[number] = self._make()
        if place.busy:
            tell(Lost(number, f"its Ray worker is gone ({type(error).__name__}: {said[0][:200]})"))

    def _room(self) -> int:
        """How many cases the cluster could hold at once, whatever else runs there; each node for itself."""
        alive = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        wanted = {name: amount for name, amount in self._needs.items() if amount}
        room = sum(min(int(has.get(name, 0) / amount + 1e-9) for name, amount in wanted.items()) for has in alive)
        return room if self._most is None else min(room, self._most)

    def _grow(self, room: int) -> None:
        for number in range(len(self._places), room):
            self._places[number] = self._make()

    def _make(self) -> _Place:
        actor = self._kind.remote(self._work, self._device)
        return _Place(actor, actor.ready.remote())


class _Actor:
    """The life of a worker on a node."""

    def __init__(self, work: WorkerSetup, device: str) -> None:
        self._worker = Worker(work, device)

    def ready(self) -> None:
        """Answers when the worker has started."""

    def run(self, job: Job) -> Record | str:
        """The record of a job, or why it can't be run here."""
        try:
            return self._worker.run(job)
        except TlbenchError as error:
            return str(error)


def _ray() -> Any:
    try:
        import ray
        import ray.exceptions
    except ImportError as error:
        raise TlbenchError("--ray needs the extra `ray`: pip install 'tlbench[ray]' here and on every node") from error
    return ray


def _join(ray: Any, address: str) -> bool:
    """Connect to a cluster; True where this process was not connected before, and so leaves it at the end."""
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
            f"--ray {address}: no cluster there ({error}); `ray start --head` starts one, `local` needs none"
        ) from error
    return True
