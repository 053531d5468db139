"""Seconds and memory of kernel mean matching against samples, ours and skada's, each in a process of its own.

    python -m benchmarks.growth_kmm [--samples 1000 2000 ...] [--out FILE.json]

The samples are those of `test_reweighting.py`: N + N of 20 columns. Beyond 5,000 source samples ours uses 500 landmarks
(Nystroem). At 4,000 samples, where both forms fit in memory, the objectives and accuracies of both are printed. skada stores
N x N matrices: it runs up to 8,000 samples.
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
SKADA_LIMIT = 8000
COUNT_KEY = "rows"
"""The key of the number of samples of each domain in the JSON files, those on file among them."""


def measure_one(name: str, count: int) -> dict[str, float]:
    """The seconds of one run, and the peak memory of its process, in all and beyond that before the run, in bytes."""
    source, target = samples(COLUMNS, SHIFT, count)
    torch.manual_seed(0)
    gamma = nystrom.pooled_median_gamma(source, target)
    fit = {"ours": ours, "skada": theirs}[name]
    fit(source[:50], target[:50], gamma)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    fit(source, target, gamma)
    seconds = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {COUNT_KEY: count, "seconds": seconds, "added_bytes": 1024 * (after - before), "peak_bytes": 1024 * after}


def objectives(count: int = 4000) -> dict[str, float]:
    """The objective with the exact kernel, and with landmarks."""
    source, target = samples(COLUMNS, SHIFT, count)
    torch.manual_seed(0)
    gamma = nystrom.pooled_median_gamma(source, target)
    weights = {"whole": ours(source, target, gamma), "landmarks": ours(source, target, gamma, exact_rows=1)}
    return {name: objective(w, source, target, gamma) for name, w in weights.items()}


def accuracy(count: int = 4000) -> dict[str, float]:
    """The accuracy of ridge on weighted samples, in per cent, under a simulated covariate shift (4 classes, 20 columns)."""
    domains = []
    for domain in ("source", "target"):
        options = simulated.Options(shift="covariate", part=domain, labels=4, dimensions=20, count=count)
        x, y = simulated.read(options, None)
        domains.append(Labelled(torch.tensor(x), torch.tensor(y)))
    (source, target), scores = domains, {}
    kind: Any = methods.method_class("kmm")
    for name, extra in {"whole": {}, "landmarks": {"exact_rows": 1}}.items():
        torch.manual_seed(0)
        options_of_kmm = methods.method_options("kmm", {"learner": "ridge", **extra})
        scores[name] = kind(**options_of_kmm).fit(Task(4, source, target.x))(target.x)
    scores["unweighted"] = base_learners.fit_learner("ridge", source.x, source.y, 4)(target.x)
    return {name: 100 * float((s_NC.argmax(1) == target.y).double().mean()) for name, s_NC in scores.items()}


def main() -> None:
    """Measure, print, and write the file that was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, nargs="+", default=[1000, 2000, 4000, 8000, 20_000, 50_000, 100_000])
    parser.add_argument("--out", type=Path)
    parser.add_argument("--one", nargs=2, metavar=("NAME", "SAMPLES"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(measure_one(arguments.one[0], int(arguments.one[1]))))
        return
    results: dict[str, list[dict[str, float]]] = {"ours": [], "skada": []}
    for name, points in results.items():
        for count in arguments.samples:
            if name == "skada" and count > SKADA_LIMIT:
                continue
            command = [sys.executable, "-m", "benchmarks.growth_kmm", "--one", name, str(count)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            points.append(json.loads(done.stdout.splitlines()[-1]))
            seconds, gib = points[-1]["seconds"], points[-1]["peak_bytes"] / 2**30
            print(f"{name:6} {count:7d} + {count} samples  {seconds:8.2f} s  peak {gib:.2f} GiB", flush=True)
    values = objectives()
    print(f"4,000 samples, objective: exact kernel {values['whole']:.1f}, 500 landmarks {values['landmarks']:.1f}")
    accuracies = accuracy()
    print("4,000 samples, accuracy: " + ", ".join(f"{name} {value:.2f}" for name, value in accuracies.items()))
    if arguments.out:
        numbers = {"points": results, "objective": values, "accuracy": accuracies}
        arguments.out.write_text(json.dumps(numbers, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
