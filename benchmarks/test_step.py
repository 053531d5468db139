"""The engine's step beside that of the reference loop: four methods, on LeNet and on frozen features, in fp32 on a CPU.

It is asserted that both compute the same losses from the same initial weights and the same batches. Times are printed and
saved, never asserted: they depend on the machine. The aim is that the engine takes at most 3 % longer.
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
"""Steps of one timed run, in which creating the optimizer and drawing the sample indices are included."""


@functools.cache
def work(net: str, method: str) -> Work:
    return Work(net, method)


@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize("method", METHODS)
def test_both_compute_the_same_losses(net: str, method: str) -> None:
    steps = 10
    expected = work(net, method).reference_loop(steps)()
    assert work(net, method).engine(steps)() == pytest.approx(expected, abs=1e-4)
    assert expected[-1] < expected[0] - 0.01  # else the losses compared would be those of an untrained network


@pytest.mark.benchmark(group=f"engine and reference loop alternating, batches of {BATCH} + {BATCH}")
@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize("method", METHODS)
def test_overhead(net: str, method: str, benchmark: BenchmarkFixture, capsys: pytest.CaptureFixture[str]) -> None:
    steps = STEPS[net]
    alternation = Alternation(
        {
            "engine": lambda: work(net, method).engine(steps),
            "reference loop": lambda: work(net, method).reference_loop(steps),
        }
    )
    alternation.run(benchmark, rounds(5))
    text = alternation.compare_with_reference(benchmark, steps)
    with capsys.disabled():
        print(f"\n{net:9} {method:12} {text}")
