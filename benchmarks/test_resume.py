"""A results folder of 50,000 records, resumed: from the command to the first new case. The aim is under 3 s.

    python -m pytest benchmarks/test_resume.py -s -p no:cacheprovider     (most of its time goes into writing the records)

The records are those of a suite with 10 method entries, 20 pairs and 251 seeds, of which all but one seed are on file, with
traces and scores per class as real ones have. The timed part is `records.prepare` and `runner.plan_run`, as `tlbench run` calls
them, up to the moment at which the first case could start. The time of a plan without records is printed for comparison.
"""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import torch

from tlbench import api, engine, records, runner
from tlbench.runner import local
from tlbench.terms import Cost, Record, Scores, TracePoint

ENTRIES, DOMAINS, SEEDS = 10, 5, 251
LIMIT_SECONDS = 3.0


def suite_file(folder: Path) -> Path:
    """Write small domains and their suite, and return its path."""
    rng = np.random.default_rng(0)
    names = [f"d{number}" for number in range(DOMAINS)]
    for name in names:
        np.savez(folder / f"{name}.npz", x=rng.normal(size=(60, 4)).astype(np.float32), y=np.arange(60) % 3)
    lines = ['name = "many"', "version = 1", "[data]", 'reader = "npz"', 'x = "x"', 'y = "y"']
    lines += [f'[domains.{name}]\npath = "{name}.npz"' for name in names]
    lines += ["[pairs]", "all = true", "[protocol]", f"seeds = {[*range(SEEDS)]}", 'baseline = "entry0"']
    lines += ["[net]", 'backbone = "mlp"', "hidden = [8]"]
    lines += [f'[methods.entry{number}]\nmethod = "ridge"\nc = {1.0 + number}' for number in range(ENTRIES)]
    (folder / "many.toml").write_text("\n".join(lines) + "\n")
    return folder / "many.toml"


def write_records(plan: runner.RunPlan, results: Path) -> int:
    """Write a record for all cases but those of the last seed, with the facts of one real record; return their number."""
    device = torch.device("cpu")
    real = engine.run_case(plan.pending[0], plan.suite, plan.domains, device)
    trace = [TracePoint(step=100 * k, loss=0.1, source_validation_accuracy=0.5, target_entropy=0.3) for k in range(5)]
    scores = Scores(target_accuracy=0.5, per_class_accuracy={str(k): 0.5 for k in range(10)}, scored_samples=60, trace=trace)
    facts = {**real.model_dump(by_alias=True), "scores": scores, "cost": Cost(wall_seconds=1.0, train_seconds=0.9, steps=1000)}
    lines: dict[str, list[str]] = {}
    for job in plan.jobs():
        if job.case.seed < SEEDS - 1:
            fingerprints = {name: plan.fingerprints[name] for name in (*job.case.sources, job.case.target)}
            record = Record(**{**facts, **job.case.model_dump(), "identity": job.identity, "data": fingerprints})
            lines.setdefault(job.case.entry, []).append(records.to_line(record) + "\n")
    for entry, entry_lines in lines.items():
        records.file_of(results, plan.suite.name, entry).write_text("".join(entry_lines), encoding="utf-8")
    return sum(map(len, lines.values()))


def test_fifty_thousand_records_are_resumed_in_three_seconds(tmp_path: Path) -> None:
    suite = api.load_suite(suite_file(tmp_path))
    results = tmp_path / "results"
    records.prepare(results, suite.name)
    start = time.perf_counter()
    empty = runner.plan_run(suite, results, tmp_path)
    seconds_without = time.perf_counter() - start
    assert write_records(empty, results) == 50_000
    size = sum(file.stat().st_size for file in records.files(results))
    elapsed, processor = [], []
    for _ in range(3):
        start, processor_start = time.perf_counter(), time.process_time()
        records.prepare(results, suite.name)
        plan = runner.plan_run(suite, results, tmp_path)
        elapsed.append(time.perf_counter() - start)
        processor.append(time.process_time() - processor_start)
        assert (len(plan.on_file), len(plan.pending)) == (50_000, 200)
    start = time.perf_counter()
    first = next(iter(local.run(plan, results, torch.device("cpu"))))
    case_seconds = time.perf_counter() - start
    assert first.status == "done"
    print(
        f"\n50,000 records, {size / 2**20:.0f} MiB: ready for the first new case after {min(elapsed):.2f} s "
        f"(rounds: {', '.join(f'{seconds:.2f}' for seconds in elapsed)}; {min(processor):.2f} s of processor time); "
        f"without records {seconds_without:.2f} s; the first case itself {case_seconds:.2f} s"
    )
    assert min(elapsed) < LIMIT_SECONDS
