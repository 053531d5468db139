"""Each switch of the engine leaves accuracy unchanged: paired differences on mnist_usps, the switch on minus the switch off.

    python -m pytest benchmarks/test_unchanged.py -q -s      (about 15 minutes on two cores)

Both runs start from the same network and draw the same batches; they differ by rounding, which training amplifies. The 95 % CI
is that of a paired t over methods, pairs and seeds. TLBENCH_SWITCH_SEEDS (16), TLBENCH_SWITCH_STEPS (120) and
TLBENCH_SWITCH_METHODS (source_only) make the benchmark longer or shorter, and TLBENCH_DATA is the folder of the data. A switch
that this machine can't run is skipped with the reason.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture
from scipy import stats

from tlbench import engine, runner, suite
from tlbench.terms import Case, Domain, Record

SEEDS = int(os.environ.get("TLBENCH_SWITCH_SEEDS", "16"))
STEPS = int(os.environ.get("TLBENCH_SWITCH_STEPS", "120"))
METHODS = os.environ.get("TLBENCH_SWITCH_METHODS", "source_only").split(",")
ROOT = Path(os.environ.get("TLBENCH_DATA") or Path(__file__).parents[2] / "shared" / "data")
DEVICE = engine.device_of("auto")
ALL_OFF = {"steps": STEPS, "trace": 0, "layout": "contiguous", "precision": "fp32", "compile": "off", "vmap_seeds": "off"}
MAX_WIDTH = 1.0
"""The largest width of the CI, in points."""

SWITCHES: dict[str, dict[str, Any]] = {
    "layout": {"layout": "channels_last"},
    "bf16": {"precision": "bf16"},
    "compile": {"compile": "step"},
    "graph": {"compile": "graph"},
    "vmap_seeds": {"vmap_seeds": "on"},
    "resident": {"resident": "off"},
}
Accuracies = dict[tuple[str, str, int], float]
"""Accuracy in per cent, by method entry, pair and seed."""
Loaded = tuple[suite.Suite, dict[str, Domain], dict[str, Accuracies]]
"""The suite, its domains, and a cache of the accuracies without any switch."""


@pytest.fixture(scope="module")
def loaded() -> Loaded:
    if not (ROOT / "usps" / "usps.npz").is_file():
        pytest.skip(f"There is no usps/usps.npz in {ROOT}. Set TLBENCH_DATA.")
    mnist_usps = suite.load_suite(suite.locate_suite("mnist_usps"))
    return mnist_usps, runner.load_domains(mnist_usps, ["mnist", "usps"], ROOT), {}


def cases_by_cell(plain: suite.Suite, seeds: int) -> list[list[Case]]:
    """The cases of the suite, grouped by those that differ in their seed alone."""
    cells: dict[tuple[str, str], list[Case]] = {}
    for case in plain.cases(entries=METHODS, seeds=range(seeds)):
        cells.setdefault((case.entry, case.pair), []).append(case)
    return list(cells.values())


def accuracies(
    plain: suite.Suite, domains: dict[str, Domain], net: dict[str, Any] | None = None, seeds: int = SEEDS, **train: Any
) -> tuple[Accuracies, set[str]]:
    """The accuracy of every case with switches on, and the notes of their records.

    Args:
        plain: the suite.
        domains: its domains.
        net: changes of its `[net]`.
        seeds: the number of seeds.
        train: changes of its `[train]`, on top of `ALL_OFF`.
    """
    training = plain.train.model_copy(update={**ALL_OFF, **train})
    network = plain.net.model_copy(update=net or {})
    switched = suite.Suite(**{**vars(plain), "train": training, "net": network})
    results: Accuracies = {}
    notes: set[str] = set()
    for cell in cases_by_cell(plain, seeds):
        records: list[Record] = engine.run_seeds(cell, switched, domains, DEVICE)
        for record in records:
            assert record.status == "done" and record.scores.target_accuracy is not None, record.reason
            results[record.entry, record.pair, record.seed] = 100 * record.scores.target_accuracy
            notes.update(record.notes)
    return results, notes


def report(
    name: str, off: Accuracies, on: Accuracies, notes: set[str], benchmark: BenchmarkFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    """Print the paired difference, and assert that its CI is narrow and holds zero."""
    differences = np.array([on[cell] - off[cell] for cell in off])
    mean, error = float(differences.mean()), float(differences.std(ddof=1) / np.sqrt(len(differences)))
    margin = float(stats.t.ppf(0.975, len(differences) - 1)) * error
    benchmark.extra_info.update({"mean": mean, "low": mean - margin, "high": mean + margin, "cells": len(differences)})
    with capsys.disabled():
        interval = f"[{mean - margin:+.3f}, {mean + margin:+.3f}]"
        print(f"\n  {name:10} {mean:+.3f} points {interval} over {len(differences)} cells", end="")
        print(f", largest {np.abs(differences).max():.2f}, {DEVICE}; " + "; ".join(sorted(notes)), end="")
    assert 2 * margin < MAX_WIDTH, "too few cells to tell: raise TLBENCH_SWITCH_SEEDS"
    assert mean - margin <= 0 <= mean + margin, "accuracy has changed"


@pytest.mark.filterwarnings("ignore")  # the compiler warns
@pytest.mark.parametrize("name", SWITCHES)
def test_a_switch_leaves_accuracy_as_it_is(
    name: str,
    loaded: Loaded,
    benchmark: BenchmarkFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    plain, domains, cached = loaded
    if name == "graph" and DEVICE.type != "cuda":
        pytest.skip("CUDA graphs need a CUDA device, and torch.cuda.is_available() is False.")
    if name == "compile" and DEVICE.type == "cpu" and not any(map(shutil.which, ("g++", "clang++", "c++"))):
        pytest.skip("torch.compile needs a C++ compiler, and there is none on the path.")
    if "off" not in cached:
        cached["off"] = accuracies(plain, domains)[0]
    on, notes = benchmark.pedantic(accuracies, (plain, domains), SWITCHES[name], rounds=1)  # type: ignore[no-untyped-call]
    assert not any(f"{name} off" in note or "not vmapped" in note for note in notes), notes
    report(name, cached["off"], on, notes, benchmark, capsys)


def test_the_feature_cache_leaves_accuracy_as_it_is(
    loaded: Loaded,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    benchmark: BenchmarkFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Features that are extracted, and features from the cache."""
    plain, domains, _ = loaded
    net = {"frozen": True, "bottleneck": 128}
    monkeypatch.setenv("TLBENCH_CACHE", "off")
    off, _ = accuracies(plain, domains, net, 2)
    monkeypatch.setenv("TLBENCH_CACHE", str(tmp_path))
    engine.frozen.clear_features()
    accuracies(plain, domains, net, 1, steps=1)  # fills the cache
    engine.frozen.clear_features()
    on, notes = benchmark.pedantic(accuracies, (plain, domains, net, 2), rounds=1)  # type: ignore[no-untyped-call]
    assert torch.cuda.is_available() or on == off  # on a CPU they are equal to the bit
    differences = np.array([on[cell] - off[cell] for cell in off])
    with capsys.disabled():
        print(f"\n  features   {differences.mean():+.3f} points, largest {np.abs(differences).max():.2f}, {DEVICE}", end="")
    assert np.abs(differences).mean() < MAX_WIDTH / 2
    assert notes
