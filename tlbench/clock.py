"""The one clock of the house: device seconds, step times, peak memory, energy. Nothing else may time.

A device runs behind the program: both ends of a measured stretch wait for it, else queued work is billed to someone else.
Inside a stretch nothing waits: steps are told apart by marks that pass through the device's own queue.
"""

from __future__ import annotations

import contextlib
import datetime
import statistics
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import torch

STEADY = 1.25
"""A step up to this many times the usual one is steady, see `warm_up`."""
IN_A_ROW = 5
"""Steady steps that end the warm-up."""
SAMPLED = 8
"""Every so many-th step is taken apart: on a GPU a mark costs the program about as much as the start of a kernel."""


def utc() -> str:
    """Now, as ISO 8601 in UTC."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")


def seconds() -> float:
    """A clock that only runs forward, for progress and time left; not for results."""
    return time.monotonic()


class Queue(Protocol):
    """Where work waits for a device: marks pass through it in order with the work."""

    sampled: int
    """Of how many steps one is taken apart."""

    def wait(self) -> None:
        """Return when the device has done all that was asked of it."""

    def mark(self) -> Any:
        """A mark behind all work asked for so far; nothing waits."""

    def between(self, first: Any, then: Any) -> float:
        """Device seconds between two marks that have both been passed."""


class Host:
    """The queue of a CPU: there is none, work is done when the call returns."""

    sampled = SAMPLED

    def wait(self) -> None:
        """Nothing is left to wait for."""

    def mark(self) -> float:
        """The time."""
        return time.perf_counter()

    def between(self, first: float, then: float) -> float:
        """Their difference."""
        return then - first


class Cuda:
    """The queue of a CUDA device: the current stream, its marks are events with a time."""

    sampled = SAMPLED

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def wait(self) -> None:
        """Wait for every stream of the device."""
        torch.cuda.synchronize(self.device)

    def mark(self) -> torch.cuda.Event:
        """An event in the current stream."""
        event = torch.cuda.Event(enable_timing=True)
        event.record(torch.cuda.current_stream(self.device))
        return event

    def between(self, first: torch.cuda.Event, then: torch.cuda.Event) -> float:
        """Seconds, from the device's milliseconds (resolution about half a microsecond)."""
        return float(first.elapsed_time(then)) / 1000


class Clock:
    """Adds up the seconds of the stretches that run under it, apart by name.

    >>> clock = Clock(torch.device("cpu"))
    >>> with clock.measure("train"):
    ...     work()
    >>> clock.seconds["train"]
    """

    def __init__(self, device: torch.device, queue: Queue | None = None) -> None:
        self.device = device
        self.queue = queue or (Cuda(device) if device.type == "cuda" else Host())
        self.seconds: dict[str, float] = {}

    @contextlib.contextmanager
    def measure(self, name: str) -> Iterator[None]:
        """Bill everything that the device does inside to `name`."""
        start = self._now()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + self._now() - start

    def steps(self) -> Steps:
        """For the steps of one phase."""
        return Steps(self.queue)

    def _now(self) -> float:
        self.queue.wait()
        return time.perf_counter()


class Steps:
    """The seconds of every step of a phase, and of the parts of some: read from marks, so that no step waits.

    >>> steps = clock.steps()
    >>> with clock.measure("train"):
    ...     steps.start()
    ...     for batch in batches:
    ...         steps.part("data")
    ...         work(batch)
    ...         steps.part("work")
    ...         steps.end()
    >>> steps.read()
    >>> steps.seconds, steps.parts["data"]
    """

    def __init__(self, queue: Queue) -> None:
        self.seconds: list[float] = []
        self.parts: dict[str, dict[int, float]] = {}
        """Part -> number of the step -> seconds, for the steps that were taken apart; a part met twice in one adds up."""
        self._queue, self._mark = queue, queue.mark
        self._marks: list[tuple[Any, str, int]] = []
        self._steps = 0

    def start(self) -> None:
        """A stretch of steps begins now; what went before is billed to no step."""
        self._marks.append((self._mark(), "start", 0))

    def part(self, name: str) -> None:
        """What ran since the last part or step of a stretch was `name`."""
        if self._steps % self._queue.sampled == 0:
            self._marks.append((self._mark(), name, 0))

    def end(self, steps: int = 1) -> None:
        """A step ends here, or several that the device ran as one: each then took an equal share."""
        self._marks.append((self._mark(), "end", steps))
        self._steps += steps

    def read(self) -> None:
        """Turn the marks into seconds; the device must have passed them (`Clock.measure` waits at its end)."""
        begun = last = None
        for mark, name, steps in self._marks:
            if name == "end":
                self.seconds += [self._queue.between(begun, mark) / steps] * steps
                begun = mark
            elif name == "start":
                begun = mark
            else:
                of_step = self.parts.setdefault(name, {})
                at = len(self.seconds)
                of_step[at] = of_step.get(at, 0.0) + self._queue.between(last, mark)
            last = mark
        self._marks.clear()


def warm_up(seconds: Sequence[float]) -> int:
    """How many steps at the start of a phase are its warm-up, from the seconds of all its steps.

    It ends where five steps in a row each take at most 1.25 times the median of the phase's later half, and after half of
    the steps at the latest. Fewer than ten steps have no warm-up.
    """
    half = len(seconds) // 2
    if half < IN_A_ROW:
        return 0
    limit = STEADY * statistics.median(seconds[half:])
    steady = 0
    for at, one in enumerate(seconds):
        steady = steady + 1 if one <= limit else 0
        if steady == IN_A_ROW:
            return min(at + 1 - IN_A_ROW, half)
    return half


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` of the values do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(-int(-share * len(ordered) // 1), 1) - 1]


class Memory:
    """Peak memory in bytes since `__init__`."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._resettable = False
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        # "5" resets the high-water mark of resident memory, see proc_pid_clear_refs(5)
        with contextlib.suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
            self._resettable = True

    def peak(self) -> int | None:
        """What the work took: allocated on a GPU, resident in this process elsewhere."""
        return int(torch.cuda.max_memory_allocated(self.device)) if self.device.type == "cuda" else self.resident()

    def reserved(self) -> int | None:
        """What the GPU's allocator held for it; None elsewhere."""
        return int(torch.cuda.max_memory_reserved(self.device)) if self.device.type == "cuda" else None

    def resident(self) -> int | None:
        """What this process held of the CPU's memory; None where it can't be read (outside Linux)."""
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
