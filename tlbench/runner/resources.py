"""The resources that a user asks for, and the pool that provides them."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from tlbench import methods
from tlbench.engine.runtime.device import machine
from tlbench.errors import TlbenchError
from tlbench.runner.checkpoint_files import checkpoint_folder
from tlbench.runner.local import local_pool
from tlbench.runner.plan import RunPlan
from tlbench.runner.pools.adaptive_pool import AdaptivePool, peak_memory_bytes
from tlbench.runner.pools.ddp_pool import DdpPool
from tlbench.runner.pools.isolated_pool import IsolatedPool
from tlbench.runner.pools.process_pool import ProcessPool
from tlbench.runner.pools.protocol import Pool
from tlbench.runner.pools.ray_pool import RayPool
from tlbench.runner.worker import Limits

AUTO_WORKERS = 0
"""`--workers auto`: one worker for each core; on GPUs as many as fit in memory and make the GPU faster."""


@dataclass(frozen=True)
class Resources:
    """The resources of a run. At most one of `workers`, `devices` and `ray` differs from its default."""

    workers: int = 1
    """The number of cases that run at once on this machine, or AUTO_WORKERS."""
    devices: int = 1
    """The number of devices of this machine on which each case runs."""
    ray: str | None = None
    """The address of a Ray cluster, `auto` or `local`."""
    gpus_per_case: float = 0.0
    """GPUs of each case on a Ray cluster; a fraction shares a GPU."""
    every_gpu: bool = False
    """Whether workers are spread over all GPUs."""
    isolated: bool = False
    """Whether each case runs in a process of its own that holds no label of a scored sample."""

    def errors(self) -> list[str]:
        """The combinations that are not possible, as sentences."""
        requests = {"--workers": self.workers != 1, "--devices": self.devices > 1, "--ray": bool(self.ray)}
        options = [option for option, requested in requests.items() if requested]
        errors = [f"{' and '.join(options)} can't be combined. Give one of them."] if len(options) > 1 else []
        if self.isolated and (elsewhere := [option for option in options if option != "--workers"]):
            errors.append(
                f"--isolated can't be combined with {' or '.join(elsewhere)}: its cases run in processes of this machine, each "
                "on one device. Leave one of them out."
            )
        if self.gpus_per_case and not self.ray:
            errors.append("--gpus-per-case works only with --ray ADDRESS. On one machine, use --device cuda --workers N.")
        return errors


def share_cores(limits: Limits, resources: Resources) -> Limits:
    """Set the threads of a case where several processes run at once: each has `cores // processes` threads.

    On a Ray cluster a case has one thread. An explicit number of threads is kept. Sums of floats can differ in their last bits
    between numbers of threads; with the same number, results are the same bits in every pool.
    """
    processes = max(resources.workers or _core_count(), resources.devices)
    if resources.ray and limits.threads is None:
        return replace(limits, threads=1)
    if processes == 1 or limits.threads is not None:
        return limits
    return replace(limits, threads=max(_core_count() // processes, 1))


def make_pool(
    plan: RunPlan, device: torch.device, limits: Limits, resources: Resources, *, results: Path | None = None
) -> Pool:
    """Create the pool for a plan: this process, worker processes, one process for each device of a case, or Ray actors.

    Args:
        plan: the plan to run.
        device: the device of the cases.
        limits: the limits of a case, from `share_cores`.
        resources: the resources that were asked for.
        results: the results directory, below which checkpoints lie; None: no checkpoints are written.

    Raises:
        TlbenchError: there are not as many devices, or there is no such cluster.
    """
    if plan.pending and resources.ray:
        cases_per_gpu = max(int(1 / resources.gpus_per_case), 1) if resources.gpus_per_case else 1
        setup = plan.worker_setup(limits, cases_per_gpu)
        return RayPool(setup, resources.ray, cores=limits.threads or 1, gpus=resources.gpus_per_case)
    if plan.pending and resources.devices > 1:
        return DdpPool(plan.worker_setup(limits), _devices_of_a_case(device, resources.devices))
    if not plan.pending or (resources.workers == 1 and not resources.isolated and not _needs_process(plan)):
        return local_pool(plan, device, limits, results)
    checkpoints = None if results is None else checkpoint_folder(results, plan.suite.name)
    workers = min(resources.workers or _core_count(), len(plan.pending))
    devices = [str(device)]
    if resources.every_gpu and device.type == "cuda":
        devices = [f"cuda:{number}" for number in range(torch.cuda.device_count())]

    def process_pool(slots: Sequence[str]) -> Pool:
        setup = plan.worker_setup(limits, max(Counter(slots).values()), checkpoints)
        return IsolatedPool(setup, slots, plan.domains) if resources.isolated else ProcessPool(setup, slots)

    if resources.workers == AUTO_WORKERS and device.type == "cuda":
        entries = {case.entry for case in plan.pending}
        model = machine(device).device
        measured = [
            record
            for record in plan.earlier_records
            if record.machine.device == model and record.entry in entries and peak_memory_bytes(record)
        ]
        return AdaptivePool(devices, workers, process_pool, entries, measured)
    return process_pool([devices[number % len(devices)] for number in range(workers)])


def _needs_process(plan: RunPlan) -> bool:
    """Whether a plan has third-party methods: they may end their process. A registered class exists in this process alone."""
    names = {case.method for case in plan.pending}
    return any(map(methods.is_third_party, names)) and not any(map(methods.is_registered_class, names))


def _core_count() -> int:
    """The number of CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _devices_of_a_case(device: torch.device, count: int) -> list[str]:
    """The devices of the processes of one case; on a CPU all processes share it."""
    if device.type != "cuda":
        return [str(device)] * count
    if count > torch.cuda.device_count():
        raise TlbenchError(
            f"--devices {count}: This machine has {torch.cuda.device_count()} CUDA devices. Ask for no more than that."
        )
    return [f"cuda:{number}" for number in range(count)]
