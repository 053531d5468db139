"""Everything that is measured on one GPU, in one command of at most 9 minutes: a table and JSON in results/bench.

    python -m benchmarks.on_gpu [--device cuda] [--precision bf16] [--minutes 9]        (make bench-gpu)

Four parts: `tlbench bench` of ten methods on LeNet; DANN on LeNet as written, captured, and with seeds together; pytorch-adapt
and skada on the same LeNet, where the extra `peers` is installed; a ResNet-50 on 224 x 224 beside a plain compiled supervised
loop and beside PIL, JPEG files and a DataLoader. The next thing is begun only while there is time for it; what was left out is
said. SHORT=1 takes tiny sizes, to try the command on a CPU.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import json
import os
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from benchmarks import jpeg, peers
from benchmarks.contenders import BATCH, Work
from tlbench import engine
from tlbench.bench import table, throughput
from tlbench.bench.throughput import Settings, bench_case, bench_domains, bench_suite
from tlbench.engine.runtime.device import device_of, machine
from tlbench.terms import Domain

SHORT = bool(os.environ.get("SHORT"))
METHODS = ("source_only", "dann", "cdan", "coral", "dan", "mcc", "mcd", "mean_teacher", "fixmatch", "shot")
SEEDS = (3, 8)
PEERS = (("pytorch_adapt", "dann"), ("pytorch_adapt", "mcc"), ("skada", "dann"))
OUT = Path("results/bench")
LENET = Settings(samples=1000, steps=12, batch=16) if SHORT else Settings(samples=20_000, steps=600)
RESNET = (
    Settings(shape=(3, 32, 32), samples=200, steps=12, batch=8)
    if SHORT
    else Settings(backbone="torchvision:resnet50", shape=(3, 224, 224), samples=2000, steps=120, batch=64)
)
WORKERS = 2 if SHORT else 16


class Report:
    """What was measured, and how much time is left."""

    def __init__(self, minutes: float) -> None:
        self._end = time.monotonic() + 60 * minutes
        self.rates: dict[str, dict[str, Any]] = {}
        self.left_out: list[str] = []

    def measure(self, name: str, about_seconds: float, work: Callable[[], dict[str, Any]]) -> None:
        """Do it, if it will be over in time. What goes wrong is said, and the rest goes on."""
        left = self._end - time.monotonic()
        if left < about_seconds and not SHORT:
            self.left_out.append(f"{name}: takes about {about_seconds:.0f} s, {max(left, 0):.0f} s were left")
            return
        begun = time.monotonic()
        try:
            self.rates[name] = work()
        except Exception as error:  # one figure that fails must not cost the others
            self.left_out.append(f"{name}: {type(error).__name__}: {' '.join(str(error).split())[:300]}")
        print(f"{name}: {time.monotonic() - begun:.0f} s", file=sys.stderr, flush=True)

    def ratio(self, a: str, b: str) -> float | None:
        both = [self.rates.get(name, {}).get("samples_per_second") for name in (a, b)]
        return None if None in both else both[0] / both[1]  # type: ignore[operator]


@functools.cache
def domains(settings: Settings) -> dict[str, Domain]:
    """Made once for all trainings on them: drawing photographs takes longer than a short training."""
    return bench_domains(settings)


def of_engine(settings: Settings, precision: str, device: torch.device, seeds: int = 1, **train: str) -> dict[str, Any]:
    """Facts of a DANN training by the engine, all seeds together where there are several."""
    chosen = {"precision": precision, **train, **({"vmap_seeds": "on"} if seeds > 1 else {})}
    cases, samples = [bench_case("dann", seed) for seed in range(seeds)], domains(settings)
    settings = dataclasses.replace(settings, train=tuple(chosen.items()))
    records = engine.run_seeds(cases, bench_suite(settings), samples, device)
    if errors := [record.reason for record in records if record.status != "done"]:
        raise RuntimeError(str(errors[0]))
    cost, notes = records[0].cost, records[0].notes
    if seeds > 1 and not all(engine.is_vmapped(record) for record in records):
        raise RuntimeError(f"The seeds were not vmapped: {notes}")
    if device.type == "cuda" and (off := [note for note in notes if note.startswith(("graph off", "compile off"))]):
        raise RuntimeError(off[0])  # a figure that is not what its name says is none
    return {"samples_per_second": cost.train_samples_per_second, "cost": cost.model_dump(mode="json"), "notes": list(notes)}


def of_peer(package: str, method: str, device: torch.device) -> dict[str, Any]:
    """A training in fp32 by pytorch-adapt on batches drawn by index, its faster way, or by skada; some steps go before."""
    if reason := peers.missing(package):
        raise RuntimeError(reason)
    work, last = Work("lenet", method), 5 if SHORT else 300
    seconds = 0.0
    for steps in (5, last):
        one = (
            peers.skada(work, steps, device)
            if package == "skada"
            else peers.pytorch_adapt(work, steps, loader=False, device=device)
        )
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        begun = time.perf_counter()
        one()  # ends with the losses on the host
        seconds = time.perf_counter() - begun
    return {"samples_per_second": 2 * BATCH * last / seconds, "steps": last}


def figures(report: Report, precision: str, device: torch.device) -> list[dict[str, Any]]:
    """Measure all, most important first, and say what was aimed at."""
    report.measure("LeNet DANN, as written", 20, lambda: of_engine(LENET, precision, device, compile="off", vmap_seeds="off"))
    report.measure("LeNet DANN, captured", 20, lambda: of_engine(LENET, precision, device, compile="graph", vmap_seeds="off"))
    for seeds in SEEDS:
        name = f"LeNet DANN, captured, {seeds} seeds together"
        report.measure(name, 30, lambda seeds=seeds: of_engine(LENET, precision, device, seeds, compile="graph"))  # type: ignore[misc]
    for package, method in PEERS:
        name = f"LeNet {method.upper()}, {package}, fp32"
        report.measure(name, 20, lambda package=package, method=method: of_peer(package, method, device))  # type: ignore[misc]
    net = f"{RESNET.backbone.rpartition(':')[2]} {RESNET.shape[-1]}"
    report.measure(f"{net} DANN, captured", 40, lambda: of_engine(RESNET, precision, device, compile="graph"))
    report.measure(f"{net} DANN, compiled", 150, lambda: of_engine(RESNET, precision, device, compile="step"))
    report.measure(f"{net} supervised reference loop, compiled", 130, lambda: jpeg.supervised(RESNET, precision, device))
    for precise in dict.fromkeys((precision, "fp32")):
        name = f"{net} DANN, PIL and {WORKERS} workers, {precise}"
        report.measure(name, 60, lambda precise=precise: jpeg.script(RESNET, precise, device, WORKERS, SHORT))  # type: ignore[misc]
    report.measure(f"{net} DANN, as written", 40, lambda: of_engine(RESNET, precision, device, compile="off"))
    vmapped = f"LeNet DANN, captured, {SEEDS[-1]} seeds together"
    fastest = max(
        (n for n in report.rates if n.startswith(f"{net} DANN") and "PIL" not in n),
        key=lambda n: report.rates[n]["samples_per_second"],
        default="",
    )
    return [
        {"a": a, "b": b, "ratio": report.ratio(a, b), "aim": aim}
        for a, b, aim in (
            (vmapped, "LeNet DANN, as written", "at least 10"),
            *(("LeNet DANN, captured", f"LeNet DANN, {package}, fp32", "") for package, method in PEERS if method == "dann"),
            (fastest, f"{net} supervised reference loop, compiled", "at least 0.9"),
            (fastest, f"{net} DANN, PIL and {WORKERS} workers, fp32", "at least 3"),
            (fastest, f"{net} DANN, PIL and {WORKERS} workers, bf16", "" if precision == "bf16" else None),
        )
        if aim is not None
    ]


def main() -> int:
    asked = argparse.ArgumentParser(description="Everything that is measured on one GPU.")
    asked.add_argument("--device", default="cuda")
    asked.add_argument("--precision", default="bf16", choices=("fp32", "tf32", "bf16"))
    asked.add_argument("--minutes", type=float, default=9.0)
    asked.add_argument("--out", type=Path, default=OUT)
    words = asked.parse_args()
    device = device_of(words.device)
    report = Report(words.minutes - 0.3)  # for the files
    ratios = figures(report, words.precision, device)
    settings = dataclasses.replace(LENET, steps=min(LENET.steps, 200), train=(("precision", words.precision),))
    # the table of all methods last: it takes what time is left
    report.measure("table", 100, lambda: throughput.measure_methods(settings, METHODS[:2] if SHORT else METHODS, device))
    methods = report.rates.pop("table", None)
    facts = machine(device, words.precision)
    records = {
        "kind": "tlbench bench-gpu",
        "machine": facts.model_dump(mode="json"),
        "settings": {"lenet": LENET.facts(), "resnet": RESNET.facts(), "short": SHORT},
        "rates": report.rates,
        "ratios": ratios,
        "left_out": report.left_out,
        "methods": methods,
    }
    name = re.sub(r"[^A-Za-z0-9.]+", "-", f"{facts.device} torch{facts.torch} {words.precision}").strip("-").lower()
    words.out.mkdir(parents=True, exist_ok=True)
    (words.out / f"{name}.json").write_text(json.dumps(records, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    text = report_markdown(records)
    (words.out / f"{name}.md").write_text(text, encoding="utf-8")
    print(text)
    print(f"wrote {words.out / name}.json and .md")
    return 0 if report.rates else 1


def report_markdown(records: dict[str, Any]) -> str:
    """The report as Markdown."""
    where = records["machine"]
    lines = [f"# {where['device']}, torch {where['torch']}, {where['precision']}", ""]
    lines += ["| training | samples/s |", "| --- | ---: |"]
    lines += [f"| {name} | {facts['samples_per_second']:,.0f} |" for name, facts in records["rates"].items()]
    lines += ["", "| ratio of samples/s | | aim |", "| --- | ---: | --- |"]
    for one in records["ratios"]:
        ratio = "not measured" if one["ratio"] is None else f"{one['ratio']:.2f}"
        lines.append(f"| {one['a']} / {one['b']} | {ratio} | {one['aim']} |")
    lines += ["", *(f"- left out: {text}" for text in records["left_out"])]
    notes = {f"- {name}: {note}" for name, facts in records["rates"].items() for note in facts.get("notes", ())}
    lines += sorted(notes)
    if records["methods"] is not None:
        lines += ["", table.render(records["methods"], "markdown")]
    return "\n".join(lines).rstrip() + "\n"


if __name__ == "__main__":
    sys.exit(main())
