"""From 100,000 synthetic records to the tables (lines -> records -> frame -> tables -> text), and the peak memory of all steps.

In the short form there are 4,000 records.
"""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.timing import SHORT, rounds, timed
from tlbench import records, reports
from tlbench.terms import Code, Cost, Machine, Record, Scores

METHODS, DOMAINS, PAIRS, SEEDS, CLASSES = 40, 8, 50, 2 if SHORT else 50, 10
COUNT = METHODS * PAIRS * SEEDS
TABLES_SECONDS, PEAK_MIB = 6, 1024
"""The aims on two cores, which are printed beside the measurements."""

WHOLE = """
import json, resource, sys, time
from pathlib import Path
start = time.process_time()  # of this process alone, which other programs on the machine disturb least
from tlbench import records, reports
frame = reports.frame(records.iterate_records(Path(sys.argv[1])))
read_end = time.process_time()
tables = reports.tables(frame, "main")
tables_end = time.process_time()
text = reports.render(tables, "text")
seconds = {"read": read_end - start, "tables": tables_end - read_end, "text": time.process_time() - tables_end}
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
print(json.dumps(seconds | {"peak_mib": peak / 2**20, "records": len(frame), "table_count": len(tables)}))
"""
"""The work of `tlbench report` in a process of its own: prints seconds, peak MiB, and the numbers of records and tables."""


def _record(entry: int, pair: tuple[str, str], seed: int, noise: float) -> Record:
    name = f"method_{entry}" if entry else "source_only"
    accuracy = 0.5 + entry / 100 + noise
    return Record(
        suite="made_up",
        suite_version=1,
        entry=name,
        method=name,
        options={"weight": 1.0},
        sources=pair[:1],
        target=pair[1],
        seed=seed,
        identity=f"{entry}-{pair}-{seed}",
        status="done",
        kind="deep",
        reads=("source", "target"),
        baseline="source_only",
        scores=Scores(
            target_accuracy=accuracy,
            source_accuracy=0.9,
            per_class_accuracy={str(n): accuracy for n in range(CLASSES)},
            macro_f1=0.5,
            scored_samples=1000,
        ),
        cost=Cost(train_seconds=10 + noise, train_samples_per_second=3000 + 100 * noise, steps=1000, batch=64),
        machine=Machine(device="cpu", torch="2"),
        code=Code(tlbench="0"),
        data={pair[0]: "a", pair[1]: "b"},
        started="2026-01-01T00:00:00.000+00:00",
        finished="2026-01-01T00:00:10.000+00:00",
    )


def _records() -> Iterator[Record]:
    pairs = list(itertools.permutations([f"domain_{n}" for n in range(DOMAINS)], 2))[:PAIRS]
    cells = itertools.product(range(METHODS), pairs, range(SEEDS))
    noise = np.random.default_rng(0).normal(0, 0.02, COUNT).tolist()
    return (_record(*cell, error) for cell, error in zip(cells, noise, strict=True))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    results = tmp_path_factory.mktemp("results")
    for entry, entry_records in itertools.groupby(_records(), lambda record: record.entry):
        file = records.file_of(results, "made_up", entry)
        file.parent.mkdir(exist_ok=True)
        file.write_text("".join(records.to_line(record) + "\n" for record in entry_records), encoding="utf-8")
    return results


@pytest.fixture(scope="module")
def frame(folder: Path) -> pd.DataFrame:
    return reports.frame(records.iterate_records(folder))


@pytest.mark.benchmark(group=f"reports of {COUNT:,} records")
class TestReports:
    def test_read(self, benchmark: BenchmarkFixture, folder: Path) -> None:
        def read() -> int:
            return sum(1 for _ in records.iterate_records(folder))

        assert timed(benchmark, read, rounds=rounds(3)) == COUNT

    def test_frame(self, benchmark: BenchmarkFixture) -> None:
        synthetic = list(_records())
        assert len(timed(benchmark, reports.frame, synthetic, rounds=rounds(3))) == COUNT

    @pytest.mark.parametrize("which", ["main", *reports.KINDS])
    def test_tables(self, benchmark: BenchmarkFixture, frame: pd.DataFrame, which: str) -> None:
        tables = timed(benchmark, reports.tables, frame, which, rounds=rounds(3))
        assert all(len(table.cells) >= METHODS - 1 for table in tables)

    @pytest.mark.parametrize("format", reports.FORMATS)
    def test_render(self, benchmark: BenchmarkFixture, frame: pd.DataFrame, format: str) -> None:
        tables = reports.tables(frame, "main")
        assert "domain" in timed(benchmark, reports.render, tables, format, rounds=rounds(3))

    def test_whole(self, benchmark: BenchmarkFixture, folder: Path) -> None:
        def whole() -> dict[str, float]:
            completed = subprocess.run([sys.executable, "-c", WHOLE, str(folder)], capture_output=True, text=True, check=True)
            output: dict[str, float] = json.loads(completed.stdout)
            return output

        measured = timed(benchmark, whole, rounds=rounds(2))
        benchmark.extra_info.update(measured)
        print(
            f"\n{COUNT:,} records: read in {measured['read']:.1f} s (no aim); tables with intervals in "
            f"{measured['tables']:.1f} s (aim: {TABLES_SECONDS} s); peak with the reading {measured['peak_mib']:.0f} MiB "
            f"(aim: {PEAK_MIB}); text in {measured['text']:.2f} s"
        )
        assert (measured["records"], measured["table_count"]) == (COUNT, 4)
