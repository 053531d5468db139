"""Stopping a run: the first Ctrl-C lets running cases finish; the second, or SIGTERM, stops at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType


class StopRequest:
    """Whether a run was asked to stop. As a context it handles SIGINT and SIGTERM (in the main thread only).

    The first SIGINT sets `asked`; a second one, or SIGTERM, raises KeyboardInterrupt.

    Args:
        notify: called with a message for the user at the first SIGINT.
    """

    def __init__(self, notify: Callable[[str], None] = lambda text: None) -> None:
        self.asked = False
        self.signal: int | None = None
        """The last signal that was received."""
        self._notify = notify
        self._previous_handlers: dict[int, object] = {}

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._previous_handlers[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for number, handler in self._previous_handlers.items():
            signal.signal(number, handler)  # type: ignore[arg-type]  # what signal.signal itself returned
        self._previous_handlers.clear()

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self.signal = number
        if self.asked or number == signal.SIGTERM:
            raise KeyboardInterrupt
        self.asked = True
        self._notify("Running cases are finished, then the run stops; press Ctrl-C again to stop at once.")
