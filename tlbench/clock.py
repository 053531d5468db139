"""The only clock of the package: device seconds, step times, peak memory and energy. No other module may time anything.

A GPU runs asynchronously: both ends of a measured interval synchronise with it, or queued work would be billed to the next
interval. Inside an interval nothing synchronises: steps are separated by marks (CUDA events) in the device's own queue.
"""

from __future__ import annotations

import contextlib
import datetime
import statistics
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import torch

STEADY_RATIO = 1.25
"""A step of up to this many times the median is steady, see `warm_up_steps`."""
STEADY_STEPS = 5
"""Consecutive steady steps that end the warm-up."""
STAGE_INTERVAL = 8
"""The stages of every eighth step are timed: on a GPU a mark costs the host about as much as a kernel launch."""


def utc() -> str:
    """The current time in UTC, as ISO 8601 with milliseconds."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")


def seconds() -> float:
    """Seconds of a monotonic clock, for progress and remaining time; results are timed by `Clock`."""
    return time.monotonic()


def waiting_seconds() -> float:
    """The seconds that this thread has waited for a core so far; 0 where the system does not count them (outside Linux)."""
    try:
        return int(Path("/proc/thread-self/schedstat").read_text(encoding="ascii").split()[1]) / 1e9
    except (OSError, ValueError, IndexError):
        return 0.0


class DeviceQueue(Protocol):
    """The queue of work of a device: marks pass through it in order with the work."""

    stage_interval: int
    """The stages of one step in this many are timed."""

    def synchronize(self) -> None:
        """Return when the device has done all queued work."""

    def mark(self) -> Any:
        """Put a mark behind all work that is queued so far, without synchronisation."""

    def seconds_between(self, first: Any, last: Any) -> float:
        """Device seconds between two marks that the device has passed."""


class HostQueue:
    """The queue of a CPU, which is always empty: work is done when its call returns."""

    stage_interval = STAGE_INTERVAL

    def synchronize(self) -> None:
        """Return at once."""

    def mark(self) -> float:
        """The time in seconds."""
        return time.perf_counter()

    def seconds_between(self, first: float, last: float) -> float:
        """The difference of two times in seconds."""
        return last - first


class CudaQueue:
    """The queue of a CUDA device: its current stream, with timed events as marks."""

    stage_interval = STAGE_INTERVAL

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def synchronize(self) -> None:
        """Synchronise with every stream of the device."""
        import torch

        torch.cuda.synchronize(self.device)

    def mark(self) -> torch.cuda.Event:
        """Record an event in the current stream."""
        import torch

        event = torch.cuda.Event(enable_timing=True)
        event.record(torch.cuda.current_stream(self.device))
        return event

    def seconds_between(self, first: torch.cuda.Event, last: torch.cuda.Event) -> float:
        """Seconds, from the device's milliseconds (with a resolution of about half a microsecond)."""
        return float(first.elapsed_time(last)) / 1000


class Clock:
    """Adds up, by name, the device seconds of the intervals that it measures.

    >>> clock = Clock(torch.device("cpu"))
    >>> with clock.measure("train"):
    ...     work()
    >>> clock.seconds["train"]
    """

    def __init__(self, device: torch.device, queue: DeviceQueue | None = None) -> None:
        self.device = device
        self.queue = queue or (CudaQueue(device) if device.type == "cuda" else HostQueue())
        self.seconds: dict[str, float] = {}

    @contextlib.contextmanager
    def measure(self, name: str, *, work_only: bool = False) -> Iterator[None]:
        """Bill all work of the device inside the block to `name`.

        Args:
            name: a key of `seconds`.
            work_only: leave out the seconds in which this thread waited for a core that other programs had.
        """
        start = self._now() - (waiting_seconds() if work_only else 0.0)
        try:
            yield
        finally:
            end = self._now() - (waiting_seconds() if work_only else 0.0)
            self.seconds[name] = self.seconds.get(name, 0.0) + max(end - start, 0.0)

    def step_timer(self) -> StepTimer:
        """A timer for the steps of one phase."""
        return StepTimer(self.queue)

    def _now(self) -> float:
        self.queue.synchronize()
        return time.perf_counter()


class StepTimer:
    """The seconds of every step of a phase, and of the stages of some, read from marks so that no step synchronises.

    >>> timer = clock.step_timer()
    >>> with clock.measure("train"):
    ...     timer.start()
    ...     for batch in batches:
    ...         timer.end_stage("data")
    ...         work(batch)
    ...         timer.end_stage("work")
    ...         timer.end_step()
    >>> timer.read()
    >>> timer.seconds, timer.stages["data"]
    """

    def __init__(self, queue: DeviceQueue) -> None:
        self.seconds: list[float] = []
        self.stages: dict[str, dict[int, float]] = {}
        """Stage -> index of the step -> seconds, for the steps whose stages were timed; repetitions in one step add up."""
        self._queue, self._mark = queue, queue.mark
        self._marks: list[tuple[Any, str, int]] = []
        self._steps = 0

    def start(self) -> None:
        """Begin a sequence of steps; earlier work is billed to no step."""
        self._marks.append((self._mark(), "start", 0))

    def end_stage(self, name: str) -> None:
        """Bill the work since the end of the last stage or step to the stage `name`."""
        if self._steps % self._queue.stage_interval == 0:
            self._marks.append((self._mark(), name, 0))

    def end_step(self, steps: int = 1) -> None:
        """End one step, or several that the device ran as one; each of them then took an equal share."""
        self._marks.append((self._mark(), "end", steps))
        self._steps += steps

    def read(self) -> None:
        """Turn the marks into seconds; the device must have passed them (`Clock.measure` synchronises at its end)."""
        begin = last = None
        for mark, name, steps in self._marks:
            if name == "end":
                self.seconds += [self._queue.seconds_between(begin, mark) / steps] * steps
                begin = mark
            elif name == "start":
                begin = mark
            else:
                seconds_by_step = self.stages.setdefault(name, {})
                step = len(self.seconds)
                seconds_by_step[step] = seconds_by_step.get(step, 0.0) + self._queue.seconds_between(last, mark)
            last = mark
        self._marks.clear()


def warm_up_steps(seconds: Sequence[float]) -> int:
    """The number of warm-up steps at the start of a phase, from the seconds of all its steps.

    The warm-up ends where five consecutive steps each take at most 1.25 times the median of the second 50 % of the phase,
    and after 50 % of the steps at the latest. Fewer than ten steps have no warm-up.
    """
    middle = len(seconds) // 2
    if middle < STEADY_STEPS:
        return 0
    limit = STEADY_RATIO * statistics.median(seconds[middle:])
    steady = 0
    for step, step_seconds in enumerate(seconds):
        steady = steady + 1 if step_seconds <= limit else 0
        if steady == STEADY_STEPS:
            return min(step + 1 - STEADY_STEPS, middle)
    return middle


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` of the values do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(-int(-share * len(ordered) // 1), 1) - 1]


class PeakMemory:
    """Peak memory in bytes since this object was made."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._earlier: tuple[int | None, ...] = (None, None, None)  # allocated, reserved and resident before the interval
        self._reset()

    def _reset(self) -> None:
        if self.device.type == "cuda":
            import torch

            torch.cuda.reset_peak_memory_stats(self.device)
        self._resettable = False
        with contextlib.suppress(OSError):  # "5" resets the high-water mark, see proc_pid_clear_refs(5)
            self._resettable = Path("/proc/self/clear_refs").write_text("5", encoding="ascii") == 1

    def begin_interval(self) -> None:
        """Begin the interval of `interval_peak`; the other peaks go on."""
        self._earlier = self._all()
        self._reset()

    def interval_peak(self) -> int | None:
        """The peak since `begin_interval`, as `peak` counts it."""
        return self._of_interval()[0 if self.device.type == "cuda" else 2]

    def peak(self) -> int | None:
        """Bytes allocated on a GPU; on a CPU, bytes resident in this process."""
        return self._all()[0 if self.device.type == "cuda" else 2]

    def reserved(self) -> int | None:
        """Bytes reserved by the GPU's allocator; None on a CPU."""
        return self._all()[1]

    def resident(self) -> int | None:
        """Bytes of host memory resident in this process; None where they can't be read (outside Linux)."""
        return self._all()[2]

    def _all(self) -> tuple[int | None, ...]:
        peaks = zip(self._of_interval(), self._earlier, strict=True)
        return tuple(now if now is None or earlier is None else max(now, earlier) for now, earlier in peaks)

    def _of_interval(self) -> tuple[int | None, int | None, int | None]:
        resident: int | None = None
        if self._resettable:
            lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
            resident = next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), None)
        if self.device.type != "cuda":
            return None, None, resident
        import torch

        return torch.cuda.max_memory_allocated(self.device), torch.cuda.max_memory_reserved(self.device), resident


class Energy:
    """Joules by a GPU's own counter since this object was made, over all processes on the GPU."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._start = self._millijoules()

    def joules(self) -> float | None:
        """Joules so far; None where the counter can't be read."""
        now = self._millijoules()
        return None if now is None or self._start is None else (now - self._start) / 1000

    def _millijoules(self) -> int | None:
        if self.device.type != "cuda":
            return None
        try:
            import pynvml
            import torch

            pynvml.nvmlInit()
            uuid = str(torch.cuda.get_device_properties(self.device).uuid)
            handle = pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{uuid.removeprefix('GPU-')}")
            return int(pynvml.nvmlDeviceGetTotalEnergyConsumption(handle))
        except Exception:  # without the library, the driver or the counter, energy is not measured, and the record holds null
            return None
