"""The setup of a worker, and the one way in which every worker runs a case: in this process, in another, on another machine."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch

from tlbench import clock, data, engine, methods, threads
from tlbench.engine.failure import failure_reason, traceback_text
from tlbench.engine.runtime.device import code, machine
from tlbench.engine.saved.saving import saves_models
from tlbench.engine.training import ddp
from tlbench.engine.training.checkpoint import Checkpointer, active_checkpointer
from tlbench.engine.training.loop import OnStep
from tlbench.errors import TlbenchError
from tlbench.plugins import file_hash
from tlbench.process_state import restored_state
from tlbench.runner.time_limit import time_limit
from tlbench.suite import Suite
from tlbench.terms import Case, Domain, Record


@dataclass(frozen=True)
class Limits:
    """Limits of one case: time, threads, checkpoints and attempts."""

    timeout_seconds: float | None = None
    """A case that takes longer gets a `failed` record; None: no limit."""
    threads: int | None = None
    """CPU threads of one case; None: torch's own number."""
    checkpoint_seconds: float | None = None
    """The interval between checkpoints of a deep case; None: no checkpoints."""
    attempts: int = 3
    """How often a case is tried whose worker dies."""


NO_LIMITS = Limits()


@dataclass(frozen=True)
class WorkerSetup:
    """All that a worker needs besides the jobs themselves. It is small, and is pickled to other processes."""

    suite: Suite
    root: Path
    """The data root, as a path on the worker's machine; domains are loaded from there through that machine's cache."""
    fingerprints: Mapping[str, str]
    """The fingerprint of each domain of the plan: a worker whose data differ refuses the case."""
    limits: Limits = NO_LIMITS
    plugins: tuple[Path, ...] = ()
    """Method files outside the package."""
    checkpoints: Path | None = None
    """The folder of checkpoints, where the worker can write to it."""
    concurrent_cases: int = 1
    """The number of cases that run at once on a device, for the records."""
    plugin_hashes: tuple[str, ...] = ()
    """The hash of each plugin file when the run was planned: a worker whose file differs refuses the case."""
    save_models: bool = False
    """Whether the fitted methods are saved beside the records."""

    def check_plugins(self) -> None:
        """Check that the plugin files of this process are those of the plan.

        Raises:
            TlbenchError: a file differs.
        """
        for file, sha256 in zip(self.plugins, self.plugin_hashes, strict=False):
            if (here := file_hash(file)) != sha256:
                raise TlbenchError(
                    f"plugin {file}: The file has the sha256 {here}, and had {sha256} when the run was planned. A plugin must "
                    "not change during a run, and must be the same on every machine: start the run again."
                )

    def fingerprints_of(self, case: Case) -> dict[str, str]:
        """The fingerprints of the domains of a case."""
        return {name: self.fingerprints[name] for name in (*case.sources, case.target)}


@dataclass(frozen=True)
class Job:
    """A case to run, as it is sent to a worker."""

    case: Case
    identity: str
    attempt: int = 1
    """Counts from 1."""
    siblings: tuple[Case, ...] = ()
    """Pending cases that differ from this one in their seed alone: their seeds may be vmapped with it."""


@dataclass
class Worker:
    """Runs jobs one after the other on one device. A domain is loaded once."""

    setup: WorkerSetup
    device: str
    """`cpu` or `cuda:N`."""
    domains: dict[str, Domain] = field(default_factory=dict)
    interruptible: bool = True
    """Whether Ctrl-C reaches this process; where it does not, a KeyboardInterrupt is the method's own."""
    _sibling_records: dict[tuple[str, str, int], Record] = field(default_factory=dict)
    """Records of vmapped seeds whose jobs have not been sent yet, by entry, pair and seed."""

    def __post_init__(self) -> None:
        for file in self.setup.plugins:
            methods.register_file(file)
        if self.setup.limits.threads is not None:
            threads.limit_threads(self.setup.limits.threads)

    def run(self, job: Job, on_step: OnStep | None = None, on_begin: Callable[[], None] = lambda: None) -> Record:
        """Run a job and return its record; a case that fails returns a record that says why.

        Args:
            job: the case to run.
            on_step: called from time to time with the steps done and the steps in all.
            on_begin: called once the method is imported and the data are loaded: from then on the time limit counts.

        Raises:
            TlbenchError: the data of the case can't be loaded here, or differ from those of the plan, or its method can't be
                imported.
        """
        case = job.case
        if (record := self._sibling_records.pop((case.entry, case.pair, case.seed), None)) is not None:
            return record
        self.prepare(case)
        device, process = engine.device_of(self.device), os.getpid()
        checkpointer = self.checkpointer(job, device)
        token, saving = active_checkpointer.set(checkpointer), saves_models.set(self.setup.save_models)
        on_begin()
        start = clock.seconds()
        try:
            if methods.is_third_party(case.method):
                with restored_state() as changed:
                    record = self._run_limited(job, device, checkpointer, on_step)
            else:
                changed = []
                record = self._run_limited(job, device, checkpointer, on_step)
        finally:
            active_checkpointer.reset(token)
            saves_models.reset(saving)
            if os.getpid() != process:  # the method has forked, and its child came out of the case as well
                os._exit(0)
        if changed:
            note = f"{case.method} changed {', '.join(changed)}, which was undone after the case"
            record = record.model_copy(update={"notes": (*record.notes, note)})
        return record if record.cost.wall_seconds is not None else self._with_run_facts(record, clock.seconds() - start)

    def prepare(self, case: Case) -> None:
        """Load the data of a case, import its method, and do what the first case of a process waits for.

        The time limit of the case counts none of it.

        Raises:
            TlbenchError: as `run` does.
        """
        self.setup.check_plugins()
        self._load((*case.sources, case.target))
        methods.method_class(case.method)
        engine.warm_up(case, self.setup.suite, engine.device_of(self.device))

    def _run_limited(self, job: Job, device: torch.device, checkpointer: Checkpointer | None, on_step: OnStep | None) -> Record:
        """Run the case of a job within the time limit; whatever it raises becomes a `failed` record."""
        case, suite = job.case, self.setup.suite
        try:
            with time_limit(self.setup.limits.timeout_seconds):
                cases = [case, *job.siblings]
                if job.siblings and engine.vmap_pays(cases, suite, self.domains, device):
                    return self._run_vmapped(cases, device, on_step)
                record = engine.run_case(case, suite, self.domains, device, on_step)
                if checkpointer is not None and checkpointer.refused:  # it was of another program: start from the first step
                    record = engine.run_case(case, suite, self.domains, device, on_step)
                return record
        except BaseException as error:  # such as the alarm of the time limit, outside the method's own code
            if isinstance(error, KeyboardInterrupt) and self.interruptible:
                raise
            reason = failure_reason(error, methods.method_class(case.method))
            record = engine.failed_record(case, suite, self.setup.fingerprints_of(case), device, reason)
            return record.attach_traceback(traceback_text(error))

    def _run_vmapped(self, cases: Sequence[Case], device: torch.device, on_step: OnStep | None) -> Record:
        """Run cases that differ in their seed alone in one program; return the first record and store the others."""
        start = clock.seconds()
        records = engine.run_seeds(cases, self.setup.suite, self.domains, device, on_step)
        seconds_per_case = (clock.seconds() - start) / len(cases)
        first, *others = (self._with_run_facts(record, seconds_per_case) for record in records)
        self._sibling_records |= {(record.entry, record.pair, record.seed): record for record in others}
        return first

    def _with_run_facts(self, record: Record, wall_seconds: float) -> Record:
        """Add what is only known outside the case: wall seconds, threads, concurrent cases and devices."""
        cost = record.cost.model_copy(update={"wall_seconds": wall_seconds})
        share = ddp.current_share()
        facts = {
            "threads": torch.get_num_threads(),
            "concurrent_cases": self.setup.concurrent_cases,
            "devices": None if share is None else share.world,
        }
        return record.model_copy(update={"cost": cost, "machine": record.machine.model_copy(update=facts)})

    def checkpointer(self, job: Job, device: torch.device) -> Checkpointer | None:
        """The checkpointer of a job. A checkpoint is resumed only on the same machine and by the same code."""
        interval = self.setup.limits.checkpoint_seconds
        if interval is None or self.setup.checkpoints is None:
            return None
        origin = {
            **machine(device).model_dump(exclude={"driver", "cores"}),
            **code().model_dump(),
            "threads": torch.get_num_threads(),
        }
        return Checkpointer(self.setup.checkpoints / f"{job.identity}.pt", interval, origin)

    def _load(self, names: Iterable[str]) -> None:
        for name in names:
            if name in self.domains:
                continue
            domain = data.load(self.setup.suite.domains[name], self.setup.root, data.cache.cache_folder())
            if domain.fingerprint != self.setup.fingerprints[name]:
                raise TlbenchError(
                    f"domains.{name}: The data below {self.setup.root} on this machine are not those of the run: their "
                    f"fingerprint is {domain.fingerprint}, not {self.setup.fingerprints[name]}. "
                    "Give every machine the same files."
                )
            self.domains[name] = domain
