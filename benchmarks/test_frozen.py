"""A suite on a frozen backbone, ten methods x 12 pairs x 3 seeds, beside one feature extraction and the heads' own time.

    python -m pytest benchmarks/test_frozen.py -q -s      (about 4 minutes on two cores)

The features are extracted once for all 360 cases. The rest, beside the extraction and the training and prediction of the heads,
is the engine's own: splits, networks, records.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.timing import timed
from tlbench import engine, methods, runner, suite
from tlbench.engine import frozen
from tlbench.nn import backbones
from tlbench.terms import Domain, Record

SAMPLES, SIDE, CLASSES = int(os.environ.get("TLBENCH_FROZEN_SAMPLES", "1000")), 64, 10
DOMAINS = ("first", "second", "third", "fourth")
DEEP = ("source_only", "coral", "dann", "cdan", "dan", "mcc", "shot", "adabn")
SHALLOW = ("nearest_neighbor", "logistic")

SUITE = """
name = "frozen"
version = 1
[data]
reader = "npz"
x = "x"
y = "y"
{domains}
[pairs]
all = true
[net]
backbone = "torchvision:resnet18"
frozen = true
bottleneck = 64
[train]
steps = 100
batch = 32
trace = 0
{methods}
"""


def write(folder: Path) -> Path:
    """Write four domains of images and the suite, and return its path."""
    rng = np.random.default_rng(0)
    for number, name in enumerate(DOMAINS):
        y = np.arange(SAMPLES) % CLASSES
        x = rng.integers(0, 64, (SAMPLES, 3, SIDE, SIDE), dtype=np.uint8)
        for label in range(CLASSES):  # a bright bar, whose place is the class and whose shade the domain
            x[y == label, :, 6 * label : 6 * label + 6, :] += np.uint8(60 + 40 * number)
        np.savez(folder / f"{name}.npz", x=x, y=y)
    path = folder / "frozen.toml"
    entries = "\n".join(f"[methods.{name}]" for name in (*DEEP, *SHALLOW))
    domains = "\n".join(f'[domains.{name}]\npath = "{name}.npz"' for name in DOMAINS)
    path.write_text(SUITE.format(domains=domains, methods=entries), encoding="utf-8")
    return path


def test_a_frozen_suite_costs_one_extraction_and_its_heads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, benchmark: BenchmarkFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TLBENCH_CACHE", str(tmp_path / "cache"))
    extract_features = frozen.extract_features
    extracted: list[str] = []

    def watched(domain: Domain, *arguments: Any) -> Domain:
        extracted.append(domain.name)
        return extract_features(domain, *arguments)

    monkeypatch.setattr(frozen, "extract_features", watched)
    frozen_suite = suite.load_suite(write(tmp_path), (methods.suite_errors, backbones.suite_errors))
    domains = runner.load_domains(frozen_suite, list(DOMAINS), tmp_path)
    device = torch.device("cpu")
    start = time.perf_counter()

    def run_suite() -> list[Record]:
        return [engine.run_case(case, frozen_suite, domains, device) for case in frozen_suite.cases()]

    records: list[Record] = benchmark.pedantic(run_suite, rounds=1, warmup_rounds=0)  # type: ignore[no-untyped-call]
    seconds = time.perf_counter() - start
    assert [record.reason for record in records if record.status == "failed"] == []
    assert len(records) == 10 * 12 * 3 and sorted(extracted) == sorted(DOMAINS)
    done = [record for record in records if record.status == "done"]
    feature_seconds = {record.pair: record.cost.feature_seconds or 0.0 for record in done}
    extraction = sum(feature_seconds.values()) / (2 * (len(DOMAINS) - 1))  # each domain is in 6 of the 12 pairs
    heads = sum(
        (record.cost.train_seconds or 0.0) + (record.scores.scored_samples or 0) / (record.cost.predict_samples_per_second or 1)
        for record in done
    )
    ratio = seconds / (extraction + heads)
    benchmark.extra_info.update({"seconds": seconds, "extraction": extraction, "heads": heads, "ratio": ratio})
    with capsys.disabled():
        images = f"{len(DOMAINS)} x {SAMPLES} images of {SIDE}x{SIDE}"
        print(f"\n\n{len(records)} cases ({len(done)} done) on a frozen resnet18, {images}")
        print(f"  the suite {seconds:.1f} s; extraction {extraction:.1f} s, heads {heads:.1f} s")
        print(f"  suite / (extraction + heads): {ratio:.3f}   aim: at most 1.30")


@pytest.mark.parametrize("switch", ["learning", "frozen"])
def test_a_case(switch: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, benchmark: BenchmarkFixture) -> None:
    """One case with a backbone that learns, and with a frozen one whose features are extracted."""
    monkeypatch.setenv("TLBENCH_CACHE", str(tmp_path / "cache"))
    text = write(tmp_path).read_text(encoding="utf-8").replace("steps = 100", "steps = 10")
    if switch == "learning":
        text = text.replace("frozen = true", "").replace("bottleneck = 64", "")
    (tmp_path / "frozen.toml").write_text(text, encoding="utf-8")
    loaded = suite.load_suite(tmp_path / "frozen.toml", (methods.suite_errors, backbones.suite_errors))
    domains = runner.load_domains(loaded, list(DOMAINS[:2]), tmp_path)
    case = next(case for case in loaded.cases() if case.entry == "coral")
    record = timed(benchmark, lambda: engine.run_case(case, loaded, domains, torch.device("cpu")), rounds=1)
    assert record.status == "done", record.reason
