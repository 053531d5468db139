"""Seconds and memory of TCA and optimal transport against rows, ours and skada's, each in a process of its own.

    python -m benchmarks.growth_classical [--rows 1000 2000 ...] [--out FILE.json] [--plot FILE.svg] [--kmm FILE.json]
    python -m benchmarks.growth_classical --read FILE.json --plot FILE.svg [--kmm FILE.json]

Rows are those of `test_classical.py`: N + N of 100 columns, ten classes. TCA has a Gaussian kernel, whole up to 10,000 rows of
both domains together and through 1,000 landmarks beyond; transport is solved in blocks of 1,000 rows beyond those. At
3,000 + 3,000 rows, where whole and approximate both fit, the accuracy of both is printed. skada keeps N x N matrices: it is
run up to 4,000 rows, and skipped where it is not installed. Ours is the fit with its logistic regression, skada's the mapping
alone. `--kmm` adds what `growth_kmm --out` wrote to the plot; `--read` draws what `--out` wrote, and measures nothing.
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
WHOLE: dict[str, dict[str, Any]] = {"tca": {}, "ot_exact": {"block": 10_000}, "ot_entropic": {"block": 10_000}}
BLOCKWISE: dict[str, dict[str, Any]] = {"tca": {"exact": 1}, "ot_exact": {}, "ot_entropic": {}}
THEIR_MOST = {"skada tca": 4000, "skada ot_exact": 4000} if find_spec("skada") else {}
LOOKS = {"tca": ("#0072B2", "o"), "ot_exact": ("#D55E00", "s"), "ot_entropic": ("#009E73", "D"), "kmm": ("#000000", "^")}
"""Colour and marker of a method, ours and skada's alike; colours of Okabe and Ito, told apart by the colour-blind."""


def fit(name: str, count: int, changes: dict[str, Any] | None = None) -> tuple[float, float]:
    """Seconds of the fit with its learner, and the share of (at most 5,000) target samples that is right."""
    source, y, target, truth = synthetic(count)
    method, given = OURS[name]
    torch.manual_seed(0)
    records = method_class(method)(**method_options(method, {**given, **(changes or {})}))
    assert isinstance(records, ShallowMethod)
    start = time.perf_counter()
    predictor = records.fit(Task(10, Labelled(source.float(), y), target.float()))
    seconds = time.perf_counter() - start
    text = predictor(target[:5000].float()).argmax(dim=1)
    return seconds, float((text == truth[:5000]).double().mean())


def theirs(name: str, source: Tensor, target: Tensor) -> None:
    if name == "skada tca":
        skada_components(source, target)
        return
    import skada

    samples, domain = stacked(source, target)
    skada.OTMappingAdapter(max_iter=10**6).fit_transform(samples, sample_domain=domain)


def one(name: str, count: int) -> dict[str, float]:
    """Seconds of one run, its accuracy where it is ours, and the most memory that its process held, in bytes."""
    results: dict[str, float] = {"rows": count}
    with torch.no_grad():
        if name in OURS:
            fit(name, 50)
            results["seconds"], results["accuracy"] = fit(name, count)
        else:
            source, _, target, _ = synthetic(count)
            theirs(name, source[:50], target[:50])
            start = time.perf_counter()
            theirs(name, source, target)
            results["seconds"] = time.perf_counter() - start
    return {**results, "peak_bytes": 1024.0 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}


def lost(count: int) -> dict[str, dict[str, float]]:
    """Accuracy whole and approximate, and of the source samples as they are (`none`), on rows where all fit."""
    source, y, target, truth = synthetic(count)
    with torch.no_grad():
        results = {n: {"whole": fit(n, count, WHOLE[n])[1], "approximate": fit(n, count, BLOCKWISE[n])[1]} for n in OURS}
    return {**results, "none": {"1-NN": accuracy(torch.cat([source, target]), y, truth)}}


def draw(points: dict[str, list[dict[str, float]]], file: Path) -> None:
    """Seconds against rows, both on logarithms: ours filled and drawn through, skada's open and dashed."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot, ticker

    figure, axes = pyplot.subplots(figsize=(6.4, 4.4), layout="constrained")
    for name, of in points.items():
        colour, marker = LOOKS[name.removeprefix("skada ")]
        line, fill = ("--", "white") if name.startswith("skada ") else ("-", colour)
        at = [p["rows"] for p in of], [p["seconds"] for p in of]
        axes.plot(*at, color=colour, marker=marker, label=name, ls=line, mfc=fill)
    axes.set(xscale="log", yscale="log", xlabel="rows of each domain", ylabel="seconds")
    for axis, form in ((axes.xaxis, "{x:,.0f}"), (axes.yaxis, "{x:g}")):
        axis.set_major_locator(ticker.LogLocator())
        axis.set_major_formatter(form)
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=150, metadata={"Date": None} if file.suffix == ".svg" else None)
    pyplot.close(figure)


def measured(counts: list[int]) -> dict[str, list[dict[str, float]]]:
    """Every contender at every number of rows that it is run at, each in a process of its own."""
    results: dict[str, list[dict[str, float]]] = {name: [] for name in (*OURS, *THEIR_MOST)}
    for name, points in results.items():
        for count in counts:
            if count > THEIR_MOST.get(name, count):
                continue
            words = [sys.executable, "-m", "benchmarks.growth_classical", "--one", name, str(count)]
            done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True)
            at = json.loads(done.stdout.splitlines()[-1])
            points.append(at)
            right = f"  accuracy {at['accuracy']:.3f}" if "accuracy" in at else ""
            print(
                f"{name:14} {count:7d} + {count} rows  {at['seconds']:8.2f} s  {at['peak_bytes'] / 2**30:.2f} GiB{right}",
                flush=True,
            )
    return results


def main() -> None:
    """Measure, print, and write where asked to."""
    text = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    text.add_argument("--rows", type=int, nargs="+", default=[1000, 2000, 4000, 10_000, 30_000, 100_000])
    text.add_argument("--lost", type=int, default=3000, help="rows at which whole and approximate are compared; 0: not at all")
    text.add_argument("--out", type=Path, help="the numbers")
    text.add_argument("--plot", type=Path, help="the picture, of the kind that its name says")
    text.add_argument("--kmm", type=Path, help="numbers of growth_kmm, for the picture")
    text.add_argument("--read", type=Path, help="numbers of an earlier --out in place of a measurement")
    text.add_argument("--one", nargs=2, metavar=("NAME", "ROWS"), help=argparse.SUPPRESS)
    given = text.parse_args()
    if given.one:
        print(json.dumps(one(given.one[0], int(given.one[1]))))
        return
    if given.read:
        results = json.loads(given.read.read_text(encoding="utf-8"))["points"]
    else:
        results = measured(given.rows)
        values = lost(given.lost) if given.lost else {}
        for name, shares in values.items():
            print(f"{given.lost} + {given.lost} rows, {name}: " + ", ".join(f"{k} {v:.3f}" for k, v in shares.items()))
        if given.out:
            given.out.parent.mkdir(parents=True, exist_ok=True)
            given.out.write_text(json.dumps({"points": results, "accuracy": values}, indent=1) + "\n", encoding="utf-8")
    if given.plot:
        kmm = json.loads(given.kmm.read_text(encoding="utf-8"))["points"] if given.kmm else {}
        renamed = {("skada kmm" if name == "skada" else "kmm"): points for name, points in kmm.items()}
        draw({**results, **renamed}, given.plot)


if __name__ == "__main__":
    main()
