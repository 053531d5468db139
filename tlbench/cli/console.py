"""What several commands print, and how a command ends that was interrupted."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import typer

from tlbench.escaping import escape_lines

if TYPE_CHECKING:
    from tlbench.runner.interrupts import StopRequest


def echo(text: str) -> None:
    """Print lines to standard output; what a terminal would obey, such as ANSI's escapes in a name, is shown by its code."""
    typer.echo(escape_lines(text))


def warn(text: str) -> None:
    """Print lines to standard error, as `echo` does."""
    typer.echo(escape_lines(text), err=True)


def echo_json(content: object) -> None:
    """Print JSON to standard output, in ASCII, so that no name can hold what a terminal would obey."""
    typer.echo(json.dumps(content, indent=1, allow_nan=False))


def reserve_stdout() -> Callable[[str], None]:
    """Reserve standard output for the lines that the returned function writes; whatever else is printed goes to standard error.

    The events of `--json` are then read by other programs whatever a third-party method prints.
    """
    stream = sys.stdout
    with contextlib.suppress(OSError, ValueError, AttributeError):  # a stream of another program, which is no file
        if stream.fileno() == 1:
            stream = os.fdopen(os.dup(1), "w", encoding="utf-8")
            os.dup2(2, 1)

    def write(line: str) -> None:
        stream.write(f"{line}\n")
        stream.flush()  # a program that reads the events gets each at once

    return write


@contextlib.contextmanager
def interruptible(stop: StopRequest, message: str) -> Iterator[None]:
    """Listen for Ctrl-C and SIGTERM inside; a run that was stopped ends with `message` and exit code 128 + signal."""
    with stop:
        try:
            yield
        except KeyboardInterrupt:
            warn(message)
            raise typer.Exit(128 + (stop.signal or signal.SIGINT)) from None


def duration_text(seconds: float) -> str:
    """A duration to two digits: "35 s", "12 min", "3.5 h", "4 days"."""
    minutes, hours = round(seconds / 60), seconds / 3600
    if hours >= 48:
        return f"{hours / 24:.0f} days"
    return f"{seconds:.0f} s" if seconds < 120 else f"{minutes} min" if hours < 2 else f"{hours:.1f} h"


def size_text(size_bytes: float) -> str:
    """A size in memory or on disk: "12 B", "3.4 MiB"."""
    for unit in ("B", "KiB", "MiB"):
        if size_bytes < 1024:
            return f"{size_bytes:.0f} {unit}" if unit == "B" else f"{size_bytes:.1f} {unit}"
        size_bytes /= 1024
    return f"{size_bytes:.1f} GiB"
