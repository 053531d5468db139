"""Methods that misbehave, each in a run beside methods that do not: the other cases must finish, with the same numbers.

    python -m benchmarks.misbehaving [NAME...]

A run of a small suite with `--json` holds the method, two that ship with tlbench and a third-party one; a run without it has
the reference numbers. Each line names what went otherwise than it must; the exit code is 1 if any did. It takes about ten
seconds a method. `tests/runner/test_misbehaving.py` has them in two runs.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.misbehaving_plugins import HONEST, PLUGINS, Misbehaving

MARK = "TLBENCH_MISBEHAVING"
"""An environment variable by which the processes of a run are recognised."""
TIMEOUT_SECONDS = 5
OTHERS = ("nearest_neighbor", "source_only", "honest")
SUITE = """
name = "beside"
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
list = ["a:b"]
[protocol]
seeds = [0, 1]
baseline = "source_only"
[net]
backbone = "mlp"
hidden = [8]
[train]
steps = 5
batch = 8
"""

Facts = dict[tuple[str, int], tuple[Any, ...]]


@dataclass(frozen=True)
class Run:
    """What a run has left."""

    exit_code: int
    stdout: str
    stderr: str
    records: list[dict[str, Any]]
    """The records of the events on standard output."""
    bad_lines: list[str]
    """The lines on standard output that are no events."""
    leftovers: list[int]
    """The processes of the run that are still there."""

    @property
    def facts(self) -> Facts:
        """What records say that no clock decides, by entry and seed."""
        return {
            (record["row"], record["seed"]): (record["identity"], record["status"], record["scores"]) for record in self.records
        }


def run_beside(folder: Path, plugins: Mapping[str, Misbehaving], *options: str) -> Run:
    """Run the suite with some methods that misbehave beside the others.

    Args:
        folder: an empty folder for suite, data, plugins and results.
        plugins: the methods, by name.
        options: further options of `tlbench run`.
    """
    write_folder(folder, plugins)
    mark = uuid.uuid4().hex
    files = [word for name in ("honest", *plugins) for word in ("--plugin", f"{name}.py")]
    command = ["run", "beside.toml", "--json", "--device", "cpu", "--threads", "1", "--timeout", f"{TIMEOUT_SECONDS}"]
    process = subprocess.run(
        [sys.executable, "-m", "tlbench", *command, *files, *options],
        cwd=folder,
        env={**os.environ, MARK: mark, "TLBENCH_CACHE": "off", "OMP_NUM_THREADS": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    events, bad_lines = [], []
    for line in process.stdout.splitlines():
        try:
            events.append(json.loads(line))
        except ValueError:
            bad_lines.append(line)
    bad_lines += [str(event) for event in events if "event" not in event]
    records = [event["record"] for event in events if event.get("event") == "record"]
    return Run(process.returncode, process.stdout, process.stderr, records, bad_lines, _marked(mark))


def write_folder(folder: Path, plugins: Mapping[str, Misbehaving]) -> None:
    """Write the suite, its two domains and the plugin files."""
    rng = np.random.default_rng(0)
    for name, shift in (("a", 0.0), ("b", 0.5)):
        y = np.arange(60) % 3
        np.savez(folder / f"{name}.npz", x=3 * np.eye(3, 4)[y] + 0.4 * rng.standard_normal((60, 4)) + shift, y=y)
    entries = [OTHERS[0], *plugins, *OTHERS[1:]]
    text = SUITE + "".join(f"[methods.{entry}]\n" for entry in entries)
    (folder / "beside.toml").write_text(text, encoding="utf-8")
    (folder / "honest.py").write_text(HONEST, encoding="utf-8")
    for name, plugin in plugins.items():
        (folder / f"{name}.py").write_text(plugin.text, encoding="utf-8")


def faults(plugins: Mapping[str, Misbehaving], run: Run, reference: Facts, seeds: int = 2) -> dict[str, list[str]]:
    """What went otherwise than it must, by method; for the run as a whole by the empty name.

    Args:
        plugins: the methods, by name.
        run: the run with them.
        reference: the facts of a run without them.
        seeds: the number of seeds of the run.
    """
    whole: list[str] = []
    if run.exit_code not in (0, 1):
        whole.append(f"exit code {run.exit_code}: {run.stderr[-500:]}")
    if others := [key for key, facts in reference.items() if run.facts.get(key) != facts]:
        whole.append(f"other numbers for {others}")
    if run.bad_lines:
        whole.append(f"standard output has {run.bad_lines[:3]}")
    if run.leftovers:
        whole.append(f"processes are left: {run.leftovers}")
    return {"": whole, **{name: _faults_of(name, plugin, run.records, seeds) for name, plugin in plugins.items()}}


def _faults_of(name: str, plugin: Misbehaving, records: Sequence[Mapping[str, Any]], seeds: int) -> list[str]:
    own = [record for record in records if record["row"] == name]
    errors = [] if len(own) == seeds else [f"{len(own)} records"]
    for record in own:
        reason, notes = record["why"] or "", "; ".join(record["notes"])
        if record["status"] != ("failed" if plugin.ending else "done"):
            errors.append(f"{record['status']}: {reason}")
        elif plugin.ending not in reason:
            errors.append(f"the reason is {reason!r}, without {plugin.ending!r}")
        if plugin.note not in notes:
            errors.append(f"the notes are {notes!r}, without {plugin.note!r}")
    return errors


def _marked(mark: str) -> list[int]:
    """The processes that have the mark in the environment they were started with, zombies left out."""
    marked = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            content = (folder / "environ").read_bytes()
        except OSError:
            continue
        if f"{MARK}={mark}".encode() in content.split(b"\0"):
            marked.append(int(folder.name))
    return marked


def main(names: Sequence[str]) -> int:
    """Print a line for each method; the exit code."""
    with tempfile.TemporaryDirectory() as folder:
        reference = run_beside(Path(folder), {}).facts
    any_fault = False
    for name in names or PLUGINS:
        with tempfile.TemporaryDirectory() as folder:
            run = run_beside(Path(folder), {name: PLUGINS[name]})
        errors = [error for errors in faults({name: PLUGINS[name]}, run, reference).values() for error in errors]
        any_fault |= bool(errors)
        ending = next(
            (f"{record['status']} {record['why'] or ''}" for record in run.records if record["row"] == name), "no record"
        )
        print(f"{'FAULT' if errors else 'ok':5} {name:26} {'; '.join(errors) or ending}", flush=True)
    return int(any_fault)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
