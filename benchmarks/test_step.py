"""The engine's step against that of the reference loop: four methods, on LeNet and on a frozen backbone's features; fp32, CPU.

Both compute the same losses from the same start and the same rows; that is asserted. Times are printed and saved, never
asserted: they belong to the machine. Aim: the engine takes at most 3 % longer.
"""

from __future__ import annotations

import functools

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.contenders import BATCH, Work
from benchmarks.timing import SHORT, Alternation, rounds

NETS = ("lenet", "features")
METHODS = ("source_only", "dann", "coral", "mcc")
STEPS = {"lenet": 5 if SHORT else 60, "features": 200 if SHORT else 1000}
"""Steps of one timed run: optimizer, row numbers and all else that a run needs are timed with it."""


@functools.cache
def work(net: str, method: str) -> Work:
    return Work(net, method)


@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize("method", METHODS)
def test_both_compute_the_same_losses(net: str, method: str) -> None:
    steps = 10
    expected = work(net, method).reference_loop_run(steps)()
    assert work(net, method).engine(steps)() == pytest.approx(expected, abs=1e-4)
    assert expected[-1] < expected[0] - 0.01  # something is learnt, so something is compared


@pytest.mark.benchmark(group=f"engine and reference loop in turn, {BATCH} + {BATCH} rows")
@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize("method", METHODS)
def test_overhead(net: str, method: str, benchmark: BenchmarkFixture, capsys: pytest.CaptureFixture[str]) -> None:
    steps = STEPS[net]
    alternation = Alternation(
        {
            "engine": lambda: work(net, method).engine(steps),
            "reference loop": lambda: work(net, method).reference_loop_run(steps),
        }
    )
    alternation.run(benchmark, rounds(5))
    text = alternation.against(benchmark, steps)
    with capsys.disabled():
        print(f"\n{net:9} {method:12} {text}")
