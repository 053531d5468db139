"""Which of several runs on one results directory has which case: a lock a case, let go by the system when its run dies."""

from __future__ import annotations

import contextlib
from pathlib import Path

from filelock import FileLock, Timeout

from tlbench.errors import TlbenchError


def count_running_cases(folder: Path) -> int:
    """How many cases of a suite's folder runs have in hand at this moment."""
    count = 0
    for file in (folder / ".claims").glob("*"):
        try:
            with FileLock(file, timeout=0):
                pass  # left by a run that was killed
        except (Timeout, OSError):
            count += 1
    return count


class CaseLocks:
    """The cases that this run has claimed, in `<results>/<suite>/.claims`.

    Claims keep two runs from doing the same work; that no case gets two records is seen to where records are written.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder / ".claims"
        self._held: dict[str, FileLock] = {}

    def take(self, identity: str) -> bool:
        """Claim a case; False where another run has it."""
        if identity in self._held:
            return True
        lock = FileLock(self._folder / identity, timeout=0)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            lock.acquire()
        except (Timeout, FileNotFoundError):  # the other run may remove the folder at this moment: the next try makes it again
            return False
        except OSError as error:
            raise TlbenchError(
                f"{self._folder}: no lock can be made there: {error.strerror}; mend that and run again"
            ) from error
        self._held[identity] = lock
        return True

    def drop(self, identity: str) -> None:
        """Let a case go; it has its record, or nobody runs it now."""
        lock = self._held.pop(identity, None)
        if lock is not None:
            with contextlib.suppress(OSError):
                Path(lock.lock_file).unlink()  # while it is held: who opened it before finds the record
            lock.release()

    def close(self) -> None:
        """Let all go, and remove what killed runs have left; the folder goes where no other run uses it."""
        for identity in list(self._held):
            self.drop(identity)
        for left in self._folder.glob("*"):
            if self.take(left.name):
                self.drop(left.name)
        with contextlib.suppress(OSError):
            self._folder.rmdir()
