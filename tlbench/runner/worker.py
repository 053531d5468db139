"""What a place needs to run cases, and the one way in which every place runs them: here, in a process, on another machine."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch

from tlbench import clock, data, engine, methods, threads
from tlbench.engine.runtime.device import code, machine
from tlbench.engine.training import ddp
from tlbench.engine.training.checkpoint import Checkpointer, active_checkpointer
from tlbench.engine.training.loop import OnStep
from tlbench.errors import CaseTimeoutError, TlbenchError
from tlbench.runner.time_limit import time_limit
from tlbench.suite import Suite
from tlbench.terms import Case, Domain, Record


@dataclass(frozen=True)
class Limits:
    """What a case may take."""

    timeout_seconds: float | None = None
    """Longer than this, and the case is a `failed` record."""
    threads: int | None = None
    """Threads of one case; None leaves torch's own number."""
    checkpoint_seconds: float | None = None
    """How often a trained case keeps its state; None: never."""
    attempts: int = 3
    """How often a case is tried whose worker dies."""


NO_LIMITS = Limits()


@dataclass(frozen=True)
class WorkerSetup:
    """All that a place needs beside the cases themselves. It is small, and goes to other processes by pickle."""

    suite: Suite
    root: Path
    """The data root, as it is called at the place; domains come from there through the cache of that machine."""
    fingerprints: Mapping[str, str]
    """Of each domain of the plan: a place where a domain holds other data refuses the case."""
    limits: Limits = NO_LIMITS
    plugins: tuple[Path, ...] = ()
    checkpoints: Path | None = None
    """The folder of checkpoints, where the place can write to it."""
    concurrent_cases: int = 1
    """How many cases run at once on a device, for the records."""

    def pair(self, case: Case) -> dict[str, str]:
        """The fingerprints of a case's own domains."""
        return {name: self.fingerprints[name] for name in (*case.sources, case.target)}


@dataclass(frozen=True)
class Job:
    """A case on its way to a place."""

    case: Case
    identity: str
    attempt: int = 1
    siblings: tuple[Case, ...] = ()
    """Waiting cases that differ from this one in their seed alone: they may be trained along with it."""


@dataclass
class Worker:
    """Runs jobs, one after the other, on one device. A domain is mapped once, and kept."""

    work: WorkerSetup
    device: str
    """`cpu` or `cuda:N`."""
    domains: dict[str, Domain] = field(default_factory=dict)
    _ahead: dict[tuple[str, str, int], Record] = field(default_factory=dict)
    """Records of cases that were trained along with another, and have not been asked for yet."""

    def __post_init__(self) -> None:
        for file in self.work.plugins:
            methods.register_file(file)
        if self.work.limits.threads is not None:
            threads.limit_threads(self.work.limits.threads)

    def run(self, job: Job, on_step: OnStep | None = None) -> Record:
        """The record of a job; whatever goes wrong within the case stands in it.

        Raises:
            TlbenchError: the data of the case can't be loaded here, or are other data than the driver's.
        """
        case, suite = job.case, self.work.suite
        if (known := self._ahead.pop((case.entry, case.pair, case.seed), None)) is not None:
            return known
        self._load((*case.sources, case.target))
        device = engine.device_of(self.device)
        start = clock.seconds()
        keeper = self._keeper(job, device)
        token = active_checkpointer.set(keeper)
        try:
            with time_limit(self.work.limits.timeout_seconds):
                group = [case, *job.siblings]
                if job.siblings and engine.vmap_pays(group, suite, self.domains, device):
                    return self._together(group, device, on_step)
                record = engine.run_case(case, suite, self.domains, device, on_step)
                if keeper is not None and keeper.refused:  # from the start: the checkpoint was of something else
                    record = engine.run_case(case, suite, self.domains, device, on_step)
        except CaseTimeoutError as error:  # it rang outside the method
            record = engine.failed_record(case, suite, self.work.pair(case), device, str(error))
        finally:
            active_checkpointer.reset(token)
        return self._placed(record, clock.seconds() - start)

    def _together(self, cases: Sequence[Case], device: torch.device, on_step: OnStep | None) -> Record:
        """The record of the first of some cases that are trained in one program; the others' are kept until asked for."""
        start = clock.seconds()
        made = engine.run_seeds(cases, self.work.suite, self.domains, device, on_step)
        share = (clock.seconds() - start) / len(cases)
        first, *others = (self._placed(record, share) for record in made)
        self._ahead |= {(record.entry, record.pair, record.seed): record for record in others}
        return first

    def _placed(self, record: Record, wall_seconds: float) -> Record:
        """A record with what is known outside the case."""
        cost = record.cost.model_copy(update={"wall_seconds": wall_seconds})
        share = ddp.current_share()
        devices = None if share is None else share.world
        where = {"threads": torch.get_num_threads(), "concurrent_cases": self.work.concurrent_cases, "devices": devices}
        return record.model_copy(update={"cost": cost, "machine": record.machine.model_copy(update=where)})

    def _keeper(self, job: Job, device: torch.device) -> Checkpointer | None:
        """What keeps the checkpoints of a job. One is gone on with on the same machine, by the same code, and not else."""
        every = self.work.limits.checkpoint_seconds
        if every is None or self.work.checkpoints is None:
            return None
        made_by = {
            **machine(device).model_dump(exclude={"driver", "cores"}),
            **code().model_dump(),
            "threads": torch.get_num_threads(),
        }
        return Checkpointer(self.work.checkpoints / f"{job.identity}.pt", every, made_by)

    def _load(self, names: Iterable[str]) -> None:
        for name in names:
            if name in self.domains:
                continue
            domain = data.load(self.work.suite.domains[name], self.work.root, data.cache.cache_folder())
            if domain.fingerprint != self.work.fingerprints[name]:
                raise TlbenchError(
                    f"domains.{name}: the data below {self.work.root} here are not those of the run "
                    f"(fingerprint {domain.fingerprint}, not {self.work.fingerprints[name]}); give every machine the same files"
                )
            self.domains[name] = domain
