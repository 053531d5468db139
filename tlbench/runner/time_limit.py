"""A time limit for a case, raised from within the process that runs it."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

from tlbench.errors import CaseTimeoutError

REPEAT_SECONDS = 5.0
"""The interval at which the alarm repeats: a method may have caught the first exception."""
TIMEOUT_REASON = "The case ran longer than --timeout"
"""The start of the reason on the record of a case that ran out of time."""


@contextlib.contextmanager
def time_limit(seconds: float | None) -> Iterator[None]:
    """Raise CaseTimeoutError inside the block after the given seconds, by the process's alarm signal; None: no limit.

    Python delivers the signal between two of its operations, so a long call into a library is not interrupted (a pool of
    processes then kills the process). The limit has no effect outside the main thread and on systems without `setitimer`.

    Raises:
        CaseTimeoutError: the block took longer.
    """
    if seconds is None or threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"):
        yield
        return

    def on_alarm(number: int, frame: FrameType | None) -> None:
        raise CaseTimeoutError(f"{TIMEOUT_REASON} {seconds:g} s.")

    previous_handler = signal.signal(signal.SIGALRM, on_alarm)
    signal.setitimer(signal.ITIMER_REAL, seconds, REPEAT_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous_handler)
