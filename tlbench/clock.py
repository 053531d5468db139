"""The one clock of the house: device seconds, peak memory, energy. Nothing else may time.

A device runs behind the program: both ends of a measured stretch wait for it, else queued work is billed to someone else.
"""

from __future__ import annotations

import contextlib
import datetime
import time
from collections.abc import Iterator
from pathlib import Path

import torch


def utc() -> str:
    """Now, as ISO 8601 in UTC."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")


def seconds() -> float:
    """A clock that only runs forward, for progress and time left; not for results."""
    return time.monotonic()


class Clock:
    """Adds up the seconds of the stretches that run under it, apart by name.

    >>> clock = Clock(torch.device("cpu"))
    >>> with clock.measure("train"):
    ...     work()
    >>> clock.seconds["train"]
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.seconds: dict[str, float] = {}

    @contextlib.contextmanager
    def measure(self, name: str) -> Iterator[None]:
        """Bill everything that the device does inside to `name`."""
        start = self._now()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + self._now() - start

    def _now(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()


class Memory:
    """Peak memory in bytes since `__init__`: allocated on a GPU, resident in this process on Linux, else None."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._resettable = False
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        else:
            # "5" resets the high-water mark of resident memory, see proc_pid_clear_refs(5)
            with contextlib.suppress(OSError):
                Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
                self._resettable = True

    def peak(self) -> int | None:
        """The peak so far."""
        if self.device.type == "cuda":
            return int(torch.cuda.max_memory_allocated(self.device))
        if not self._resettable:
            return None
        for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
        return None


class Energy:
    """Joules that a GPU's own counter has seen since `__init__` (all processes on it); None where it can't be read."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._start = self._millijoules()

    def joules(self) -> float | None:
        """Joules so far."""
        now = self._millijoules()
        return None if now is None or self._start is None else (now - self._start) / 1000

    def _millijoules(self) -> int | None:
        if self.device.type != "cuda":
            return None
        try:
            import pynvml

            pynvml.nvmlInit()
            uuid = str(torch.cuda.get_device_properties(self.device).uuid)
            handle = pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{uuid.removeprefix('GPU-')}")
            return int(pynvml.nvmlDeviceGetTotalEnergyConsumption(handle))
        except Exception:  # no library, no driver, a card without the counter: energy is not measured, and so null
            return None
