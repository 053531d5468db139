"""Every field of a record: numbers have a range, and `check` derives it, compares it, or says that nothing tells it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tiny_results import results_file_of, rewrite, run_tiny_suite
from tiny_suite import record

from tlbench import api, checks
from tlbench.checks.contribution import UNVERIFIED
from tlbench.checks.scores import score_errors
from tlbench.errors import TlbenchError
from tlbench.scores import Cost, Scores, TaskScores
from tlbench.terms import Code, Machine, Record

LIES: dict[str, Any] = {
    "suite": "other",
    "suite_version": 7,
    "row": "other",
    "method": "dann",
    "options": {"weight": 3.0},
    "sources": ["b"],
    "target": "a",
    "seed": 10**19,
    "schema": 99,
    "identity": "0" * 16,
    "status": "skipped",
    "kind": "shallow",
    "reads": ["source"],
    "baseline": "coral",
    "metric": "macro_f1",
    "task": "regression",
    "label_set": "partial",
    "target_labels": 3,
    "suite_hash": "0",
    "sweep_levels": {"b": {"base": "a", "kind": "labels", "level": 1}},
    "data": {"a": "1", "b": "2"},
    "backbone": "lenet",
    "weights": {"file:w": "0" * 64},
    "plugins": {"mine": "0" * 64},
    "model": "0" * 64,
    "started": "yesterday",
    "finished": "2999-01-01T00:00:00+00:00",
    "scores.target_accuracy": 0.0,
    "scores.per_class_accuracy": {"0": 1.0},
    "scores.per_group_accuracy": {"x": 1.0},
    "scores.macro_f1": 0.123,
    "scores.known_accuracy": 0.5,
    "scores.unknown_accuracy": 0.5,
    "scores.h_score": 0.5,
    "scores.r2": 0.5,
    "scores.rmse": 0.5,
    "scores.mae": 0.5,
    "scores.per_target_r2": {"y": 0.5},
    "scores.source_r2": 0.5,
    "scores.task_score": 0.5,
    "scores.per_task": {"t": {"samples": 3}},
    "scores.entity_f1": 0.5,
    "scores.dice": 0.5,
    "scores.per_entity_f1": {"PER": 0.5},
    "scores.mean_iou": 0.5,
    "scores.exact_match": 0.5,
    "scores.answer_f1": 0.5,
    "scores.scored_positions": 60,
    "scores.scored_rows": 61,
    "scores.online_accuracy": [0.5, 0.123],
    "scores.predictions": "0" * 16,
    "cost.train_seconds": 1e6,
    "cost.train_samples_per_second": 1e14,
    "cost.predict_samples_per_second": 1e-6,
    "cost.step_seconds_median": 1e4,
    "cost.warm_up_steps": -1,
    "cost.steps": 6,
    "cost.positions": 6,
    "cost.batch": 9,
    "machine.device": " ",
    "machine.torch": "new",
    "machine.cores": 5000,
    "code.dirty": True,
    "code.engine": 99,
}
"""The JSON key of each field that is derived or compared -> a value that `check` refuses in a right record."""
UNTOLD = {
    "source scores": ("scores.source_accuracy",),
    "training traces": ("scores.trace",),
    "times": (
        *("cost.wall_seconds", "cost.step_seconds_p95", "cost.step_data_seconds", "cost.step_forward_backward_seconds"),
        *("cost.step_optimiser_seconds", "cost.compile_seconds", "cost.feature_seconds", "cost.selection_seconds"),
    ),
    "throughput": ("cost.predict_rates", "cost.train_flops_per_sample", "cost.device_flops_per_second"),
    "memory": ("peak_memory_bytes", "stream_peak_memory_bytes", "peak_reserved_bytes", "peak_resident_bytes", "adapter_bytes"),
    "energy": ("energy_joules",),
    "numbers of parameters": ("cost.trainable_parameters",),
    "the machine": ("driver", "cuda", "precision", "cpu", "threads", "places", "devices"),
    "the commit": ("code.tlbench", "code.commit"),
    "notes and reasons": ("notes", "why"),
}
"""The words of the sentence on what is not verified -> the fields that they stand for; without a table: of cost or machine."""
OTHERWISE = {
    "scores.label_free_facts": "tests/engine/candidates",
    "scores.sealed_facts": "tests/engine/candidates",
    "weights_source": "a note",
}
"""Fields that are compared where their files are at hand, or whose deviation is a note."""


def keys_of(model: type[Any], prefix: str = "") -> Iterator[str]:
    """The JSON keys of the fields of a record, those of a table within it as `cost.steps`."""
    tables = {"scores": Scores, "cost": Cost, "machine": Machine, "code": Code}
    for name, field in model.model_fields.items():
        key = field.alias or name
        if model is Record and key in tables:
            yield from keys_of(tables[key], f"{key}.")
        else:
            yield prefix + key


def numbers_of(schema: dict[str, Any], definitions: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """The numbers of a JSON schema, each with its path."""
    if "$ref" in schema:
        schema = definitions[schema["$ref"].rpartition("/")[2]]
    if schema.get("type") in ("integer", "number"):
        yield path, schema
    inner = [(path, one) for one in schema.get("anyOf", ())]
    inner += [(f"{path}.{name}", one) for name, one in schema.get("properties", {}).items()]
    inner += [(f"{path}[]", schema[key]) for key in ("items", "additionalProperties") if isinstance(schema.get(key), dict)]
    for place, one in inner:
        yield from numbers_of(one, definitions, place)


def test_every_number_of_a_record_has_a_range():
    schema = Record.model_json_schema(by_alias=True)
    numbers = [*numbers_of(schema, schema["$defs"])]
    assert len(numbers) > 50
    for path, number in numbers:
        assert {"minimum", "exclusiveMinimum"} & number.keys() and {"maximum", "exclusiveMaximum"} & number.keys(), path


def test_every_field_is_derived_compared_or_said_to_be_unverified():
    tables = {"driver": "machine", "cuda": "machine", "precision": "machine", "cpu": "machine", "threads": "machine"}
    tables |= {"places": "machine", "devices": "machine"}
    untold = set()
    for words, names in UNTOLD.items():
        assert words in UNVERIFIED
        plain = {"notes", "why"} if words == "notes and reasons" else set()
        untold |= {name if "." in name or name in plain else f"{tables.get(name, 'cost')}.{name}" for name in names}
    assert untold | LIES.keys() | OTHERWISE.keys() == {*keys_of(Record)}
    assert not untold & LIES.keys()


@pytest.fixture(scope="module")
def ran(tmp_path_factory) -> Path:
    return run_tiny_suite(tmp_path_factory.mktemp("ran"))


@pytest.fixture(scope="module")
def right(ran, tmp_path_factory) -> Path:
    """Results that `check` takes."""
    file = results_file_of(ran, tmp_path_factory.mktemp("right"))
    checks.check_contribution(file, api.load_suite(ran / "tiny.toml"), ran)
    return file


@pytest.mark.parametrize("key", LIES)
def test_a_value_that_does_not_follow_is_refused(ran, right, tmp_path, key):
    shutil.copytree(right.parent, tmp_path / "results" / "tiny")
    file = tmp_path / "results" / "tiny" / right.name

    def lie(number: int, facts: dict[str, Any]) -> None:
        *tables, name = key.split(".")
        for table in tables:
            facts = facts[table]
        facts[name] = LIES[key]

    rewrite(file, lie)
    with pytest.raises(TlbenchError):
        checks.check_contribution(file, api.load_suite(ran / "tiny.toml"), ran)


TWO_TASKS = {"a": TaskScores(samples=4, accuracy=0.75), "b": TaskScores(samples=3, r2=0.25, rmse=1.0)}


@pytest.mark.parametrize(
    ("scores", "words"),
    [
        ({}, None),
        ({"task_score": 0.6}, "The mean over the tasks of per_task is 0.5, and task_score is 0.6."),
        ({"scored_samples": 3}, "per_task of 'a' is of 4 samples, and 3 are scored."),
        ({"per_task": TWO_TASKS | {"a": TaskScores(samples=4, accuracy=0.7)}}, "is no whole number of 4 samples"),
        ({"target_accuracy": 0.5}, "target_accuracy is 0.5, and a case of task 'multi_task' has no such score."),
    ],
)
def test_scores_of_several_tasks_agree(scores, words):
    facts = Scores(per_task=TWO_TASKS, task_score=0.5, scored_samples=4).model_copy(update=scores)
    errors = [*score_errors(record(task="multi_task", scores=facts))]
    assert errors == [] if words is None else any(words in error for error in errors)


@pytest.mark.parametrize(
    ("windows", "words"),
    [
        ([1.0, 0.5], None),  # 5 samples: windows of three and two
        ([0.5, 1.0], "The windows of online_accuracy have the mean 0.7, and target_accuracy is 0.8."),
        ([0.8] * 6, "online_accuracy has 6 windows of 5 scored samples."),
    ],
)
def test_windows_of_a_stream_agree_with_the_accuracy(windows, words):
    facts = Scores(target_accuracy=0.8, scored_samples=5, online_accuracy=windows)
    assert [*score_errors(record(scores=facts))] == ([] if words is None else [words])
