"""The command line as a process: forked from a server that has imported everything, or from the very start."""

from __future__ import annotations

import atexit
import contextlib
import functools
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

Completed = subprocess.CompletedProcess[str]


def start_tlbench(*words: str | Path, cwd: Path, files_up_to: int | None = None, **environment: str) -> subprocess.Popen[str]:
    """`tlbench WORDS` as a real process that runs on; with `files_up_to` no file may grow beyond so many bytes."""

    def before() -> None:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # a shell's background jobs ignore Ctrl-C, and so would their children
        if files_up_to is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (files_up_to, files_up_to))

    return subprocess.Popen(
        [sys.executable, "-m", "tlbench", *map(str, words)],
        cwd=cwd,
        env=variables(environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        preexec_fn=before,
    )


def variables(changes: dict[str, str]) -> dict[str, str]:
    """The environment of a command."""
    own = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200", "TLBENCH_CACHE": "off"}
    own.pop("TLBENCH_DATA", None)
    return {**own, **changes}


class CommandServer:
    """tests/command_server_process.py, and what it answers."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        file = Path(__file__).with_name("command_server_process.py")
        self.process = subprocess.Popen(
            [sys.executable, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1, env=variables({})
        )
        atexit.register(self.close)
        self.until("ready")

    def until(self, *events: str) -> list[str]:
        """The words of the first answer that is one of some events."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            words = line.split()
            if words[0] in events:
                return words
        raise AssertionError("the command server ended")

    def start(self, folder: Path) -> int:
        """Start a run in a folder; its process id."""
        return self._ask({"run": str(folder)})

    def ended(self) -> int:
        """Wait for the end of the next run; its exit status."""
        return int(self.until("ended")[2])

    def command(self, *words: str | Path, cwd: Path, **environment: str) -> Completed:
        """Run `tlbench WORDS` to its end."""
        with self.lock, self.started(*words, cwd=cwd, **environment) as (_, end):
            return end()

    @contextlib.contextmanager
    def started(self, *words: str | Path, cwd: Path, **environment: str) -> Iterator[tuple[int, Callable[[], Completed]]]:
        """Start `tlbench WORDS`; its process id, and a function that waits for its end."""
        with tempfile.TemporaryDirectory() as folder:
            files = {name: str(Path(folder, name)) for name in ("out", "err")}
            request = {"words": [*map(str, words)], "cwd": str(cwd), "environment": variables(environment)}

            def end() -> Completed:
                status = self.ended()
                out, err = (Path(file).read_text(encoding="utf-8") for file in files.values())
                return Completed(words, status, out, err)

            yield self._ask({**request, **files}), end

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()

    def _ask(self, request: dict[str, Any]) -> int:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(request) + "\n")
        return int(self.until("started")[1])


@functools.cache
def command_server() -> CommandServer:
    """The server that all tests share."""
    return CommandServer()


def tlbench(*words: str | Path, cwd: Path, **environment: str) -> Completed:
    """`tlbench WORDS` as a process of its own, to its end; it is forked where everything is imported already."""
    return command_server().command(*words, cwd=cwd, **environment)


def fresh_tlbench(*words: str | Path, cwd: Path, **environment: str) -> Completed:
    """The same from the very start, as a user starts it."""
    process = start_tlbench(*words, cwd=cwd, **environment)
    try:
        out, err = process.communicate(timeout=120)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    return Completed(words, process.returncode, out, err)
