"""Where the checkpoints of running cases lie, and when they go."""

from __future__ import annotations

import contextlib
from pathlib import Path

from tlbench.runner.time_limit import PAST
from tlbench.terms import Record


def checkpoint_folder(results: Path, suite: str) -> Path:
    """The folder of a suite's checkpoints, one file a case, by its identity."""
    return results / suite / ".checkpoints"


def drop_checkpoints(folder: Path, record: Record) -> None:
    """Remove the checkpoint of a case that has its record; one that ran out of time goes on from there when it is run again."""
    if record.status == "failed" and PAST in (record.reason or ""):
        return
    with contextlib.suppress(OSError):
        (folder / f"{record.identity}.pt").unlink()
        folder.rmdir()  # once it is empty
