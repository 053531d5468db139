"""Ctrl-C once: finish what runs; twice, or SIGTERM: stop now."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType


class StopRequest:
    """Whether a run was asked to stop. As a context it takes over SIGINT and SIGTERM (in the main thread only).

    The first SIGINT sets `asked`; the second, or SIGTERM, raises KeyboardInterrupt where the program stands.
    """

    def __init__(self, say: Callable[[str], None] = lambda text: None) -> None:
        self.asked = False
        self.signal: int | None = None
        """The last signal that came."""
        self._say = say
        self._before: dict[int, object] = {}

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._came)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]  # what signal.signal itself gave
        self._before.clear()

    def _came(self, number: int, frame: FrameType | None) -> None:
        self.signal = number
        if self.asked or number == signal.SIGTERM:
            raise KeyboardInterrupt
        self.asked = True
        self._say("finishing what runs, then stopping; Ctrl-C again stops now")
