"""A suite of shallow methods with two workers and with one, each on one thread. The aim is to be 1.7 times as fast.

    python -m pytest benchmarks/test_workers.py -s -p no:cacheprovider     (two minutes; it needs two idle cores)

Both are the whole command, `tlbench run --threads 1` with `--workers 2` and without, one after the other. The start of a worker
takes seconds, so the suite takes a minute: a shorter one would not be worth two workers. It is asserted that the records of
both are equal, except for their timings.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tlbench import records
from tlbench.terms import Record

ROUNDS, SEEDS, SAMPLES, COLUMNS, CLASSES = 1, 60, 4000, 64, 10
FACTOR = 1.7


def suite_file(folder: Path) -> Path:
    """Write two domains of overlapping clusters and a suite of three shallow methods, and return its path."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(CLASSES, COLUMNS))
    for name, shift in (("a", 0.0), ("b", 0.3)):
        y = rng.integers(CLASSES, size=SAMPLES)
        x = centres[y] + 2.0 * rng.normal(size=(SAMPLES, COLUMNS)) + shift
        np.savez(folder / f"{name}.npz", x=x.astype(np.float32), y=y)
    (folder / "shallow.toml").write_text(
        'name = "shallow"\nversion = 1\n[data]\nreader = "npz"\nx = "x"\ny = "y"\n'
        '[domains.a]\npath = "a.npz"\n[domains.b]\npath = "b.npz"\n[pairs]\nall = true\n'
        f'[protocol]\nseeds = {[*range(SEEDS)]}\nbaseline = "logistic"\n'
        "[methods.logistic]\n[methods.nearest_neighbor]\n[methods.coral_map]\n"
    )
    return folder / "shallow.toml"


def run_seconds(folder: Path, results: str, *options: str) -> float:
    """The wall seconds of a run."""
    command = [sys.executable, "-m", "tlbench", "run", "shallow.toml", "--results", results, "--threads", "1", "--quiet"]
    variables = {**os.environ, "OMP_NUM_THREADS": "1", "TLBENCH_CACHE": str(folder / "cache")}
    start = time.perf_counter()
    subprocess.run([*command, *options], cwd=folder, env=variables, check=True)
    return time.perf_counter() - start


def facts(results: Path) -> dict[tuple[str, str, int], Record]:
    """The records by case, without all that depends on time or on the number of workers."""
    bare: dict[tuple[str, str, int], Record] = {}
    for record in records.read_all(results):
        machine = record.machine.model_copy(update={"concurrent_cases": 1})
        timings = {"started": "", "finished": "", "cost": type(record.cost)(), "machine": machine}
        bare[record.entry, record.pair, record.seed] = record.model_copy(update=timings)
    return bare


def test_two_workers_are_nearly_twice_as_fast(tmp_path: Path) -> None:
    if (cores := len(os.sched_getaffinity(0))) < 2:
        pytest.skip(f"Two workers need two cores, and there is {cores}.")
    suite_file(tmp_path)
    run_seconds(tmp_path, "warm", "--seed", "0")  # fills the cache, and brings the libraries into memory
    seconds: dict[str, list[float]] = {"one": [], "two": []}
    for number in range(ROUNDS):
        seconds["one"].append(run_seconds(tmp_path, f"one-{number}"))
        seconds["two"].append(run_seconds(tmp_path, f"two-{number}", "--workers", "2"))
        assert facts(tmp_path / f"one-{number}") == facts(tmp_path / f"two-{number}")
    factor = statistics.median(one / two for one, two in zip(seconds["one"], seconds["two"], strict=True))
    text = {name: ", ".join(f"{value:.1f}" for value in values) for name, values in seconds.items()}
    print(f"\n{6 * SEEDS} cases: one worker {text['one']} s; two workers {text['two']} s; {factor:.2f} times as fast (median)")
    assert factor >= FACTOR
