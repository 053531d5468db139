"""From what a user asks for to a pool."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from tlbench.engine.runtime.device import machine
from tlbench.errors import TlbenchError
from tlbench.runner import RunPlan
from tlbench.runner.pools.adaptive_pool import AdaptivePool, peak_bytes
from tlbench.runner.checkpoint_files import checkpoint_folder
from tlbench.runner.pools.ddp_pool import DdpPool
from tlbench.runner.local import local_pool
from tlbench.runner.pools.protocol import Pool
from tlbench.runner.pools.process_pool import ProcessPool
from tlbench.runner.pools.ray_pool import RayPool
from tlbench.runner.worker import Limits

AUTO_WORKERS = 0
"""A number of workers: one a core, and on GPUs no more than their memory holds and than make them faster."""


@dataclass(frozen=True)
class Resources:
    """Where cases are to run."""

    workers: int = 1
    """How many cases at once on this machine, or AS_MANY_AS_FIT."""
    devices: int = 1
    """On how many devices of this machine each case runs."""
    ray: str | None = None
    """The address of a Ray cluster, `auto` or `local`."""
    gpus_per_case: float = 0.0
    """On a Ray cluster; a fraction shares a GPU."""
    every_gpu: bool = False
    """Spread workers over all GPUs, and not over one alone."""

    def errors(self) -> list[str]:
        """What can't be asked for at once."""
        several = [
            name for name, on in (("--workers", self.workers != 1), ("--devices", self.devices > 1), ("--ray", self.ray)) if on
        ]
        wrong = [f"{' and '.join(several)} can't be combined: give one of them"] if len(several) > 1 else []
        if self.gpus_per_case and not self.ray:
            wrong.append("--gpus-per-case is for --ray ADDRESS; on one machine say --device cuda --workers N")
        return wrong


def share_cores(limits: Limits, resources: Resources) -> Limits:
    """The limits with the cores shared out: where several processes run at once, each has `cores // processes` threads.

    On a Ray cluster a case has one. A stated number of threads stands. Sums of floats can differ in their last bits between
    numbers of threads: the same number gives the same bits, wherever a case runs.
    """
    processes = max(resources.workers or _cores(), resources.devices)
    if resources.ray and limits.threads is None:
        return replace(limits, threads=1)
    if processes == 1 or limits.threads is not None:
        return limits
    return replace(limits, threads=max(_cores() // processes, 1))


def make_pool(plan: RunPlan, device: torch.device, limits: Limits, resources: Resources, *, results: Path | None = None) -> Pool:
    """Where a plan's cases run: here, in processes that share the device, in several for each case, or on a Ray cluster.

    Args:
        plan: what is to be run.
        device: where; its GPU takes several workers as long as their cases fit in its memory.
        limits: from `share`.
        places: what was asked for.
        results: the results directory, below which checkpoints lie; None: none are kept.

    Raises:
        TlbenchError: there are not so many devices, or no such cluster.
    """
    if plan.pending and resources.ray:
        shared = max(int(1 / resources.gpus_per_case), 1) if resources.gpus_per_case else 1
        return RayPool(plan.worker_setup(limits, shared), resources.ray, cores=limits.threads or 1, gpus=resources.gpus_per_case)
    if plan.pending and resources.devices > 1:
        return DdpPool(plan.worker_setup(limits), _several(device, resources.devices))
    if resources.workers == 1 or not plan.pending:
        return local_pool(plan, device, limits, results)
    folder = None if results is None else checkpoint_folder(results, plan.suite.name)
    workers = min(resources.workers or _cores(), len(plan.pending))
    devices = [str(device)]
    if resources.every_gpu and device.type == "cuda":
        devices = [f"cuda:{number}" for number in range(torch.cuda.device_count())]

    def processes(several: Sequence[str]) -> Pool:
        return ProcessPool(plan.worker_setup(limits, max(Counter(several).values()), folder), several)

    if resources.workers == AUTO_WORKERS and device.type == "cuda":
        rows = {case.entry for case in plan.pending}
        like = machine(device).device
        known = [
            record for record in plan.earlier_records if record.machine.device == like and record.entry in rows and peak_bytes(record)
        ]
        return AdaptivePool(devices, workers, processes, rows, known)
    return processes([devices[number % len(devices)] for number in range(workers)])


def _cores() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _several(device: torch.device, count: int) -> list[str]:
    """The devices of one case; on a CPU they are processes."""
    if device.type != "cuda":
        return [str(device)] * count
    if count > torch.cuda.device_count():
        raise TlbenchError(f"--devices {count}: there are {torch.cuda.device_count()} CUDA devices here")
    return [f"cuda:{number}" for number in range(count)]
