"""The scheduler on a Ray cluster of this machine: 10,000 cases that do nothing, and the overhead of a case over a local run.

python -m pytest benchmarks/test_ray.py -s -p no:cacheprovider     (about two minutes; needs the extra `ray`)
"""

from __future__ import annotations

import resource
import statistics
import sys
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

MAX_SECONDS, MAX_GIB, MAX_OVERHEAD_MS = 60, 1, 100

EMPTY = '''"""A method without work, which predicts the first class for every sample."""
from __future__ import annotations
from tlbench.methods.base import Predictor, ShallowMethod
from tlbench.terms import Task

class Empty(ShallowMethod):
    """Predicts without fitting."""
    reads = frozenset({"source"})

    def fit(self, task: Task) -> Predictor:
        """Return equal scores for all classes."""
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

    def make_plan(cases: int, results: str) -> tuple[runner.RunPlan, Path]:
        (tmp_path / "empty.toml").write_text(SUITE.format(seeds=list(range(cases))), encoding="utf-8")
        suite = api.load_suite(tmp_path / "empty.toml")
        records.prepare(tmp_path / results, suite.name)
        return runner.plan_run(suite, tmp_path / results, tmp_path), tmp_path / results

    yield make_plan
    methods._registered.pop("empty", None)
    sys.modules.pop("tlbench_plugin_empty", None)  # the next test has a plugin file of the same name


def warm_pool(plan: runner.RunPlan, max_workers: int | None = None) -> Pool:
    """A pool on a local Ray cluster whose workers have started."""
    from tlbench.runner.pools.ray_pool import RayPool

    pool = RayPool(plan.worker_setup(Limits(threads=1)), "local", max_workers=max_workers)
    while not pool.idle():
        pool.wait(1.0, lambda message: None)
    return pool


def timed(run: Iterable[Record]) -> tuple[float, int]:
    """The seconds of a run, and its number of done cases."""
    start = time.perf_counter()
    count = sum(record.status == "done" for record in run)
    return time.perf_counter() - start, count


def test_ten_thousand_empty_cases(plan: Planner) -> None:
    many, results = plan(10_000, "many")
    seconds, done = timed(scheduler.run_plan(many, results, warm_pool(many)))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"\n10,000 empty cases: {seconds:.1f} s (aim {MAX_SECONDS}), driver's peak {peak:.2f} GiB (aim {MAX_GIB})")
    assert done == 10_000 and len(records.read_all(results)) == 10_000
    assert seconds < MAX_SECONDS and peak < MAX_GIB


def test_overhead_of_a_case(plan: Planner) -> None:
    """The median of three rounds of 300 cases, with one warm worker."""
    overheads_ms = []
    for number in range(3):
        local_plan, local_results = plan(300, f"local{number}")
        ray_plan, ray_results = plan(300, f"ray{number}")
        local_seconds, _ = timed(local.run(local_plan, local_results, engine.device_of("cpu")))
        ray_seconds, done = timed(scheduler.run_plan(ray_plan, ray_results, warm_pool(ray_plan, max_workers=1)))
        overheads_ms.append(1000 * (ray_seconds - local_seconds) / 300)
        assert done == 300
    overhead_ms = statistics.median(overheads_ms)
    print(f"\na case over Ray takes {overhead_ms:+.1f} ms beside a local one (aim {MAX_OVERHEAD_MS}); rounds {overheads_ms}")
    assert overhead_ms < MAX_OVERHEAD_MS
