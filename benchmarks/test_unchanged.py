"""Accuracy is unchanged by each switch of the engine: paired differences on mnist_usps, the switch on minus the switch off.

    .venv/bin/python -m pytest benchmarks/test_unchanged.py -q -s      (about 15 minutes on two cores)

Both runs of a pair start from the same network and draw the same batches; what is left is rounding, and what training makes of
it. The interval is a paired t over methods, pairs and seeds (95 %). TLBENCH_SWITCH_SEEDS (16), TLBENCH_SWITCH_STEPS (120) and
TLBENCH_SWITCH_METHODS (source_only) make it longer or shorter, TLBENCH_DATA names the data. A switch that this machine
can't run is skipped and says why.
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
PLAIN = {"steps": STEPS, "trace": 0, "layout": "contiguous", "precision": "fp32", "compile": "off", "vmap_seeds": "off"}
WIDEST = 1.0
"""Points that an interval may be wide."""

SWITCHES: dict[str, dict[str, Any]] = {
    "layout": {"layout": "channels_last"},
    "bf16": {"precision": "bf16"},
    "compile": {"compile": "step"},
    "graph": {"compile": "graph"},
    "together": {"vmap_seeds": "on"},
    "resident": {"resident": "off"},
}
Outcome = dict[tuple[str, str, int], float]


@pytest.fixture(scope="module")
def world() -> tuple[suite.Suite, dict[str, Domain], dict[str, Outcome]]:
    """The suite, its domains, and the accuracies without any switch, which all compare with."""
    if not (ROOT / "usps" / "usps.npz").is_file():
        pytest.skip(f"no usps/usps.npz in {ROOT}; set TLBENCH_DATA")
    chosen = suite.load_suite(suite.locate_suite("mnist_usps"))
    return chosen, runner.load_domains(chosen, ["mnist", "usps"], ROOT), {}


def cells(chosen: suite.Suite, seeds: int) -> list[list[Case]]:
    """The cases, those that differ in their seed alone together."""
    cases = chosen.cases(entries=METHODS, seeds=range(seeds))
    results: dict[tuple[str, str], list[Case]] = {}
    for case in cases:
        results.setdefault((case.entry, case.pair), []).append(case)
    return list(results.values())


def accuracies(
    chosen: suite.Suite, domains: dict[str, Domain], net: dict[str, Any] | None = None, seeds: int = SEEDS, **train: Any
) -> tuple[Outcome, set[str]]:
    """Accuracy in per cent of every case, and the notes of all."""
    settled = chosen.train.model_copy(update={**PLAIN, **train})
    network = chosen.net.model_copy(update=net or {})
    switched = suite.Suite(**{**vars(chosen), "train": settled, "net": network})
    results: Outcome = {}
    notes: set[str] = set()
    for cell in cells(chosen, seeds):
        records: list[Record] = engine.run_seeds(cell, switched, domains, DEVICE)
        for record in records:
            assert record.status == "done" and record.scores.target_accuracy is not None, record.reason
            results[record.entry, record.pair, record.seed] = 100 * record.scores.target_accuracy
            notes.update(record.notes)
    return results, notes


def report(
    name: str, off: Outcome, on: Outcome, notes: set[str], benchmark: BenchmarkFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    """Print the paired difference and hold it to its requirement."""
    differences = np.array([on[cell] - off[cell] for cell in off])
    mean, error = float(differences.mean()), float(differences.std(ddof=1) / np.sqrt(len(differences)))
    margin = float(stats.t.ppf(0.975, len(differences) - 1)) * error
    benchmark.extra_info.update({"mean": mean, "low": mean - margin, "high": mean + margin, "cells": len(differences)})
    with capsys.disabled():
        print(
            f"\n  {name:9} {mean:+.3f} points [{mean - margin:+.3f}, {mean + margin:+.3f}] over {len(differences)} cells",
            end="",
        )
        print(f", largest {np.abs(differences).max():.2f}, {DEVICE}; " + "; ".join(sorted(notes)), end="")
    assert 2 * margin < WIDEST, "too few cells to tell: raise TLBENCH_SWITCH_SEEDS"
    assert mean - margin <= 0 <= mean + margin, "accuracy has changed"


@pytest.mark.filterwarnings("ignore")  # those of the compiler
@pytest.mark.parametrize("name", SWITCHES)
def test_a_switch_leaves_accuracy_as_it_is(
    name: str,
    world: tuple[suite.Suite, dict[str, Domain], dict[str, Outcome]],
    benchmark: BenchmarkFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    chosen, domains, known = world
    if name == "graph" and DEVICE.type != "cuda":
        pytest.skip("CUDA graphs need a CUDA device: torch.cuda.is_available() is False")
    if name == "compile" and DEVICE.type == "cpu" and not any(map(shutil.which, ("g++", "clang++", "c++"))):
        pytest.skip("torch.compile needs a C++ compiler, and none is found")
    if "off" not in known:
        known["off"] = accuracies(chosen, domains)[0]
    on, notes = benchmark.pedantic(accuracies, (chosen, domains), SWITCHES[name], rounds=1)  # type: ignore[no-untyped-call]
    assert not any(f"{name} off" in note for note in notes), notes
    report(name, known["off"], on, notes, benchmark, capsys)


def test_the_feature_cache_leaves_accuracy_as_it_is(
    world: tuple[suite.Suite, dict[str, Domain], dict[str, Outcome]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    benchmark: BenchmarkFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Features made anew, and features of the cache."""
    chosen, domains, _ = world
    net = {"frozen": True, "bottleneck": 128}
    monkeypatch.setenv("TLBENCH_CACHE", "off")
    off, _ = accuracies(chosen, domains, net, 2)
    monkeypatch.setenv("TLBENCH_CACHE", str(tmp_path))
    engine.frozen.clear_features()
    accuracies(chosen, domains, net, 1, steps=1)  # fills it
    engine.frozen.clear_features()
    on, notes = benchmark.pedantic(accuracies, (chosen, domains, net, 2), rounds=1)  # type: ignore[no-untyped-call]
    assert torch.cuda.is_available() or on == off  # on a CPU bit for bit
    differences = np.array([on[cell] - off[cell] for cell in off])
    with capsys.disabled():
        print(f"\n  features  {differences.mean():+.3f} points, largest {np.abs(differences).max():.2f}, {DEVICE}", end="")
    assert np.abs(differences).mean() < WIDEST / 2
    assert notes
