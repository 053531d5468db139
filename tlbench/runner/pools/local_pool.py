"""A pool of one slot, which is this process: cases run one after the other."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from tlbench.errors import TlbenchError
from tlbench.runner.pools.protocol import Begun, Ended, Lost, OnMessage, Stepped
from tlbench.runner.worker import Job, Worker


class LocalPool:
    """One slot in this process. `wait` runs the job that was started, to its end.

    Args:
        worker: runs the jobs; it may hold loaded domains.
    """

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._job: Job | None = None

    def size(self) -> int:
        """One slot."""
        return 1

    def idle(self) -> Sequence[int]:
        """Slot 0, between two jobs."""
        return [0] if self._job is None else []

    def start(self, slot: int, job: Job) -> None:
        """Store the job for `wait`."""
        self._job = job

    def wait(self, seconds: float, on_message: OnMessage) -> None:
        """Run the job that was started; without one, wait."""
        job, self._job = self._job, None
        if job is None:
            threading.Event().wait(seconds)
            return
        try:
            record = self._worker.run(
                job, lambda done, total: on_message(Stepped(0, done, total)), lambda: on_message(Begun(0))
            )
        except TlbenchError as error:
            on_message(Lost(0, str(error), retryable=False))
        else:
            on_message(Ended(0, record))  # outside the try: an error while the record is written is not the worker's

    def stop(self, slot: int) -> None:
        """Do nothing: no job runs outside `wait`."""

    def close(self) -> None:
        """Do nothing: no job runs outside `wait`."""
