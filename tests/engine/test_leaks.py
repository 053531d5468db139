"""A method sees the splits that it reads and nothing else; labels of scored samples move no prediction."""

from __future__ import annotations

import pytest
import torch
from engine_runs import (
    ALL_GRANTS,
    LABELED_TARGET_SUITE,
    blob_domains,
)
from method_choice import others_slow
from plugin_files import plugged
from tiny_suite import CPU, case, domain, suite_of

from tlbench import engine, methods
from tlbench.engine.runtime import metrics
from tlbench.terms import Labelled


def turned(rows: Labelled) -> Labelled:
    return Labelled(rows.x, (rows.y + 1) % 3)


@pytest.mark.parametrize("scored", ["test", "adapted"])
@pytest.mark.parametrize("name", others_slow(methods.method_names()))
def test_labels_of_scored_samples_move_no_prediction(monkeypatch, name, scored):
    """Through all of `engine.run_case`: other labels on the scored samples give other accuracies and the same predictions."""
    if scored == "adapted" and "target_labeled" in methods.method_class(name).reads:
        pytest.skip("its granted labels are drawn by class from the same rows")
    protocol = {"target_labels": 3 if scored == "test" else 0, "scored": scored, "grants": ALL_GRANTS}
    train = {"steps": 30, "lr": 0.01}
    tables = {"protocol": protocol, "train": train, "net": {"batch_norm": True}, "methods": {"source_only": {}}}
    chosen = suite_of(name, 4, **tables)
    plain = blob_domains()
    b = plain["b"]
    other = domain("b", b.samples, turned(b.test)) if scored == "test" else domain("b", turned(b.samples))
    seen: list[list[torch.Tensor]] = []
    records_ = []
    predicted = metrics.predicted_classes
    for target in (b, other):
        seen.append([])
        monkeypatch.setattr(
            metrics, "predicted_classes", lambda scores, kept=seen[-1]: kept.append(scores) or predicted(scores)
        )
        records_.append(engine.run_case(case(name), chosen, {**plain, "b": target}, CPU))
    one, two = records_
    assert one.status == two.status == "done", one.reason
    assert len(seen[0]) >= 2  # scored rows and kept source rows
    assert all(torch.equal(x, y) for x, y in zip(*seen, strict=True))
    assert one.scores.target_accuracy != two.scores.target_accuracy
    assert one.scores.source_accuracy == two.scores.source_accuracy
    assert one.scores.trace == two.scores.trace


def test_a_task_holds_what_the_method_reads_and_nothing_else(tmp_path):
    body = (
        "SEEN = []\nclass Notes(ShallowMethod):\n    reads = frozenset({'target'})\n"
        "    def fit(self, task: Task) -> Predictor:\n        SEEN.append(task)\n"
        "        return lambda x: torch.zeros(len(x), task.classes)\n"
    )
    with plugged(tmp_path, "notes", body) as name:
        record = engine.run_case(case(name), LABELED_TARGET_SUITE, blob_domains(), CPU)
        (task,) = methods.method_class(name).fit.__globals__["SEEN"]
    assert record.status == "done" and record.reads == ("target",)
    assert task.source is None and task.target_labeled is None and isinstance(task.target, torch.Tensor)
    assert task.target.shape == (33 - 9, 4)


def test_a_method_can_not_ask_for_splits_that_it_does_not_read(tmp_path):
    body = (
        "class Peek(DeepMethod):\n    reads = frozenset({'source'})\n"
        "    def phases(self):\n        return (Phase(self.supervised, self.reads, begin=self.look),)\n"
        "    def look(self, rows: Passes) -> None:\n        rows.map('target', lambda x: x)\n"
    )
    with plugged(tmp_path, "peek", body) as name:
        record = engine.run_case(case(name), LABELED_TARGET_SUITE, blob_domains(), CPU)
    assert record.status == "failed" and "passes over the split 'target', which its phase does not name" in record.reason
