"""The engine's step beside the reference steps: every deep method that test_step.py leaves out, on LeNet, in fp32 on a CPU.

Both start from the same weights and draw the same samples, views and folds; it is asserted that they give the same losses
and end with the same predictions. Times are printed and saved, never asserted: they depend on the machine. A run is a short
training with all that a method does beside its steps: passes over a domain, fits of weights, pseudo-labels. For adabn and tent
it is what follows the training on the source, a pass over the target or the stream, and a step is one of its batches.
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
TWO_PHASES = {"linear_probe", "fine_tune", "shot_im", "shot", "nrc", "aad", "cowa"}
"""Methods that change their loss after 50 % of the steps."""
RISING_LOSSES = {"fixmatch", "cowa", "dsan", "pseudo_label", "codats"}
"""Methods whose loss may rise in the first steps: as samples pass a threshold, a weight grows with the progress, or domains
become hard to tell apart."""
TOLERANCES = {
    "nrc": (2e-2, 2e-2),
    "vada": (1e-3, 1e-2),
    "wdgrl": (3e-2, 1e-1),
    **dict.fromkeys(("shot_im", "shot", "aad", "cowa", "safn"), (1e-4, 1e-2)),
}
"""Of losses and logits. Adam enlarges rounding where gradients are small, and a rounded feature may change a neighbour."""


@functools.cache
def work(method: str) -> Work:
    return Work("lenet", method)


def test_reference_steps_are_of_deep_methods() -> None:
    """Those that came later are held to their authors' losses in the tests, and have no reference loop yet."""
    assert {*REFERENCE_STEPS, *reference_loop.TERMS, "source_only"} <= {*throughput.deep_methods()}


@pytest.mark.parametrize("method", REFERENCE_STEPS)
def test_both_compute_the_same(method: str) -> None:
    """The losses of 10 steps and the logits after them; tent has losses on the source, and then entropies on the stream."""
    steps = 10
    engine, reference = work(method).engine(steps), work(method).reference_step(steps)
    expected, (of_losses, of_logits) = reference(), TOLERANCES.get(method, (1e-4, 1e-3))
    assert engine() == pytest.approx(expected, abs=of_losses)
    with torch.no_grad():
        torch.testing.assert_close(engine.logits(), reference.logits(), rtol=0, atol=of_logits)
    if method not in RISING_LOSSES:  # else the losses compared would be those of an untrained network
        ends = (steps // 2, steps) if method in TWO_PHASES else (steps,)
        assert all(expected[end - 1] < expected[end - ends[0]] - 0.01 for end in ends)


@pytest.mark.parametrize("method", THRESHOLDS)
def test_the_network_is_confident_on_some_samples(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise the losses above would be those of source_only."""
    losses = work(method).reference_step(10)()
    monkeypatch.setitem(THRESHOLDS, method, 2.0)
    losses_without = work(method).reference_step(10)()
    assert max(abs(a - b) for a, b in zip(losses, losses_without, strict=True)) > 0.01


@pytest.mark.benchmark(group=f"engine and reference steps alternating, batches of {BATCH} of each split")
@pytest.mark.parametrize("method", REFERENCE_STEPS)
def test_each(method: str, benchmark: BenchmarkFixture, capsys: pytest.CaptureFixture[str]) -> None:
    alternation = Alternation(
        {"engine": lambda: work(method).engine(STEPS), "reference loop": lambda: work(method).reference_step(STEPS)}
    )
    alternation.run(benchmark, rounds(3))
    text = alternation.compare_with_reference(benchmark, STEPS)
    with capsys.disabled():
        print(f"\n{method:22} {text}")
