"""Seconds and memory of kernel mean matching against rows, ours and skada's, each in a process of its own.

    python -m benchmarks.growth_kmm [--rows 1000 2000 ...] [--out FILE.json]

Rows are those of `test_reweighting.py`: N + N of 20 columns. Beyond 5,000 source samples ours goes through 500 landmarks. At 4,000
rows, where both forms fit, objectives and accuracies of both are printed. skada keeps N x N matrices: it runs up to 8,000 rows.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch

from benchmarks.test_reweighting import objective, ours, samples, theirs
from tlbench import methods
from tlbench.data.readers import simulated
from tlbench.solvers import base_learners
from tlbench.solvers.kernels import nystrom
from tlbench.terms import Labelled, Task

COLUMNS, SHIFT = 20, 0.5
THEIR_MOST = 8000


def one(name: str, count: int) -> dict[str, float]:
    """Seconds of one run, and what the process held at its peak beyond what it held before, in bytes."""
    source, target = samples(COLUMNS, SHIFT, count)
    torch.manual_seed(0)
    gamma = nystrom.pooled_median_gamma(source, target)
    run = {"ours": ours, "skada": theirs}[name]
    run(source[:50], target[:50], gamma)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    run(source, target, gamma)
    seconds = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"rows": count, "seconds": seconds, "added_bytes": 1024 * (after - before), "peak_bytes": 1024 * after}


def lost(count: int = 4000) -> dict[str, float]:
    """The objective with the whole kernel, and through landmarks."""
    source, target = samples(COLUMNS, SHIFT, count)
    torch.manual_seed(0)
    gamma = nystrom.pooled_median_gamma(source, target)
    both = {"whole": ours(source, target, gamma), "landmarks": ours(source, target, gamma, exact_rows=1)}
    return {name: objective(w, source, target, gamma) for name, w in both.items()}


def accuracy(count: int = 4000) -> dict[str, float]:
    """Of ridge on weighted rows, in per cent, under a simulated covariate shift (4 classes, 20 columns)."""
    records = []
    for piece in ("source", "target"):
        options = simulated.Options(shift="covariate", part=piece, labels=4, dimensions=20, count=count)
        x, y = simulated.read(options, None)
        records.append(Labelled(torch.tensor(x), torch.tensor(y)))
    (source, target), results = records, {}
    kind: Any = methods.method_class("kmm")
    for name, form in {"whole": {}, "landmarks": {"exact_rows": 1}}.items():
        torch.manual_seed(0)
        given = methods.method_options("kmm", {"learner": "ridge", **form})
        results[name] = kind(**given).fit(Task(4, source, target.x))(target.x)
    results["unweighted"] = base_learners.fit_learner("ridge", source.x, source.y, 4)(target.x)
    return {name: 100 * float((scores.argmax(1) == target.y).double().mean()) for name, scores in results.items()}


def main() -> None:
    """Measure, print, and write where asked to."""
    text = argparse.ArgumentParser(description=__doc__)
    text.add_argument("--rows", type=int, nargs="+", default=[1000, 2000, 4000, 8000, 20_000, 50_000, 100_000])
    text.add_argument("--out", type=Path)
    text.add_argument("--one", nargs=2, metavar=("NAME", "ROWS"), help=argparse.SUPPRESS)
    given = text.parse_args()
    if given.one:
        print(json.dumps(one(given.one[0], int(given.one[1]))))
        return
    results: dict[str, list[dict[str, float]]] = {"ours": [], "skada": []}
    for name, points in results.items():
        for count in given.rows:
            if name == "skada" and count > THEIR_MOST:
                continue
            words = [sys.executable, "-m", "benchmarks.growth_kmm", "--one", name, str(count)]
            done = subprocess.run(words, capture_output=True, text=True, check=True)
            points.append(json.loads(done.stdout.splitlines()[-1]))
            at = points[-1]
            print(
                f"{name:6} {count:7d} + {count} rows  {at['seconds']:8.2f} s  peak {at['peak_bytes'] / 2**30:.2f} GiB",
                flush=True,
            )
    values = lost()
    print(f"4,000 rows, objective: whole kernel {values['whole']:.1f}, 500 landmarks {values['landmarks']:.1f}")
    right = accuracy()
    print("4,000 rows, accuracy: " + ", ".join(f"{name} {value:.2f}" for name, value in right.items()))
    if given.out:
        given.out.write_text(
            json.dumps({"points": results, "objective": values, "accuracy": right}, indent=1) + "\n", encoding="utf-8"
        )


if __name__ == "__main__":
    main()
