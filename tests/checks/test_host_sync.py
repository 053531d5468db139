"""Host-device synchronisation in the steps of a method is named by its line."""

from __future__ import annotations

import pytest
from plugin_files import LOSS, READS_BOTH, plugged

from tlbench import checks


@pytest.mark.parametrize("name", ["dann", "mcd", "mean_teacher", "fixmatch", "shot", "pcgrad", "tent", "adabn", "kmm"])
def test_no_step_of_a_shipped_method_synchronizes(name):
    assert checks.host_syncs(name) == []


@pytest.mark.parametrize(
    ("value", "reads"),
    [("float(loss.detach())", True), ("len(y.unique())", True), ("logits[y == 1].mean()", True), ("logits[y].mean()", False)],
)
def test_a_step_that_synchronizes_is_named(value, reads, tmp_path):
    body = f"class Looks(DeepMethod):\n{READS_BOTH}" + LOSS.format(
        "logits, y = self.net(step.source.x), step.source.y\n        loss = F.cross_entropy(logits, y)\n"
        f"        return loss * {value}"
    )
    with plugged(tmp_path, "looks", body) as name:
        line = 1 + (tmp_path / "looks.py").read_text().splitlines().index(f"        return loss * {value}")
        assert checks.host_syncs(name) == ([f"looks.py:{line}"] if reads else [])
