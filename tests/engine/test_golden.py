"""Golden losses: numbers that a change should not change.

`python tests/engine/test_golden.py` writes tests/golden/losses_cpu.json anew: only where numbers are meant to change.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tlbench import checks, records
from tlbench.engine.data.inputs import map_in_chunks
from tlbench.terms import SPLITS

GOLDEN = Path(__file__).parents[1] / "golden"
GOLDEN_METHODS = ("source_only", "coral", "dann", "fine_tune", "multi_task", "discriminator_reweight", "linear_probe")
GOLDEN_STEPS = (0, 1, 2, 5, 10, 20, 29)


def losses() -> dict[str, list[list[float]]]:
    """(step, loss) of some methods on the toy task."""
    by_method = {}
    for name in GOLDEN_METHODS:
        fitted = checks.fit_method(name, checks.toy_task(), steps=30)
        by_method[name] = [[step, fitted.outcome.losses[step]] for step in GOLDEN_STEPS]
    return by_method


def test_golden_losses():
    """A change that should change no number leaves these lines as they are; CPUs differ by rounding alone."""
    golden = json.loads((GOLDEN / "losses_cpu.json").read_text(encoding="utf-8"))
    now = losses()
    assert set(golden) == set(now)
    for name, lines in golden.items():
        assert [step for step, _ in lines] == list(GOLDEN_STEPS)
        assert [loss for _, loss in now[name]] == pytest.approx([loss for _, loss in lines], rel=1e-4), name


def test_a_record_of_schema_1_loads_for_ever():
    (record,) = records.read(GOLDEN / "record_schema1.jsonl")
    assert (record.schema_, record.suite, record.suite_version, record.entry, record.method) == (
        *(1, "quickstart", 1),
        *("dann_strong", "dann"),
    )
    assert (record.pair, record.sources, record.seed, record.status) == (
        *("upright+noisy:rotated", ("upright", "noisy")),
        *(2, "done"),
    )
    assert record.options == {"weight": 3.0, "hidden": 256, "gamma": 10.0}
    assert record.scores.target_accuracy == 0.6234567890123457
    assert record.scores.per_class_accuracy == {"0": 1.0, "1": 0.25, "zwölf": None}
    assert record.scores.trace[0].target_entropy == 1.25 and record.scores.trace[1].loss is None
    assert record.cost.train_samples_per_second == 8123.5 and record.cost.energy_joules is None
    assert record.machine.device == "NVIDIA H200" and record.code.commit == "0123456789abcdef0123456789abcdef01234567"
    assert record.finished == "2025-01-31T12:00:09.250+00:00"


def test_splits_are_three():
    assert SPLITS == ("source", "target", "target_labeled")
    x = checks.toy_samples(4, 20)
    fitted = checks.fit_method("source_only", checks.toy_task(), steps=2)
    assert map_in_chunks(fitted.predictor, x.x, fitted.inputs, 7).shape == (20, 3)


if __name__ == "__main__":
    text = ",\n".join(f"  {json.dumps(name)}: {json.dumps(lines)}" for name, lines in losses().items())
    (GOLDEN / "losses_cpu.json").write_text("{\n" + text + "\n}\n", encoding="utf-8")
    sys.exit()
