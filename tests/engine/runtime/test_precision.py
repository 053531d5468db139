"""Precision: bf16 of the backbone alone, and torch's settings on a GPU."""

from __future__ import annotations

import pytest
import torch
from engine_runs import (
    run_done,
    short_suite,
)
from plugin_files import plugged
from tiny_suite import CPU

from tlbench import methods
from tlbench.engine.runtime.precision import matmul_precision, resolve_precision
from tlbench.suite import Training

SEES = (
    "SEEN = []\nclass Sees(DeepMethod):\n    reads = frozenset({'source', 'target'})\n"
    "    def loss(self, step: Step) -> Tensor:\n"
    "        features, _ = self.net.features(step.source.x, step.target)\n"
    "        SEEN.append((features.dtype, (features @ features.T).dtype, self.net.head(features).dtype))\n"
    "        return F.cross_entropy(self.net.head(features), step.source.y)\n"
)


def test_bf16_is_of_the_backbone_alone(tmp_path):
    with plugged(tmp_path, "sees", SEES) as name:
        record = run_done(name, short_suite(precision="bf16"))
        assert set(methods.method_class(name).loss.__globals__["SEEN"]) == {(torch.float32,) * 3}
    assert record.machine.precision == "bf16"


@pytest.mark.parametrize("name", ["dan", "coral", "mean_teacher"])
def test_bf16_changes_losses_by_its_rounding(name):
    plain, half = run_done(name, short_suite()), run_done(name, short_suite(precision="bf16"))
    assert (plain.machine.precision, half.machine.precision) == ("fp32", "bf16")
    assert plain.identity != half.identity
    both = [[point.loss for point in record.scores.trace] for record in (plain, half)]
    assert both[0] != both[1] and both[0] == pytest.approx(both[1], rel=0.1, abs=0.02)
    assert half.scores.target_accuracy == pytest.approx(plain.scores.target_accuracy, abs=0.05)


def test_precision_says_what_ran():
    assert [resolve_precision(Training(precision=p), CPU) for p in ("auto", "fp32", "tf32", "bf16")] == [
        "fp32",
        "fp32",
        "fp32",
        "bf16",
    ]
    assert run_done("nearest_neighbor", short_suite(precision="bf16")).machine.precision == "fp32"


def test_a_gpu_computes_as_asked_and_the_same_each_time():
    """torch's settings, which can be set without a GPU; they are put back."""

    def settings():
        cudnn = torch.backends.cudnn
        return torch.backends.cuda.matmul.allow_tf32, cudnn.allow_tf32, cudnn.deterministic, cudnn.benchmark

    before = settings()
    for precision in ("fp32", "tf32", "bf16"):
        with matmul_precision(precision, torch.device("cuda")):
            assert settings() == (precision == "tf32", precision == "tf32", True, False)
        assert settings() == before
    with matmul_precision("tf32", CPU):
        assert settings() == before
