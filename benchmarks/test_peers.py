"""DANN and MCC with LeNet, batches of 128 + 128 of 28x28, fp32, CPU: the engine's defaults beside scripts and peers.

Times are printed and saved, never asserted. It is asserted that each contender learns from the same initial weights.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks import peers
from benchmarks.contenders import BATCH, Ready, Work
from benchmarks.timing import SHORT, Alternation, rounds

STEPS = 5 if SHORT else 20
AIMS = {"PIL": 1.7, "pytorch-adapt": 1.3}
"""Substring of a contender's name -> the least factor by which the engine should exceed its samples per second."""


@functools.cache
def work(method: str) -> Work:
    return Work("lenet", method)


def contenders(method: str) -> dict[str, Callable[[int], Ready]]:
    """By name, a function that prepares a training of so many steps."""
    prepared = work(method)
    results: dict[str, Callable[[int], Ready]] = {"engine": prepared.engine, "reference loop": prepared.reference_loop}
    if method == "dann":
        results |= {
            "reference loop, contiguous": lambda steps: prepared.reference_loop(steps, channels_last=False),
            "PIL + DataLoader": lambda steps: prepared.script(steps, encoded=False, workers=0),
            "PIL + DataLoader, 2 workers": lambda steps: prepared.script(steps, encoded=False, workers=2),
            "PNG + PIL + DataLoader": lambda steps: prepared.script(steps, encoded=True, workers=0),
        }
    if peers.missing_reason("pytorch_adapt") is None:
        results["pytorch-adapt, its loader"] = lambda steps: peers.pytorch_adapt(prepared, steps, loader=True)
        results["pytorch-adapt, batches by index"] = lambda steps: peers.pytorch_adapt(prepared, steps, loader=False)
    if method == "dann" and peers.missing_reason("skada") is None:
        results["skada"] = lambda steps: peers.skada(prepared, steps)
    return results


@pytest.mark.parametrize("encoded", [False, True])
def test_the_script_computes_the_losses_of_the_reference_loop(encoded: bool) -> None:
    expected = work("dann").reference_loop(10)()
    assert work("dann").script(10, encoded=encoded, workers=0)() == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize(("package", "method"), [("pytorch_adapt", "dann"), ("pytorch_adapt", "mcc"), ("skada", "dann")])
def test_a_peer_takes_the_same_steps_and_learns(package: str, method: str) -> None:
    if reason := peers.missing_reason(package):
        pytest.skip(reason)
    for name, ready in contenders(method).items():
        if name.startswith(package.replace("_", "-")):
            losses = ready(20)()
            assert len(losses) == 20 and sum(losses[-5:]) < sum(losses[:5])


@pytest.mark.benchmark(group=f"LeNet, batches of {BATCH} + {BATCH} of 28x28, alternating")
@pytest.mark.parametrize("method", ["dann", "mcc"])
def test_beside_others(method: str, benchmark: BenchmarkFixture, capsys: pytest.CaptureFixture[str]) -> None:
    alternation = Alternation({name: functools.partial(ready, STEPS) for name, ready in contenders(method).items()})
    alternation.run(benchmark, rounds(5))
    rates = {name: 2 * BATCH * STEPS / alternation.median(name) for name in alternation.seconds}
    ratios = {name: alternation.ratio(name, "engine") for name in alternation.seconds if name != "engine"}
    benchmark.extra_info["ratios"] = {f"engine's samples per second / {name}'s": ratio for name, ratio in ratios.items()}
    alternation.save_seconds(benchmark, STEPS)
    left_out = [reason for package in ("pytorch_adapt", "skada") if (reason := peers.missing_reason(package))]
    with capsys.disabled():
        print(
            f"\n\n{method}, LeNet, {BATCH} + {BATCH} samples of 28x28, fp32, {torch.get_num_threads()} threads, torch "
            f"{torch.__version__}; {len(alternation.seconds['engine'])} alternating rounds of {STEPS} steps"
        )
        for name, value in rates.items():
            text = "" if name == "engine" else f"  engine has {ratios[name]['paired']:.2f} times as many"
            print(f"  {name:32} {value:8,.0f} samples/s{text}")
        for family, aim in AIMS.items():
            if names := [name for name in rates if family in name]:
                fastest = max(names, key=rates.__getitem__)
                print(f"  against {fastest}, the fastest of its kind: {ratios[fastest]['paired']:.2f} (aim: at least {aim})")
        print("".join(f"  left out: {reason}\n" for reason in left_out), end="")
