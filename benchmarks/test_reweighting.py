"""Kernel mean matching with 2,000 + 2,000 samples: ours and skada's, alternating, on the same samples with the same kernel.

It is asserted that ours reaches the same objective or a lower one. Times are printed and saved, never asserted.
"""

from __future__ import annotations

import statistics
import time
from typing import Any

import numpy as np
import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture
from torch import Tensor

from benchmarks.timing import timed
from tlbench import methods
from tlbench.solvers.kernels import gaussian, nystrom
from tlbench.terms import Labelled, Task

skada = pytest.importorskip("skada", reason="skada is not installed; pip install 'tlbench[peers]'")

SAMPLES, ROUNDS = 2000, 5


def samples(columns: int, shift: float, count: int = SAMPLES) -> tuple[Tensor, Tensor]:
    """Two Gaussians: the target is narrower, and `shift` away in every column."""
    generator = torch.Generator().manual_seed(0)
    source = torch.randn(count, columns, generator=generator, dtype=torch.float64)
    return source, 0.8 * torch.randn(count, columns, generator=generator, dtype=torch.float64) + shift


def ours(source: Tensor, target: Tensor, gamma: float, **options: Any) -> Tensor:
    """The weights of `kmm`, all options but the width at their defaults."""
    y = torch.zeros(len(source), dtype=torch.int64)
    kind: Any = methods.method_class("kmm")
    return kind(**methods.method_options("kmm", {"gamma": gamma, **options})).weights(Labelled(source, y), target, Task(1))


def theirs(source: Tensor, target: Tensor, gamma: float) -> Tensor:
    """The weights of skada's adapter, all options but the width at their defaults (Frank-Wolfe, 1,000 steps)."""
    adapter = skada.KMMReweightAdapter(gamma=gamma)
    adapter.fit(np.concatenate([source, target]), sample_domain=np.r_[np.ones(len(source)), -np.ones(len(target))])
    return torch.tensor(adapter.source_weights_)


def objective(w: Tensor, source: Tensor, target: Tensor, gamma: float) -> float:
    """The objective of KMM, 1/2 w'Kw - kappa'w, for weights w (N,)."""
    kappa = len(source) / len(target) * gaussian.gram(source, target, gamma).sum(dim=1)
    return float(0.5 * w @ (gaussian.gram(source, source, gamma) @ w) - kappa @ w)


@pytest.mark.parametrize(("columns", "shift"), [(2, 1.0), (20, 0.5)])
def test_kmm(benchmark: BenchmarkFixture, capsys: pytest.CaptureFixture[str], columns: int, shift: float) -> None:
    source, target = samples(columns, shift)
    torch.manual_seed(0)
    gamma = nystrom.pooled_median_gamma(source, target)
    contenders = {"ours": ours, "skada": theirs}
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    results: dict[str, Tensor] = {}

    def run_both() -> None:
        order = list(contenders) if len(seconds["ours"]) % 2 else list(contenders)[::-1]
        for name in order:
            start = time.perf_counter()
            results[name] = contenders[name](source, target, gamma)
            seconds[name].append(time.perf_counter() - start)

    timed(benchmark, run_both, rounds=ROUNDS)
    values = {name: objective(w, source, target, gamma) for name, w in results.items()}
    assert values["ours"] <= values["skada"] + 1e-6 * abs(values["skada"])
    timed_seconds = {name: times[-ROUNDS:] for name, times in seconds.items()}  # without the warm-up
    paired = statistics.median(a / b for a, b in zip(timed_seconds["ours"], timed_seconds["skada"], strict=True))
    benchmark.extra_info.update({"seconds": timed_seconds, "objective": values, "paired": paired})
    with capsys.disabled():
        sizes = f"{SAMPLES} + {SAMPLES} samples of {columns} columns"
        print(f"\n\nKMM, {sizes}, {torch.get_num_threads()} threads, {ROUNDS} alternating rounds")
        for name, times in timed_seconds.items():
            print(f"  {name:6} {statistics.median(times):7.3f} s (fastest {min(times):.3f})  objective {values[name]:.1f}")
        print(f"  ours / skada {paired:.3f} paired   aim: at most 1")
