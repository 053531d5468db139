"""The engine's step against that of the reference loop: every deep method that test_step.py leaves out, on LeNet; fp32, CPU.

Both start from the same weights and draw the same rows, views and folds; that they give the same losses and end with the same
predictions is asserted. Times are printed and saved, never asserted: they belong to the machine. A run is a training of few
steps with all that a method does beside them: passes over a domain, fits of weights, pseudo-labels. Of adabn and tent it is
what comes after the training on the source, a pass over the target and the stream, and a step is a batch of that.
"""

from __future__ import annotations

import functools

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks import reference_loop
from benchmarks.contenders import BATCH, Work
from benchmarks.reference_steps import REFERENCE_STEPS, THRESHOLDS
from benchmarks.timing import SHORT, Alternation, rounds
from tlbench.bench import throughput

STEPS = 3 if SHORT else 60
TWO_PHASES = {"linear_probe", "fine_tune", "shot"}
"""Methods that go on with another loss after half of the steps."""
RISES = {"fixmatch"}
"""The more rows the network is sure of, the more there is to learn."""


@functools.cache
def work(method: str) -> Work:
    return Work("lenet", method)


def test_every_deep_method_has_a_reference_step() -> None:
    assert {*REFERENCE_STEPS, *reference_loop.TERMS, "source_only"} == {*throughput.deep_methods()}


@pytest.mark.parametrize("method", REFERENCE_STEPS)
def test_both_compute_the_same(method: str) -> None:
    """Losses of 10 steps, and logits after them; of tent the entropies of the stream come after the losses on the source."""
    steps = 10
    engine, hand = work(method).engine(steps), work(method).reference_step(steps)
    expected = hand()
    assert engine() == pytest.approx(expected, abs=1e-4)
    with torch.no_grad():
        torch.testing.assert_close(engine.logits(), hand.logits(), rtol=0, atol=1e-3)
    if method not in RISES:  # something is learnt, so something is compared
        ends = (steps // 2, steps) if method in TWO_PHASES else (steps,)
        assert all(expected[end - 1] < expected[end - ends[0]] - 0.01 for end in ends)


@pytest.mark.parametrize("method", THRESHOLDS)
def test_the_network_is_confident_on_some_samples(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the losses above would be those of source_only."""
    some = work(method).reference_step(10)()
    monkeypatch.setitem(THRESHOLDS, method, 2.0)
    none = work(method).reference_step(10)()
    assert max(abs(a - b) for a, b in zip(some, none, strict=True)) > 0.01


@pytest.mark.benchmark(group=f"each method by the engine and reference loop in turn, {BATCH} rows of each part")
@pytest.mark.parametrize("method", REFERENCE_STEPS)
def test_each(method: str, benchmark: BenchmarkFixture, capsys: pytest.CaptureFixture[str]) -> None:
    alternation = Alternation(
        {"engine": lambda: work(method).engine(STEPS), "reference loop": lambda: work(method).reference_step(STEPS)}
    )
    alternation.run(benchmark, rounds(3))
    text = alternation.against(benchmark, STEPS)
    with capsys.disabled():
        print(f"\n{method:22} {text}")
