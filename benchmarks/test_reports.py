"""From 20,000 made-up records to the tables: lines -> records -> frame -> tables -> text."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.timing import timed
from tlbench import records, reports
from tlbench.terms import Code, Cost, Machine, Record, Scores

SUITES, METHODS, DOMAINS, PAIRS, SEEDS = 4, 20, 8, 50, 5
COUNT = SUITES * METHODS * PAIRS * SEEDS


def _record(suite: int, row: int, pair: tuple[str, str], seed: int, noise: float) -> Record:
    name = f"method_{row}" if row else "source_only"
    return Record(
        suite=f"made_up_{suite}",
        suite_version=1,
        row=name,
        method=name,
        options={"weight": 1.0},
        sources=pair[:1],
        target=pair[1],
        seed=seed,
        identity=f"{suite}-{row}-{pair}-{seed}",
        status="done",
        kind="trained",
        reads=("source", "target"),
        baseline="source_only",
        scores=Scores(target_accuracy=0.5 + row / 100 + noise, source_accuracy=0.9, macro_f1=0.5, scored_rows=1000),
        cost=Cost(train_seconds=10 + noise, train_samples_per_second=3000 + 100 * noise, steps=1000, batch=64),
        machine=Machine(device="cpu", torch="2"),
        code=Code(tlbench="0"),
        data={pair[0]: "a", pair[1]: "b"},
        started="2026-01-01T00:00:00.000+00:00",
        finished="2026-01-01T00:00:10.000+00:00",
    )


@pytest.fixture(scope="module")
def made_up() -> list[Record]:
    pairs = list(itertools.permutations([f"domain_{n}" for n in range(DOMAINS)], 2))[:PAIRS]
    cells = itertools.product(range(SUITES), range(METHODS), pairs, range(SEEDS))
    noise = np.random.default_rng(0).normal(0, 0.02, COUNT).tolist()
    made = [_record(*cell, noise[index]) for index, cell in enumerate(cells)]
    assert len(made) == 20_000
    return made


@pytest.fixture(scope="module")
def frame(made_up: list[Record]) -> pd.DataFrame:
    return reports.frame(made_up)


@pytest.mark.benchmark(group=f"reports of {COUNT:,} records")
class TestReports:
    def test_read(self, benchmark: BenchmarkFixture, made_up: list[Record], tmp_path: Path) -> None:
        for (suite, row), of_row in itertools.groupby(made_up, lambda record: (record.suite, record.row)):
            file = records.file_of(tmp_path, suite, row)
            file.parent.mkdir(exist_ok=True)
            file.write_text("".join(records.to_line(record) + "\n" for record in of_row), encoding="utf-8")
        assert len(timed(benchmark, records.read_all, tmp_path, rounds=5)) == COUNT

    def test_frame(self, benchmark: BenchmarkFixture, made_up: list[Record]) -> None:
        assert len(timed(benchmark, reports.frame, made_up, rounds=5)) == COUNT

    @pytest.mark.parametrize("which", reports.KINDS)
    def test_tables(self, benchmark: BenchmarkFixture, frame: pd.DataFrame, which: str) -> None:
        made = timed(benchmark, reports.tables, frame, which, rounds=5)
        assert len({table.suite for table in made}) == SUITES
        assert all(len(table.cells) >= METHODS - 1 for table in made)

    @pytest.mark.parametrize("format", reports.FORMATS)
    def test_render(self, benchmark: BenchmarkFixture, frame: pd.DataFrame, format: str) -> None:
        made = reports.tables(frame)
        assert "domain" in timed(benchmark, reports.render, made, format, rounds=5)
