"""Seconds per suite against samples, classes, pairs, seeds and methods, each doubled three times on simulated data.

    python -m benchmarks.growth [--rounds 3] [--out results/bench]        (make growth)

A suite is run from its file to its tables, in this process and without a cache. One size is doubled at a time, from a common
start; the sizes alternate, round after round. The command writes growth.csv, growth.png and growth.svg.

The exponent of a size is that of a power law through the seconds at 2, 4 and 8 times the start, fitted by least squares in
logarithms in each round; at the start itself the fixed cost of a suite dominates. The seconds grow faster than linearly with a
size if the 95 % CI (t over the rounds) of its exponent lies above 1, and at most linearly if it lies below 1.1; otherwise the
run does not decide. The exit code is 1 if they grow faster than linearly with any size.
"""

from __future__ import annotations

import argparse
import csv
import gc
import math
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from scipy import stats

FACTORS = (1, 2, 4, 8)
START = {"samples": 2000, "classes": 2, "pairs": 1, "seeds": 3, "methods": 2}
"""The sizes of the smallest suite; the samples are those of a domain."""
STEPS = 100
LINEAR_LIMIT = 1.1
"""A CI of the exponent below this limit counts as linear."""
TITLES = {
    "samples": "samples of a domain",
    "classes": "classes",
    "pairs": "pairs",
    "seeds": "seeds",
    "methods": "method entries",
}


def suite(sizes: Mapping[str, int], path: Path) -> Path:
    """Write a suite of these sizes, and return its path."""
    lines = ['name = "growth"', "version = 1", "[data]", 'reader = "simulated"', 'shift = "subspace"', "amount = 0.6"]
    lines += [f"labels = {sizes['classes']}", "dimensions = 32", f"count = {sizes['samples']}"]
    for pair in range(sizes["pairs"]):
        for domain in ("source", "target"):
            lines += [f"[domains.{domain}_{pair}]", f'part = "{domain}"', f"seed = {pair}"]
    pairs = ", ".join(f'"source_{pair}:target_{pair}"' for pair in range(sizes["pairs"]))
    lines += ["[pairs]", f"list = [{pairs}]", "[protocol]", f"seeds = {list(range(sizes['seeds']))}"]
    lines += ["[net]", 'backbone = "mlp"', "hidden = [64]", "[train]", f"steps = {STEPS}", "batch = 64"]
    lines += ["[methods.source_only]"]
    for number in range(1, sizes["methods"]):  # entries of equal cost
        lines += [f"[methods.coral_{number}]", 'method = "coral"', f"weight = {number}.0"]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def seconds(sizes: Mapping[str, int]) -> float:
    """The seconds from the suite's file to its tables."""
    from tlbench import api, reports

    with tempfile.TemporaryDirectory() as folder:
        file = suite(sizes, Path(folder) / "growth.toml")
        gc.collect()
        start = time.perf_counter()
        frame = api.run(file, results=Path(folder) / "results", device="cpu")
        reports.render(reports.tables(frame), "text")
        elapsed = time.perf_counter() - start
    assert (frame["status"] == "done").all() and len(frame) == sizes["pairs"] * sizes["seeds"] * sizes["methods"]
    return elapsed


def measure(rounds: int) -> dict[str, list[list[float]]]:
    """The seconds by size, by round, at each of `FACTORS`."""
    seconds({**START, "samples": 500})  # the imports are not timed
    results: dict[str, list[list[float]]] = {name: [] for name in START}
    for number in range(rounds):
        for name in (*list(START)[number % len(START) :], *list(START)[: number % len(START)]):
            results[name].append([seconds({**START, name: factor * START[name]}) for factor in FACTORS])
            print(f"round {number + 1}, {name}: " + ", ".join(f"{s:.2f} s" for s in results[name][-1]), flush=True)
    return results


def exponents(runs: list[list[float]]) -> list[float]:
    """The slope of log seconds over log factor of each round, without the start."""
    x = [math.log(factor) for factor in FACTORS[1:]]
    return [statistics.linear_regression(x, [math.log(s) for s in run[1:]]).slope for run in runs]


def interval(values: list[float]) -> tuple[float, float]:
    """The mean, and the margin of error of its 95 % CI, which is infinite for fewer than two values."""
    if len(values) < 2:
        return statistics.fmean(values), math.inf
    margin = stats.t.ppf(0.975, len(values) - 1) * statistics.stdev(values) / math.sqrt(len(values))
    return statistics.fmean(values), float(margin)


def verdict(runs: list[list[float]]) -> str:
    """The decision in words, by the rule in the docstring of this module."""
    mean, margin = interval(exponents(runs))
    if mean - margin > 1:
        return "faster than linearly"
    return "at most linearly" if mean + margin < LINEAR_LIMIT else "undecided"


def draw(results: Mapping[str, list[list[float]]], out: Path) -> None:
    """Plot the medians over the rounds of all sizes, with a line of slope 1."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot, ticker

    figure, axes = pyplot.subplots(figsize=(6.4, 4.4), layout="constrained")
    for (name, runs), marker in zip(results.items(), "osD^v", strict=True):
        medians = [statistics.median(run[index] for run in runs) for index in range(len(FACTORS))]
        mean, margin = interval(exponents(runs))
        label = f"{TITLES[name]}, from {START[name]:,}: exponent {mean:.2f}" + (f" ± {margin:.2f}" if margin < 10 else "")
        axes.plot(FACTORS, medians, marker=marker, label=label)
    fastest = min(statistics.median(run[0] for run in runs) for runs in results.values())
    axes.plot(FACTORS, [fastest * factor for factor in FACTORS], "k:", label="linear")
    axes.set(xscale="log", yscale="log", xlabel="times the start", ylabel="seconds per suite, file to tables")
    axes.set_xticks(FACTORS, [str(factor) for factor in FACTORS])
    axes.yaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    for kind in ("png", "svg"):
        figure.savefig(out / f"growth.{kind}", dpi=150, metadata={"Date": None} if kind == "svg" else None)
    pyplot.close(figure)


def main() -> int:
    parser = argparse.ArgumentParser(description="Seconds per suite against its sizes.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("results/bench"))
    arguments = parser.parse_args()
    os.environ["TLBENCH_CACHE"] = "off"
    results = measure(arguments.rounds)
    arguments.out.mkdir(parents=True, exist_ok=True)
    with (arguments.out / "growth.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["size", "start", "factor", "round", "seconds"])
        for name, runs in results.items():
            for number, run in enumerate(runs, start=1):
                table.writerows([name, START[name], f, number, f"{s:.4f}"] for f, s in zip(FACTORS, run, strict=True))
    draw(results, arguments.out)
    for name, runs in results.items():
        mean, margin = interval(exponents(runs))
        print(f"{TITLES[name]:18} exponent {mean:.2f} ± {margin:.2f}: {verdict(runs)}")
    print(f"wrote {arguments.out / 'growth'}.csv, .png and .svg")
    return int(any(verdict(runs) == "faster than linearly" for runs in results.values()))


if __name__ == "__main__":
    sys.exit(main())
