"""Where the checkpoints of running cases lie, and when they are removed."""

from __future__ import annotations

import contextlib
from pathlib import Path

from tlbench.runner.time_limit import TIMEOUT_REASON
from tlbench.terms import Record


def checkpoint_folder(results: Path, suite: str) -> Path:
    """The folder of a suite's checkpoints; it holds one file for each case, named by the case's identity."""
    return results / suite / ".checkpoints"


def remove_checkpoint(folder: Path, record: Record) -> None:
    """Remove the checkpoint of a case that has its record, except where the case ran out of time: the next run resumes it."""
    if record.status == "failed" and TIMEOUT_REASON in (record.reason or ""):
        return
    with contextlib.suppress(OSError):
        (folder / f"{record.identity}.pt").unlink()
        folder.rmdir()  # succeeds once the folder is empty
