"""The scheduler on a Ray cluster of this machine: 10,000 cases that do nothing, and what a case costs over a local run.

python -m pytest benchmarks/test_ray.py -s -p no:cacheprovider     (about two minutes; needs the extra `ray`)
"""

from __future__ import annotations

import resource
import statistics
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest

from tlbench import api, engine, methods, records, runner
from tlbench.runner import local, scheduler
from tlbench.runner.pools.protocol import Pool
from tlbench.runner.worker import Limits
from tlbench.terms import Record

pytest.importorskip("ray", reason="the extra `ray` is not installed")
pytestmark = pytest.mark.filterwarnings("ignore")

MOST_SECONDS, MOST_GIB, MOST_EXTRA_MS = 60, 1, 100

EMPTY = '''"""Nothing: every row is of the first class."""
from __future__ import annotations
from tlbench.methods.base import Predictor, ShallowMethod
from tlbench.terms import Task

class Empty(ShallowMethod):
    """No work at all."""
    reads = frozenset({"source"})

    def fit(self, task: Task) -> Predictor:
        """Scores that are all the same."""
        return lambda x: x.new_ones(len(x), task.classes)
'''
SUITE = """
name = "empty"
version = 1
data = {{ reader = "npz", x = "x", y = "y" }}
domains.a = {{ path = "a.npz" }}
domains.b = {{ path = "b.npz" }}
pairs = {{ list = ["a:b"] }}
protocol = {{ seeds = {seeds}, baseline = "empty" }}
methods.empty = {{}}
"""


Planner = Callable[[int, str], tuple[runner.RunPlan, Path]]


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Planner]:
    monkeypatch.setenv("TLBENCH_CACHE", str(tmp_path / "cache"))
    (tmp_path / "empty.py").write_text(EMPTY, encoding="utf-8")
    methods.register_file(tmp_path / "empty.py")
    for name in "ab":
        np.savez(tmp_path / f"{name}.npz", x=np.eye(4, dtype=np.float32), y=np.arange(4))

    def planned(cases: int, results: str) -> tuple[runner.RunPlan, Path]:
        (tmp_path / "empty.toml").write_text(SUITE.format(seeds=list(range(cases))), encoding="utf-8")
        suite = api.load_suite(tmp_path / "empty.toml")
        records.prepare(tmp_path / results, suite.name)
        return runner.plan_run(suite, tmp_path / results, tmp_path), tmp_path / results

    yield planned
    methods._registered.pop("empty", None)


def pool(plan: runner.RunPlan, most: int | None = None) -> Pool:
    from tlbench.runner.pools.ray_pool import RayPool

    records = RayPool(plan.worker_setup(Limits(threads=1)), "local", max_workers=most)
    while not records.idle():
        records.wait(1.0, lambda message: None)
    return records


def timed(records_of: Iterable[Record]) -> tuple[float, int]:
    start = time.perf_counter()
    count = sum(record.status == "done" for record in records_of)
    return time.perf_counter() - start, count


def test_ten_thousand_empty_cases(plan: Planner) -> None:
    todo, results = plan(10_000, "many")
    seconds, done = timed(scheduler.run_plan(todo, results, pool(todo)))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"\n10,000 empty cases: {seconds:.1f} s (aim 60), driver's peak {peak:.2f} GiB (aim 1)")
    assert done == 10_000 and len(records.read_all(results)) == 10_000
    assert seconds < MOST_SECONDS and peak < MOST_GIB


def test_overhead_of_a_case(plan: Planner) -> None:
    """Median of three rounds, one warm worker, 300 cases each."""
    extra = []
    for round_ in range(3):
        here, there = plan(300, f"here{round_}"), plan(300, f"there{round_}")
        alone, _ = timed(local.run(here[0], here[1], engine.device_of("cpu")))
        far, done = timed(scheduler.run_plan(there[0], there[1], pool(there[0], most=1)))
        extra.append(1000 * (far - alone) / 300)
        assert done == 300
    print(f"\na case over Ray costs {statistics.median(extra):+.1f} ms over a local one (aim 100); rounds {extra}")
    assert statistics.median(extra) < MOST_EXTRA_MS
