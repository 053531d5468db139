"""Fakes that a leaderboard must not take: each lie about one fact of a right results file is refused, by name."""

from __future__ import annotations

import hashlib
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
from tiny_results import results_file_of, rewrite, run_tiny_suite
from tiny_suite import record

from tlbench import api, checks, records
from tlbench.checks.costs import cost_errors
from tlbench.checks.known_labels import KnownLabels
from tlbench.checks.scores import score_errors
from tlbench.errors import TlbenchError
from tlbench.terms import Cost, Scores


@pytest.fixture(scope="module")
def ran(tmp_path_factory) -> Path:
    """A folder with the tiny suite, its data and its results."""
    return run_tiny_suite(tmp_path_factory.mktemp("ran"))


@pytest.fixture
def file(ran, tmp_path) -> Path:
    """A copy of coral's results with a clean commit, and source_only's results beside it."""
    return results_file_of(ran, tmp_path)


def error_of(ran, file) -> str:
    with pytest.raises(TlbenchError) as raised:
        checks.check_contribution(file, api.load_suite(ran / "tiny.toml"))
    return str(raised.value)


def block(name, **changes):
    return lambda facts: facts[name].update(changes)


LIES = {
    "macro F1": (block("scores", macro_f1=0.123), "The macro F1 of its predictions is"),
    "no macro F1": (block("scores", macro_f1=None), "and macro_f1 is None."),
    "a class": (lambda facts: facts["scores"]["per_class_accuracy"].update({"0": 0.123}), "per_class_accuracy of '0' is 0.123"),
    "classes": (block("scores", per_class_accuracy={"0": 1.0}), "Its predictions name 3 classes"),
    "an accuracy": (block("scores", target_accuracy=0.0), "and target_accuracy is 0."),
    "no predictions": (block("scores", predictions=None), "It names no predictions, and its scores can't be derived."),
    "no engine": (block("code", engine=None), "code.engine: 6 records of schema 3 state no version of the engine"),
    "other predictions": (block("scores", predictions="0" * 16), "Its predictions 0000000000000000 are not beside it"),
    "a path": (block("scores", predictions="../../x"), "Its predictions ../../x are not beside it"),
    "a group": (block("scores", per_group_accuracy={"x": 0.0, "y": 0.0}), "is not between the lowest and the highest"),
    "source accuracy": (block("scores", source_accuracy=1.5), "scores.source_accuracy = 1.5 should be"),
    "samples": (block("scores", scored_rows=61), "scored_rows is 61"),
    "1e300 samples/s": (block("cost", train_samples_per_second=1e300), "cost.train_samples_per_second = 1e+300 should be"),
    "too many samples/s": (block("cost", train_samples_per_second=1e14), "train_samples_per_second is 1e+14"),
    "negative seconds": (block("cost", train_seconds=-1.0), "cost.train_seconds = -1.0 should be"),
    "a long training": (block("cost", train_seconds=1e5), "The training took 100000.0 s of a case that took"),
    "a long prediction": (block("cost", predict_samples_per_second=1e-3), "The prediction of its scored samples took"),
    "long steps": (block("cost", step_seconds_median=1e3, warm_up_steps=0), "The slower half of its steps took"),
    "negative memory": (block("cost", peak_memory_bytes=-5), "cost.peak_memory_bytes = -5 should be"),
    "negative energy": (block("cost", energy_joules=-5.0), "cost.energy_joules = -5.0 should be"),
    "other steps": (block("cost", steps=500), "cost.steps: 6 records have 500, and the suite and the method give 5."),
    "other batch": (block("cost", batch=64), "cost.batch: 6 records have 64, and the suite and the method give 8."),
    "no batch": (block("cost", batch=None), "cost.batch: 6 records have None, and the suite and the method give 8."),
    "kind": (lambda facts: facts.update(kind="shallow"), "kind: 6 records have 'shallow', and the suite"),
    "no kind": (lambda facts: facts.update(kind=None), "kind: 6 records have None"),
    "reads": (lambda facts: facts.update(reads=["source"]), "reads: 6 records have ('source',)"),
    "task": (lambda facts: facts.update(task="regression"), "task: 6 records have 'regression'"),
    "labels": (lambda facts: facts.update(target_labels=5), "target_labels: 6 records have 5, and the suite"),
    "the future": (lambda facts: facts.update(finished="2999-01-01T00:00:00+00:00"), "It was run in the future"),
    "no time": (lambda facts: facts.update(finished="yesterday"), "are not two times in ISO 8601"),
    "no zone": (lambda facts: facts.update(finished="2026-01-01T00:00:00"), "are not two times in ISO 8601"),
    "threads": (block("machine", threads=-5), "machine.threads = -5 should be"),
    "devices": (block("machine", devices=0), "machine.devices = 0 should be"),
    "places": (block("machine", places=0), "machine.places = 0 should be"),
    "a seed of 20 digits": (lambda facts: facts.update(seed=10**19), "seed = 10000000000000000000 should be"),
}  # fmt: skip


@pytest.mark.parametrize("name", LIES)
def test_a_lie_is_refused(ran, file, name):
    change, words = LIES[name]
    rewrite(file, lambda number, facts: change(facts))
    assert words in error_of(ran, file)


def write_predictions(file: Path, predicted: np.ndarray, is_correct: np.ndarray) -> str:
    """A predictions file beside a results file; its name."""
    packed, content = np.packbits(is_correct), io.BytesIO()
    np.savez_compressed(content, predicted=predicted, right=packed)
    facts = f"{predicted.dtype}{len(predicted)}".encode() + predicted.tobytes() + packed.tobytes()
    name = hashlib.sha256(facts).hexdigest()[:16]
    (file.parent / "predictions" / f"{name}.npz").write_bytes(content.getvalue())
    return name


def test_forged_predictions_of_a_first_place_contradict_the_other_entries(ran, file):
    name = write_predictions(file, (np.arange(60) % 3)[::-1].astype(np.uint8), np.ones(60, bool))
    perfect = {"target_accuracy": 1.0, "macro_f1": 1.0, "per_class_accuracy": dict.fromkeys("012", 1.0), "predictions": name}
    rewrite(file, lambda number, facts: facts["scores"].update(perfect))
    message = error_of(ran, file)
    assert re.search(r"records 1, 2, 3.*of its predictions contradict those of source_only on the same samples", message)
    assert "macro" not in message and "target_accuracy" not in message  # the file agrees with itself


def test_predictions_of_one_target_agree_over_seeds_and_entries(ran, file):
    """All seeds score the same samples: a record contradicts one of another seed of its own file."""
    file.with_name("source_only.jsonl").unlink()
    name = write_predictions(file, (np.arange(60) % 3)[::-1].astype(np.uint8), np.ones(60, bool))
    perfect = {"target_accuracy": 1.0, "macro_f1": 1.0, "per_class_accuracy": dict.fromkeys("012", 1.0), "predictions": name}
    rewrite(file, lambda number, facts: number != 5 or facts["scores"].update(perfect))
    message = error_of(ran, file)
    assert message.count("of its predictions contradict those of") == 1
    assert "record 6: " in message and "on the same samples" in message


def test_what_is_not_verified_is_said(ran, file):
    passed = checks.check_contribution(file, api.load_suite(ran / "tiny.toml"))
    assert any(sentence.startswith("Accuracies and macro F1 follow from the predictions") for sentence in passed)
    assert any(sentence.startswith("Not verified") and "throughput" in sentence for sentence in passed)


def test_hidden_files_are_no_other_entries(ran, file):
    hidden = file.with_name("._source_only.jsonl")
    hidden.write_text(file.read_text(encoding="utf-8").replace('"target_accuracy"', '"nonsense"'), encoding="utf-8")
    checks.check_contribution(file, api.load_suite(ran / "tiny.toml"))
    assert [one.name for one in records.files(file.parent.parent)] == ["coral.jsonl", "source_only.jsonl"]


def test_scores_of_a_regression_agree_with_each_other_and_with_other_entries(tmp_path):
    right = Scores(r2=0.75, rmse=2.0, mae=1.5, per_target_r2={"y": 0.75}, scored_samples=9)
    others = [record(scores=right, task="regression", entry="ridge")]
    labels = KnownLabels(tmp_path, others)
    assert [*score_errors(others[0]), *labels.errors(record(scores=right, task="regression"))] == []
    for changes, words in (
        ({"mae": 2.5}, "a mean absolute error is never the larger one"),
        ({"per_target_r2": {"y": 0.5}}, "The mean of per_target_r2 is 0.5, and r2 is 0.75."),
        ({"r2": 0.99, "per_target_r2": {"y": 0.99}}, "a variance of 400, and those of ridge 16"),
    ):
        lie = record(scores=right.model_copy(update=changes), task="regression")
        assert any(words in error for error in (*score_errors(lie), *labels.errors(lie))), words


def test_costs_are_held_to_the_limits_of_the_device_and_of_the_fit():
    fast = Cost(train_samples_per_second=1e6, train_flops_per_sample=1e9, device_flops_per_second=1e12)
    assert "takes 1e+15 FLOPs/s of a device that has 1e+12" in next(cost_errors(record(cost=fast)))
    fit = Cost(train_samples_per_second=1234.5, train_seconds=0.1, wall_seconds=1.0)
    assert "123.45 samples in the 0.1 s of its fit" in next(cost_errors(record(cost=fit, kind="shallow")))


def test_a_record_of_today_is_no_lie(ran, file):
    facts = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    assert {one["schema"] for one in facts} == {max(one["schema"] for one in facts)} and len(facts) == 6
