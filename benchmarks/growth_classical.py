"""Seconds and memory of TCA and optimal transport against samples, ours and skada's, each in a process of its own.

    python -m benchmarks.growth_classical [--samples 1000 2000 ...] [--out FILE.json] [--plot FILE.svg] [--kmm FILE.json]
    python -m benchmarks.growth_classical --read FILE.json --plot FILE.svg [--kmm FILE.json]

The samples are those of `test_classical.py`: N + N of 100 columns and ten classes. TCA has a Gaussian kernel: the exact one up
to 10,000 samples in both domains, and 1,000 landmarks (Nystroem) beyond. Beyond 1,000 samples, transport is solved in blocks of
1,000. At 3,000 + 3,000 samples, where the exact and the approximate form both fit in memory, the accuracy of both is printed.
skada stores N x N matrices: it runs up to 4,000 samples, and is skipped where it is not installed. Our time is that of the fit
with its logistic regression, skada's that of the mapping alone. `--kmm` adds a file of `growth_kmm --out` to the plot; `--read`
plots a file of `--out` without measuring.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.test_classical import COLUMNS, accuracy, skada_components, stacked, synthetic
from tlbench.methods import method_class, method_options
from tlbench.methods.base import ShallowMethod
from tlbench.terms import Labelled, Task

OURS: dict[str, tuple[str, dict[str, Any]]] = {
    "tca": ("tca", {"kernel": "rbf", "gamma": 1 / COLUMNS, "components": 20, "learner": "logistic"}),
    "ot_exact": ("ot_exact", {"block": 1000, "learner": "logistic"}),
    "ot_entropic": ("ot_entropic", {"block": 1000, "learner": "logistic", "entropy": 0.1}),
}
EXACT: dict[str, dict[str, Any]] = {"tca": {}, "ot_exact": {"block": 10_000}, "ot_entropic": {"block": 10_000}}
APPROXIMATE: dict[str, dict[str, Any]] = {"tca": {"exact": 1}, "ot_exact": {}, "ot_entropic": {}}
SKADA_LIMITS = {"skada tca": 4000, "skada ot_exact": 4000} if find_spec("skada") else {}
COUNT_KEY = "rows"
"""The key of the number of samples of each domain in the JSON files, those on file among them."""
STYLES = {"tca": ("#0072B2", "o"), "ot_exact": ("#D55E00", "s"), "ot_entropic": ("#009E73", "D"), "kmm": ("#000000", "^")}
"""Colour and marker of a method, the same for ours and skada's; the colours are from Okabe and Ito's palette."""


def fit(name: str, count: int, changes: dict[str, Any] | None = None) -> tuple[float, float]:
    """The seconds of the fit with its learner, and the accuracy on (at most 5,000) target samples."""
    source, y, target, truth = synthetic(count)
    method, options = OURS[name]
    torch.manual_seed(0)
    shallow = method_class(method)(**method_options(method, {**options, **(changes or {})}))
    assert isinstance(shallow, ShallowMethod)
    start = time.perf_counter()
    predictor = shallow.fit(Task(10, Labelled(source.float(), y), target.float()))
    seconds = time.perf_counter() - start
    predicted = predictor(target[:5000].float()).argmax(dim=1)
    return seconds, float((predicted == truth[:5000]).double().mean())


def fit_skada(name: str, source: Tensor, target: Tensor) -> None:
    """Fit and transform by skada's adapter."""
    if name == "skada tca":
        skada_components(source, target)
        return
    import skada

    samples, domain = stacked(source, target)
    skada.OTMappingAdapter(max_iter=10**6).fit_transform(samples, sample_domain=domain)


def measure_one(name: str, count: int) -> dict[str, float]:
    """The seconds of one run, its accuracy where it is ours, and the peak memory of its process in bytes."""
    results: dict[str, float] = {COUNT_KEY: count}
    with torch.no_grad():
        if name in OURS:
            fit(name, 50)
            results["seconds"], results["accuracy"] = fit(name, count)
        else:
            source, _, target, _ = synthetic(count)
            fit_skada(name, source[:50], target[:50])
            start = time.perf_counter()
            fit_skada(name, source, target)
            results["seconds"] = time.perf_counter() - start
    return {**results, "peak_bytes": 1024.0 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}


def approximation_accuracies(count: int) -> dict[str, dict[str, float]]:
    """The accuracy of the exact and the approximate forms, and of 1-NN without adaptation (`none`)."""
    source, y, target, truth = synthetic(count)
    with torch.no_grad():
        results = {n: {"whole": fit(n, count, EXACT[n])[1], "approximate": fit(n, count, APPROXIMATE[n])[1]} for n in OURS}
    return {**results, "none": {"1-NN": accuracy(torch.cat([source, target]), y, truth)}}


def draw(points: dict[str, list[dict[str, float]]], file: Path) -> None:
    """Plot seconds against samples on logarithmic axes: ours with filled markers and solid lines, skada's open and dashed."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot, ticker

    figure, axes = pyplot.subplots(figsize=(6.4, 4.4), layout="constrained")
    for name, runs in points.items():
        colour, marker = STYLES[name.removeprefix("skada ")]
        line, fill = ("--", "white") if name.startswith("skada ") else ("-", colour)
        counts, seconds = [run[COUNT_KEY] for run in runs], [run["seconds"] for run in runs]
        axes.plot(counts, seconds, color=colour, marker=marker, label=name, ls=line, mfc=fill)
    axes.set(xscale="log", yscale="log", xlabel="samples of each domain", ylabel="seconds")
    for axis, pattern in ((axes.xaxis, "{x:,.0f}"), (axes.yaxis, "{x:g}")):
        axis.set_major_locator(ticker.LogLocator())
        axis.set_major_formatter(pattern)
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=150, metadata={"Date": None} if file.suffix == ".svg" else None)
    pyplot.close(figure)


def measure_all(counts: list[int]) -> dict[str, list[dict[str, float]]]:
    """Every contender at every number of samples up to its limit, each in a process of its own."""
    results: dict[str, list[dict[str, float]]] = {name: [] for name in (*OURS, *SKADA_LIMITS)}
    for name, points in results.items():
        for count in counts:
            if count > SKADA_LIMITS.get(name, count):
                continue
            command = [sys.executable, "-m", "benchmarks.growth_classical", "--one", name, str(count)]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            point = json.loads(done.stdout.splitlines()[-1])
            points.append(point)
            accuracy_text = f"  accuracy {point['accuracy']:.3f}" if "accuracy" in point else ""
            cost = f"{point['seconds']:8.2f} s  {point['peak_bytes'] / 2**30:.2f} GiB"
            print(f"{name:14} {count:7d} + {count} samples  {cost}{accuracy_text}", flush=True)
    return results


def main() -> None:
    """Measure, print, and write the files that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, nargs="+", default=[1000, 2000, 4000, 10_000, 30_000, 100_000])
    parser.add_argument(
        "--compare", type=int, default=3000, help="samples at which exact and approximate are compared; 0: no comparison"
    )
    parser.add_argument("--out", type=Path, help="write the numbers to this JSON file")
    parser.add_argument("--plot", type=Path, help="write the plot to this file, in the format of its suffix")
    parser.add_argument("--kmm", type=Path, help="a file of growth_kmm --out, added to the plot")
    parser.add_argument("--read", type=Path, help="plot a file of an earlier --out instead of measuring")
    parser.add_argument("--one", nargs=2, metavar=("NAME", "SAMPLES"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(measure_one(arguments.one[0], int(arguments.one[1]))))
        return
    if arguments.read:
        results = json.loads(arguments.read.read_text(encoding="utf-8"))["points"]
    else:
        results = measure_all(arguments.samples)
        values = approximation_accuracies(arguments.compare) if arguments.compare else {}
        for name, shares in values.items():
            print(
                f"{arguments.compare} + {arguments.compare} samples, {name}: "
                + ", ".join(f"{k} {v:.3f}" for k, v in shares.items())
            )
        if arguments.out:
            arguments.out.parent.mkdir(parents=True, exist_ok=True)
            arguments.out.write_text(json.dumps({"points": results, "accuracy": values}, indent=1) + "\n", encoding="utf-8")
    if arguments.plot:
        kmm = json.loads(arguments.kmm.read_text(encoding="utf-8"))["points"] if arguments.kmm else {}
        renamed = {("skada kmm" if name == "skada" else "kmm"): points for name, points in kmm.items()}
        draw({**results, **renamed}, arguments.plot)


if __name__ == "__main__":
    main()
