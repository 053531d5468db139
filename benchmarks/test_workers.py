"""A suite of shallow methods with two workers and with one, each on one thread. Figure to reach: 1.7 times as fast.

Run: python -m pytest benchmarks/test_workers.py -s -p no:cacheprovider     (two minutes; it needs two idle cores)

Both are the whole command, from its start to its end: `tlbench run --threads 1`, with `--workers 2` and without, one after
the other. The start of a worker costs seconds, once: the suite takes a minute, for a shorter one is not worth two workers.
The records of both are compared, all but their timings.
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

ROUNDS, SEEDS, ENTRIES, COLUMNS, CLASSES = 1, 60, 4000, 64, 10
FACTOR = 1.7


def suite_file(folder: Path) -> Path:
    """Two domains of clouds that overlap, and three shallow methods."""
    draw = np.random.default_rng(0)
    centres = draw.normal(size=(CLASSES, COLUMNS))
    for name, shift in (("a", 0.0), ("b", 0.3)):
        y = draw.integers(CLASSES, size=ENTRIES)
        x = centres[y] + 2.0 * draw.normal(size=(ENTRIES, COLUMNS)) + shift
        np.savez(folder / f"{name}.npz", x=x.astype(np.float32), y=y)
    (folder / "solved.toml").write_text(
        'name = "solved"\nversion = 1\n[data]\nreader = "npz"\nx = "x"\ny = "y"\n'
        '[domains.a]\npath = "a.npz"\n[domains.b]\npath = "b.npz"\n[pairs]\nall = true\n'
        f'[protocol]\nseeds = {[*range(SEEDS)]}\nbaseline = "logistic"\n'
        "[methods.logistic]\n[methods.nearest_neighbor]\n[methods.coral_map]\n"
    )
    return folder / "solved.toml"


def run(folder: Path, results: str, *words: str) -> float:
    """Wall seconds of a run."""
    command = [sys.executable, "-m", "tlbench", "run", "solved.toml", "--results", results, "--threads", "1", "--quiet", *words]
    variables = {**os.environ, "OMP_NUM_THREADS": "1", "TLBENCH_CACHE": str(folder / "cache")}
    start = time.perf_counter()
    subprocess.run(command, cwd=folder, env=variables, check=True)
    return time.perf_counter() - start


def facts(results: Path) -> dict[tuple[str, str, int], Record]:
    """What no clock had a part in."""
    bare = {"started": "", "finished": ""}
    return {
        (r.entry, r.pair, r.seed): r.model_copy(
            update={**bare, "cost": type(r.cost)(), "machine": r.machine.model_copy(update={"concurrent_cases": 1})}
        )
        for r in records.read_all(results)
    }


def test_two_workers_are_nearly_twice_as_fast(tmp_path: Path) -> None:
    if (cores := len(os.sched_getaffinity(0))) < 2:
        pytest.skip(f"two workers need two cores, and there is {cores}")
    suite_file(tmp_path)
    run(tmp_path, "warm", "--seed", "0")  # fills the cache, brings the libraries to memory
    seconds: dict[str, list[float]] = {"one": [], "two": []}
    for number in range(ROUNDS):
        seconds["one"].append(run(tmp_path, f"one-{number}"))
        seconds["two"].append(run(tmp_path, f"two-{number}", "--workers", "2"))
        assert facts(tmp_path / f"one-{number}") == facts(tmp_path / f"two-{number}")
    factor = statistics.median(one / two for one, two in zip(seconds["one"], seconds["two"], strict=True))
    text = {name: ", ".join(f"{one:.1f}" for one in several) for name, several in seconds.items()}
    print(f"\n{6 * SEEDS} cases: one worker {text['one']} s; two workers {text['two']} s; {factor:.2f} times as fast (median)")
    assert factor >= FACTOR
