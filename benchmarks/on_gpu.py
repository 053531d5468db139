"""All measurements on one GPU, in one command of at most 9 minutes, which writes a table and JSON to results/bench.

    python -m benchmarks.on_gpu [--device cuda] [--precision bf16] [--minutes 9]        (make bench-gpu)

There are four groups: `tlbench bench` of ten methods on LeNet; DANN on LeNet eagerly, captured, and with vmapped seeds;
pytorch-adapt and skada on the same LeNet, where the extra `peers` is installed; and a ResNet-50 on 224 x 224 beside a plain
compiled supervised loop and beside PIL, JPEG files and a DataLoader. A measurement starts only if there is time for it, and the
report names those that were left out. SHORT=1 takes tiny sizes, to try the command on a CPU.
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
    """The measurements, and the time that is left."""

    def __init__(self, minutes: float) -> None:
        self._end = time.monotonic() + 60 * minutes
        self.rates: dict[str, dict[str, Any]] = {}
        self.left_out: list[str] = []

    def measure(self, name: str, about_seconds: float, work: Callable[[], dict[str, Any]]) -> None:
        """Measure, if there is time for it. An error is reported, and the other measurements go on."""
        left = self._end - time.monotonic()
        if left < about_seconds and not SHORT:
            self.left_out.append(f"{name}: takes about {about_seconds:.0f} s, {max(left, 0):.0f} s were left")
            return
        start = time.monotonic()
        try:
            self.rates[name] = work()
        except Exception as error:  # one failure must not cost the other measurements
            self.left_out.append(f"{name}: {type(error).__name__}: {' '.join(str(error).split())[:300]}")
        print(f"{name}: {time.monotonic() - start:.0f} s", file=sys.stderr, flush=True)

    def ratio(self, a: str, b: str) -> float | None:
        """Samples per second of `a` over those of `b`; None where one of them was not measured."""
        both = [self.rates.get(name, {}).get("samples_per_second") for name in (a, b)]
        return None if None in both else both[0] / both[1]  # type: ignore[operator]


@functools.cache
def domains(settings: Settings) -> dict[str, Domain]:
    """The domains of a setting, drawn once for all trainings: drawing photographs takes longer than a short training."""
    return bench_domains(settings)


def of_engine(settings: Settings, precision: str, device: torch.device, seeds: int = 1, **train: str) -> dict[str, Any]:
    """Throughput, cost and notes of a DANN training by the engine, with vmapped seeds where there are several."""
    switches = {"precision": precision, **train, **({"vmap_seeds": "on"} if seeds > 1 else {})}
    cases = [bench_case("dann", seed) for seed in range(seeds)]
    suite = bench_suite(dataclasses.replace(settings, train=tuple(switches.items())))
    records = engine.run_seeds(cases, suite, domains(settings), device)
    if errors := [record.reason for record in records if record.status != "done"]:
        raise RuntimeError(str(errors[0]))
    cost, notes = records[0].cost, records[0].notes
    if seeds > 1 and not all(engine.is_vmapped(record) for record in records):
        raise RuntimeError(f"The seeds were not vmapped: {notes}")
    if device.type == "cuda" and (off := [note for note in notes if note.startswith(("graph off", "compile off"))]):
        raise RuntimeError(off[0])  # else a figure would not be what its name says
    return {"samples_per_second": cost.train_samples_per_second, "cost": cost.model_dump(mode="json"), "notes": list(notes)}


def of_peer(package: str, method: str, device: torch.device) -> dict[str, Any]:
    """Throughput in fp32 of pytorch-adapt (on batches drawn by index, its faster way) or skada, after a short warm-up."""
    if reason := peers.missing_reason(package):
        raise RuntimeError(reason)
    work, timed_steps = Work("lenet", method), 5 if SHORT else 300
    seconds = 0.0
    for steps in (5, timed_steps):
        train = (
            peers.skada(work, steps, device)
            if package == "skada"
            else peers.pytorch_adapt(work, steps, loader=False, device=device)
        )
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        start = time.perf_counter()
        train()  # ends with the losses on the host
        seconds = time.perf_counter() - start
    return {"samples_per_second": 2 * BATCH * timed_steps / seconds, "steps": timed_steps}


def measure_all(report: Report, precision: str, device: torch.device) -> list[dict[str, Any]]:
    """Measure all, the most important first, and return the ratios with their aims."""
    report.measure("LeNet DANN, eager", 20, lambda: of_engine(LENET, precision, device, compile="off", vmap_seeds="off"))
    report.measure("LeNet DANN, captured", 20, lambda: of_engine(LENET, precision, device, compile="graph", vmap_seeds="off"))
    for seeds in SEEDS:
        name = f"LeNet DANN, captured, {seeds} vmapped seeds"
        report.measure(name, 30, lambda seeds=seeds: of_engine(LENET, precision, device, seeds, compile="graph"))  # type: ignore[misc]
    for package, method in PEERS:
        name = f"LeNet {method.upper()}, {package}, fp32"
        report.measure(name, 20, lambda package=package, method=method: of_peer(package, method, device))  # type: ignore[misc]
    net = f"{RESNET.backbone.rpartition(':')[2]} {RESNET.shape[-1]}"
    report.measure(f"{net} DANN, captured", 40, lambda: of_engine(RESNET, precision, device, compile="graph"))
    report.measure(f"{net} DANN, compiled", 150, lambda: of_engine(RESNET, precision, device, compile="step"))
    report.measure(f"{net} supervised reference loop, compiled", 130, lambda: jpeg.supervised(RESNET, precision, device))
    for of_script in dict.fromkeys((precision, "fp32")):
        name = f"{net} DANN, PIL and {WORKERS} workers, {of_script}"
        report.measure(name, 60, lambda of_script=of_script: jpeg.script(RESNET, of_script, device, WORKERS, SHORT))  # type: ignore[misc]
    report.measure(f"{net} DANN, eager", 40, lambda: of_engine(RESNET, precision, device, compile="off"))
    vmapped = f"LeNet DANN, captured, {SEEDS[-1]} vmapped seeds"
    fastest = max(
        (n for n in report.rates if n.startswith(f"{net} DANN") and "PIL" not in n),
        key=lambda n: report.rates[n]["samples_per_second"],
        default="",
    )
    return [
        {"a": a, "b": b, "ratio": report.ratio(a, b), "aim": aim}
        for a, b, aim in (
            (vmapped, "LeNet DANN, eager", "at least 10"),
            *(("LeNet DANN, captured", f"LeNet DANN, {package}, fp32", "") for package, method in PEERS if method == "dann"),
            (fastest, f"{net} supervised reference loop, compiled", "at least 0.9"),
            (fastest, f"{net} DANN, PIL and {WORKERS} workers, fp32", "at least 3"),
            (fastest, f"{net} DANN, PIL and {WORKERS} workers, bf16", "" if precision == "bf16" else None),
        )
        if aim is not None
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description="All measurements on one GPU.")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--precision", default="bf16", choices=("fp32", "tf32", "bf16"))
    parser.add_argument("--minutes", type=float, default=9.0)
    parser.add_argument("--out", type=Path, default=OUT)
    arguments = parser.parse_args()
    device = device_of(arguments.device)
    report = Report(arguments.minutes - 0.3)  # 0.3 minutes for the files
    ratios = measure_all(report, arguments.precision, device)
    settings = dataclasses.replace(LENET, steps=min(LENET.steps, 200), train=(("precision", arguments.precision),))
    # the table of all methods comes last, as it matters least
    report.measure("table", 100, lambda: throughput.measure_methods(settings, METHODS[:2] if SHORT else METHODS, device))
    methods = report.rates.pop("table", None)
    facts = machine(device, arguments.precision)
    content = {
        "kind": "tlbench bench-gpu",
        "machine": facts.model_dump(mode="json"),
        "settings": {"lenet": LENET.facts(), "resnet": RESNET.facts(), "short": SHORT},
        "rates": report.rates,
        "ratios": ratios,
        "left_out": report.left_out,
        "methods": methods,
    }
    name = re.sub(r"[^A-Za-z0-9.]+", "-", f"{facts.device} torch{facts.torch} {arguments.precision}").strip("-").lower()
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / f"{name}.json").write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    text = report_markdown(content)
    (arguments.out / f"{name}.md").write_text(text, encoding="utf-8")
    print(text)
    print(f"wrote {arguments.out / name}.json and .md")
    return 0 if report.rates else 1


def report_markdown(content: dict[str, Any]) -> str:
    """The report as Markdown."""
    machine_facts = content["machine"]
    lines = [f"# {machine_facts['device']}, torch {machine_facts['torch']}, {machine_facts['precision']}", ""]
    lines += ["| training | samples/s |", "| --- | ---: |"]
    lines += [f"| {name} | {facts['samples_per_second']:,.0f} |" for name, facts in content["rates"].items()]
    lines += ["", "| ratio of samples/s | | aim |", "| --- | ---: | --- |"]
    for entry in content["ratios"]:
        ratio = "not measured" if entry["ratio"] is None else f"{entry['ratio']:.2f}"
        lines.append(f"| {entry['a']} / {entry['b']} | {ratio} | {entry['aim']} |")
    lines += ["", *(f"- left out: {text}" for text in content["left_out"])]
    notes = {f"- {name}: {note}" for name, facts in content["rates"].items() for note in facts.get("notes", ())}
    lines += sorted(notes)
    if content["methods"] is not None:
        lines += ["", table.render(content["methods"], "markdown")]
    return "\n".join(lines).rstrip() + "\n"


if __name__ == "__main__":
    sys.exit(main())
