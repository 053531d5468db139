"""Runs that are killed at random moments, and hostile lines in results files: what a results directory must survive.

Both use the folders of the tests: a suite of four method entries and two pairs, and the lines of `tests/hostile_lines.py`.
"""

from __future__ import annotations

import contextlib
import difflib
import importlib
import json
import os
import random
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from typer.testing import CliRunner

from tlbench import cli, records
from tlbench.errors import TlbenchError
from tlbench.terms import Record

TESTS = Path(__file__).parent.parent / "tests"
SEED = 20260101
LIMIT_SECONDS = 120
"""For one command; other programs may run beside."""
SEEDS = 50
SHOWN_LINES, SHOWN_CHARACTERS = 8, 200
"""Of the differences of tables."""
SUITE = """
name = "tiny"
version = 1
[data]
reader = "npz"
x = "x"
y = "y"
[domains.a]
path = "a.npz"
[domains.b]
path = "b.npz"
[pairs]
list = ["a:b", "b:a"]
[protocol]
seeds = SEEDS
[net]
backbone = "mlp"
hidden = [8]
[train]
steps = 2
batch = 8
trace = 0
[methods.source_only]
[methods.nearest_neighbor]
[methods.ridge]
[methods.wide]
method = "ridge"
c = 5.0
"""
COMMANDS = {
    "check": ("check", "results/tiny/source_only.jsonl", "--suite", "tiny.toml"),
    "report": ("report", "--results", "results", "--table", "all"),
    "merge": ("merge", "results", "--out", "merged"),
    "site": ("site", "--results", "results", "--out", "site"),
    "status": ("status", "results", "--suite", "tiny.toml"),
    "run": ("run", "tiny.toml", "--plan", "--results", "results"),
}


def write_suite(folder: Path, seeds: int) -> None:
    """Write the suite and its two domains of three classes."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name, shift in (("a", 0.0), ("b", 0.5)):
        y = np.arange(60) % 3
        np.savez(folder / f"{name}.npz", x=3 * np.eye(3, 4)[y] + 0.4 * rng.standard_normal((60, 4)) + shift, y=y)
    (folder / "tiny.toml").write_text(SUITE.replace("SEEDS", str([*range(seeds)])))


class Commands:
    """`tlbench` in processes of its own, forked where all is imported, by the server that the tests have, too."""

    def __init__(self) -> None:
        sys.path.insert(0, str(TESTS))
        self.server = importlib.import_module("command_line").CommandServer()

    def run(self, folder: Path, workers: int = 1) -> Any:
        """Start `tlbench run` on the suite of a folder: a context with its process id, and a wait for its end."""
        words = ["run", "tiny.toml", "--no-tables", "--device", "cpu", "--quiet"]
        return self.server.started(*words, *(("--workers", str(workers)) if workers > 1 else ()), cwd=folder)

    def tables(self, folder: Path) -> str:
        """The tables of a folder's results that no clock decides, and the scores and identity of each record."""
        kinds = ("accuracy", "transfer", "negative_transfer")
        texts = [self.server.command("report", "--results", "results", "--table", kind, cwd=folder).stdout for kind in kinds]
        facts = [(r.entry, r.pair, r.seed, r.identity, r.status, r.scores.model_dump_json()) for r in on_file(folder)]
        return "\n".join([*texts, *map(str, sorted(facts))])


def lines_on_file(folder: Path) -> int:
    """The number of lines in the results files."""
    return sum(file.read_bytes().count(b"\n") for file in (folder / "results" / "tiny").glob("*.jsonl"))


def on_file(folder: Path) -> list[Record]:
    """The records of a folder."""
    return records.read_all(folder / "results")


def killed_runs(folder: Path, kills: int, workers: int, seeds: int = SEEDS) -> tuple[int, list[str]]:
    """Kill a run by SIGKILL again and again, start it again each time, and let it end at last.

    A fifth of the kills come at any moment of the start; the others after some more records, at any moment of the next one.

    Returns:
        The number of kills that hit a running process, and the faults: records that are lost or doubled, or other tables.
    """
    rng, commands = random.Random(SEED + workers), Commands()
    whole, killed = folder / f"whole {workers}", folder / f"killed {workers}"
    for one in (whole, killed):
        write_suite(one, seeds)
    with commands.run(whole) as (_, wait):
        wait()
    hits, faults, cases = 0, [], 8 * seeds
    for number in range(kills):
        before, ended = lines_on_file(killed), False
        with commands.run(killed, workers) as (process, wait):
            if rng.random() < 0.2:
                time.sleep(rng.uniform(0, 2))
            else:
                expected = min(before + rng.randint(1, 10), cases)
                while not ended and lines_on_file(killed) < expected:
                    time.sleep(0.002)
                    ended = is_gone(process)
                time.sleep(rng.uniform(0, 0.05))
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
            hits += wait().returncode == -signal.SIGKILL
        if (now := lines_on_file(killed)) < before:
            faults.append(f"kill {number}: {before - now} records lost")
    with commands.run(killed, workers) as (_, wait):
        if status := wait().returncode:
            faults.append(f"the last run ended with {status}")
    last = on_file(killed)
    distinct = {(one.entry, one.pair, one.seed) for one in last}
    if len(distinct) != cases:
        faults.append(f"{cases - len(distinct)} records lost")
    if len(last) != len(distinct):
        faults.append(f"{len(last) - len(distinct)} records doubled")
    lines, others = (commands.tables(one).splitlines() for one in (whole, killed))
    if lines != others:
        differences = list(difflib.unified_diff(lines, others, n=0, lineterm=""))
        faults.append("other tables: " + " | ".join(line[:SHOWN_CHARACTERS] for line in differences[:SHOWN_LINES]))
    commands.server.close()
    return hits, faults


def is_gone(process: int) -> bool:
    """Whether a process has ended, or waits only for its parent to notice."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def hostile_lines(folder: Path, every: int = 1) -> tuple[int, int, list[str]]:
    """Put each hostile line between two right ones and run six commands on the file.

    Args:
        folder: an empty folder.
        every: take each n-th line alone.

    Returns:
        The number of lines, the number of commands, and the faults: tracebacks, other exit codes than 0, 1 and 2, and hangs.
    """
    write_suite(folder / "hostile", 1)
    sys.path.insert(0, str(TESTS))
    variants = importlib.import_module("hostile_lines")
    lines = list((variants.REFUSED_LINES | variants.SHOWN_LINES).items())[::every]
    faults, count = [], 0
    with contextlib.chdir(folder / "hostile"):
        commands = Commands()
        with commands.run(Path.cwd()) as (_, wait):
            wait()
        commands.server.close()
        file = Path("results/tiny/source_only.jsonl")
        right = file.read_text(encoding="utf-8").splitlines()
        for name, line in lines:
            middle = line({**json.loads(right[0]), "data": {"a": "1", "b": "2"}, "sources": ["a"], "target": "b"})
            file.write_text("\n".join([right[0], middle, right[1]]) + "\n", encoding="utf-8")
            for command in COMMANDS:
                count += 1
                faults += [f"{name}, {command}: {fault}" for fault in _faults_of(command)]
    return len(lines), count, faults


def _faults_of(command: str) -> Iterator[str]:
    """What a command does that no command may do."""

    def expire(*_: object) -> None:
        raise TimeoutError

    signal.signal(signal.SIGALRM, expire)
    signal.alarm(LIMIT_SECONDS)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            done = CliRunner().invoke(cli.app, COMMANDS[command])
    except TimeoutError:
        yield f"took more than {LIMIT_SECONDS} s"
        return
    finally:
        signal.alarm(0)
    if isinstance(done.exception, TimeoutError):
        yield f"took more than {LIMIT_SECONDS} s"
    elif done.exception is not None and not isinstance(done.exception, SystemExit | TlbenchError):
        yield "".join(traceback.format_exception_only(done.exception)).strip()[:300]
    elif done.exit_code not in (0, 1, 2):
        yield f"exit code {done.exit_code}"
