"""File locks that keep two runs on one results directory from running the same case.

There is one lock for each case. The operating system releases it when the process that holds it dies.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

from filelock import FileLock, Timeout

from tlbench.errors import TlbenchError

FOLDER = ".claims"
"""The subfolder of a suite's results that holds the lock files."""


def count_running_cases(folder: Path) -> int:
    """The number of cases below a suite's results folder that some run holds locked at this moment."""
    count = 0
    for file in (folder / FOLDER).glob("*"):
        try:
            with FileLock(file, timeout=0):
                pass  # the file is left over from a run that was killed
        except (Timeout, OSError):
            count += 1
    return count


class CaseLocks:
    """The cases that this run has locked, in `<results>/<suite>/.claims`.

    The locks only avoid double work. That no case gets two records is ensured where records are written (`ResultsLog`).

    Args:
        folder: the results folder of the suite.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder / FOLDER
        self._locks: dict[str, FileLock] = {}

    def acquire(self, identity: str) -> bool:
        """Lock a case; False where another run holds its lock.

        Raises:
            TlbenchError: the lock file can't be created.
        """
        if identity in self._locks:
            return True
        lock = FileLock(self._folder / identity, timeout=0)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            lock.acquire()
        except (Timeout, FileNotFoundError):  # another run may remove the folder right now: the next attempt creates it again
            return False
        except OSError as error:
            raise TlbenchError(
                f"{self._folder}: No lock can be created there: {error.strerror}. Correct that and run again."
            ) from error
        self._locks[identity] = lock
        return True

    def release(self, identity: str) -> None:
        """Release a case that has its record, or that this run does not run after all."""
        lock = self._locks.pop(identity, None)
        if lock is not None:
            with contextlib.suppress(OSError):
                Path(lock.lock_file).unlink()  # before the release: a run that opened the file earlier sees the record
            lock.release()

    def close(self) -> None:
        """Release all cases, and remove lock files of killed runs; the folder goes once no other run uses it."""
        for identity in list(self._locks):
            self.release(identity)
        for file in self._folder.glob("*"):
            if self.acquire(file.name):
                self.release(file.name)
        with contextlib.suppress(OSError):
            self._folder.rmdir()
