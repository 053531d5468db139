"""A case that runs too long is ended from within, where that can be done."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

from tlbench.errors import CaseTimeoutError

REPEATED = 5.0
"""Seconds until it rings again."""
PAST = "it ran past --timeout"
"""How the reason of a case begins that took too long."""


@contextlib.contextmanager
def time_limit(seconds: float | None) -> Iterator[None]:
    """Raise TimedOut inside after so many seconds, by the process's timer.

    It comes between two operations of Python: one call of a library that lasts is not cut short (a pool of processes ends
    the process then). Without effect outside the main thread, and on systems that have no such timer.
    """
    if seconds is None or threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"):
        yield
        return

    def ring(number: int, frame: FrameType | None) -> None:
        raise CaseTimeoutError(f"{PAST} {seconds:g} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds, REPEATED)  # a method may have caught the first
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
