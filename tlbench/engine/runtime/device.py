"""The device, the machine and the code of a case."""

from __future__ import annotations

import contextlib
import functools
import os
import platform
import subprocess
from pathlib import Path

import torch

import tlbench
from tlbench.engine.runtime.identity import ENGINE_VERSION
from tlbench.errors import TlbenchError, unknown_name
from tlbench.terms import Code, Machine


def device_of(name: str) -> torch.device:
    """The device named `auto`, `cpu`, `cuda` or `cuda:N`; `auto` is the first CUDA device, or the CPU where there is none.

    Raises:
        TlbenchError: the device does not exist here, or the name is none of these.
    """
    if name == "auto":
        return torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")
    if name == "cpu":
        return torch.device("cpu")
    if name == "cuda" or (name.startswith("cuda:") and name[5:].isdecimal()):
        if not torch.cuda.is_available():
            raise TlbenchError(f"--device {name}: torch {torch.__version__} sees no CUDA device here. Use auto or cpu.")
        index = int(name[5:] or 0) if ":" in name else 0
        if index >= torch.cuda.device_count():
            raise TlbenchError(f"--device {name}: There are {torch.cuda.device_count()} CUDA devices, numbered from 0.")
        return torch.device("cuda", index)
    raise TlbenchError(unknown_name("device", name, ("auto", "cpu", "cuda", "cuda:N"), "--device"))


def device_context(device: torch.device) -> contextlib.AbstractContextManager[None]:
    """Make a GPU the current CUDA device inside the block, which captures use; other devices change nothing."""
    return torch.cuda.device(device) if device.type == "cuda" else contextlib.nullcontext()


@functools.cache
def machine(device: torch.device, precision: str = "fp32") -> Machine:
    """The facts of this machine on which a throughput depends."""
    is_cuda = device.type == "cuda"
    return Machine(
        device=torch.cuda.get_device_name(device) if is_cuda else "cpu",
        driver=_driver_version() if is_cuda else None,
        torch=torch.__version__,
        cuda=torch.version.cuda if is_cuda else None,
        precision=precision,
        cpu=_cpu_name(),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
    )


def _cpu_name() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _driver_version() -> str | None:
    try:
        return Path("/sys/module/nvidia/version").read_text(encoding="ascii").strip()
    except OSError:
        return None


@functools.cache
def code() -> Code:
    """The versions of tlbench and of its engine, and the commit where it runs from a git checkout."""
    root = Path(tlbench.__file__).parent.parent
    if not (root / ".git").exists():
        return Code(tlbench=tlbench.__version__, engine=ENGINE_VERSION)
    try:
        commit = _git(root, "rev-parse", "HEAD")
        # results are data, not code: a record that was just written does not make the code of the next one dirty
        dirty = bool(_git(root, "status", "--porcelain", "--", "tlbench", "suites", "pyproject.toml"))
    except (OSError, subprocess.SubprocessError):
        return Code(tlbench=tlbench.__version__, engine=ENGINE_VERSION)
    return Code(tlbench=tlbench.__version__, engine=ENGINE_VERSION, commit=commit, dirty=dirty)


def _git(root: Path, *arguments: str) -> str:
    command = ["git", "-C", str(root), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout.strip()
