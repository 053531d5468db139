"""Where a case runs and which code runs it."""

from __future__ import annotations

import contextlib
import functools
import os
import platform
import subprocess
from pathlib import Path

import torch

import tlbench
from tlbench.errors import TlbenchError
from tlbench.terms import Code, Machine


def device_of(name: str) -> torch.device:
    """`auto`, `cpu`, `cuda` or `cuda:N` -> a device that is there.

    Raises:
        TlbenchError: there is none of that name.
    """
    if name == "auto":
        return torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")
    if name == "cpu":
        return torch.device("cpu")
    if name == "cuda" or (name.startswith("cuda:") and name[5:].isdecimal()):
        if not torch.cuda.is_available():
            raise TlbenchError(f"--device {name}: torch {torch.__version__} sees no CUDA device here; use auto or cpu")
        index = int(name[5:] or 0) if ":" in name else 0
        if index >= torch.cuda.device_count():
            raise TlbenchError(f"--device {name}: there are {torch.cuda.device_count()} CUDA devices, numbered from 0")
        return torch.device("cuda", index)
    raise TlbenchError(f"--device {name}: say auto, cpu, cuda or cuda:N")


def current(device: torch.device) -> contextlib.AbstractContextManager[None]:
    """Inside, a GPU is the one that torch takes where none is named, as for a capture; nothing for other devices."""
    return torch.cuda.device(device) if device.type == "cuda" else contextlib.nullcontext()


@functools.cache
def machine(device: torch.device, precision: str = "fp32") -> Machine:
    """The facts of a machine that a throughput depends on."""
    is_cuda = device.type == "cuda"
    return Machine(
        device=torch.cuda.get_device_name(device) if is_cuda else "cpu",
        driver=_driver() if is_cuda else None,
        torch=torch.__version__,
        cuda=torch.version.cuda if is_cuda else None,
        precision=precision,
        cpu=_cpu(),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
    )


def _cpu() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _driver() -> str | None:
    try:
        return Path("/sys/module/nvidia/version").read_text(encoding="ascii").strip()
    except OSError:
        return None


@functools.cache
def code() -> Code:
    """The version of tlbench, and its commit where it runs from a checkout of its own."""
    root = Path(tlbench.__file__).parent.parent
    if not (root / ".git").exists():
        return Code(tlbench=tlbench.__version__)
    try:
        commit = _git(root, "rev-parse", "HEAD")
        # results are data, not code: a record just written does not make the next one's code dirty
        dirty = bool(_git(root, "status", "--porcelain", "--", "tlbench", "suites", "pyproject.toml"))
    except (OSError, subprocess.SubprocessError):
        return Code(tlbench=tlbench.__version__)
    return Code(tlbench=tlbench.__version__, commit=commit, dirty=dirty)


def _git(root: Path, *words: str) -> str:
    done = subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True, timeout=20, check=True)
    return done.stdout.strip()
