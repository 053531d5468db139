"""Scores held to the labels of the data: forged predictions, scores of groups and of regressions are refused."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_results import results_file_of, rewrite, run_tiny_suite
from tiny_suite import blobs
from typer.testing import CliRunner

from tlbench import api, checks, cli, records
from tlbench.engine.runtime import metrics
from tlbench.errors import TlbenchError

SUITE = """
name = "ratios"
version = 1
[data]
reader = "npz"
x = "x"
y = "y"
task = "regression"
[domains.a]
path = "a.npz"
[domains.b]
path = "b.npz"
[pairs]
list = ["a:b"]
[protocol]
task = "regression"
metric = "rmse"
baseline = "ridge"
seeds = [0, 1, 2]
scored = "held_out"
[methods.ridge]
"""


@pytest.fixture(scope="module")
def ran(tmp_path_factory) -> Path:
    return run_tiny_suite(tmp_path_factory.mktemp("ran"))


@pytest.fixture
def file(ran, tmp_path) -> Path:
    return results_file_of(ran, tmp_path)


def passed_or_error(file: Path, suite: Path, root: Path) -> tuple[list[str], str]:
    try:
        return checks.check_contribution(file, api.load_suite(suite), root), ""
    except TlbenchError as error:
        return [], str(error)


def save_predictions(file: Path, predicted: np.ndarray, is_correct: np.ndarray) -> str:
    name, content = metrics.pack_predictions(torch.from_numpy(predicted.astype(np.int64)), torch.from_numpy(is_correct))
    (file.parent / "predictions" / f"{name}.npz").write_bytes(content)
    return name


def test_scores_follow_from_the_labels_of_the_data(ran, file):
    passed, _ = passed_or_error(file, ran / "tiny.toml", ran)
    assert "The scores of 6 records follow from their predictions and the labels of the data." in passed
    assert not any(sentence.startswith("Not compared") for sentence in passed)


def test_a_forged_first_place_alone_in_its_folder_is_refused(ran, file):
    """All predictions are said to be correct, and nothing else contradicts them but the labels."""
    for other in file.parent.glob("*.jsonl"):
        if other != file:
            other.unlink()
    predicted, is_correct = np.zeros(60, np.int64), np.ones(60, bool)
    name = save_predictions(file, predicted, is_correct)
    perfect = {"target_accuracy": 1.0, "macro_f1": 1.0, "per_class_accuracy": {"0": 1.0, "1": None, "2": None}}
    rewrite(file, lambda number, facts: facts["scores"].update(perfect, predictions=name))
    passed, message = passed_or_error(file, ran / "tiny.toml", ran)
    assert not passed
    assert "40 of its predictions are marked as correct or as wrong against the labels of the data." in message
    assert "target_accuracy is 1, and its predictions and the labels of the data give 0.333333." in message
    passed, message = passed_or_error(file, ran / "tiny.toml", file.parent)
    assert not message  # without the data it can't be known, and the report says so
    missing = [sentence for sentence in passed if sentence.startswith("Not compared with the labels of the data: 3 records")]
    assert ["domains.a" in missing[0], "domains.b" in missing[1]] == [True, True]


@pytest.mark.parametrize(
    ("lie", "words"),
    [
        ({"per_group_accuracy": {"x": 1.0, "y": 0.0}}, "per_group_accuracy is x: 1, y: 0, and its predictions and the labels"),
        ({"macro_f1": 0.123}, "macro_f1 is 0.123, and its predictions and the labels of the data give"),
    ],
)
def test_a_score_that_does_not_follow_from_the_labels_is_refused(ran, file, lie, words):
    rewrite(file, lambda number, facts: facts["scores"].update(lie))
    assert words in passed_or_error(file, ran / "tiny.toml", ran)[1]


def test_predictions_of_a_class_that_the_data_lack_are_refused(ran, file):
    name = save_predictions(file, np.full(60, 300), np.zeros(60, bool))
    rewrite(file, lambda number, facts: facts["scores"].update(predictions=name))
    assert "Its predictions name class 300, and the data have 3 classes." in passed_or_error(file, ran / "tiny.toml", ran)[1]


def test_other_data_than_those_of_the_records_are_not_compared(ran, file, tmp_path):
    samples = blobs(7, 60)
    for name in ("a", "b"):
        np.savez(tmp_path / f"{name}.npz", x=samples.x.numpy(), y=samples.y.numpy())
    passed, _ = passed_or_error(file, ran / "tiny.toml", tmp_path)
    (first, second) = (one for one in passed if one.startswith("Not compared"))
    assert "3 records, for domain a has the fingerprint" in first and "3 records, for domain b" in second


def test_check_takes_folders_and_a_data_root(ran, file):
    command = ["check", str(file.parent), "--suite", str(ran / "tiny.toml"), "--data", str(ran)]
    rewrite(file.with_name("source_only.jsonl"), lambda number, facts: facts["code"].update(commit="abc", dirty=False))
    done = CliRunner().invoke(cli.app, command)
    assert done.exit_code == 0, done.output
    assert done.output.count("The scores of 6 records follow from") == 2


# --- regressions ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def regression(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("ratios")
    for name, seed in (("a", 1), ("b", 2)):
        samples = blobs(seed, 60)
        np.savez(folder / f"{name}.npz", x=samples.x.numpy(), y=samples.x[:, :1].numpy() * 2 + samples.x[:, 1:2].numpy() ** 2)
    (folder / "ratios.toml").write_text(SUITE)
    api.run(folder / "ratios.toml", results=folder / "results", device="cpu")
    file = folder / "results" / "ratios" / "ridge.jsonl"
    rewrite(file, lambda number, facts: facts["code"].update(commit="abc", dirty=False))
    return file


def test_a_regression_stores_what_it_predicts(regression):
    (first, *others) = records.read(regression)
    outputs = records.outputs(regression.parents[1], first)
    assert outputs is not None and outputs.dtype == np.float32 and outputs.shape == (first.scores.scored_samples, 1)
    assert records.predictions(regression.parents[1], first) is None and len(others) == 2
    passed, message = passed_or_error(regression, regression.parents[2] / "ratios.toml", regression.parents[2])
    assert "The scores of 3 records follow from their predictions and the labels of the data." in passed, message


@pytest.mark.parametrize("name", ["rmse", "mae", "r2", "per_target_r2", "predictions", "no predictions", "samples"])
def test_lies_about_a_regression_are_refused(regression, tmp_path, name):
    file = tmp_path / "results" / "ratios" / "ridge.jsonl"
    (file.parent / "predictions").mkdir(parents=True)
    for one in regression.parent.glob("predictions/*"):
        (file.parent / "predictions" / one.name).write_bytes(one.read_bytes())
    lines = []
    for line in regression.read_text(encoding="utf-8").splitlines():
        facts = json.loads(line)
        scores = facts["scores"]
        if name in ("rmse", "mae", "r2"):
            scores[name] *= 0.99
        elif name == "per_target_r2":
            scores[name] = {key: value * 0.99 for key, value in scores[name].items()}
        elif name == "predictions":
            outputs = np.zeros((scores["scored_rows"], 1), np.float32)
            scores["predictions"], content = metrics.pack_outputs(torch.from_numpy(outputs))
            (file.parent / "predictions" / f"{scores['predictions']}.npz").write_bytes(content)
        elif name == "no predictions":
            scores["predictions"] = None
        else:
            scores["scored_rows"] += 1
        lines.append(json.dumps(facts))
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    words = {
        "predictions": "rmse is",
        "no predictions": "It names no predictions",
        "samples": "predictions for each of",
    }.get(name, f"{name} is")
    assert words in passed_or_error(file, regression.parents[2] / "ratios.toml", regression.parents[2])[1]


@pytest.mark.parametrize("schema", [2, 3])
def test_a_regression_without_predictions_is_refused_however_old_it_says_it_is(regression, tmp_path, schema):
    def earlier(number: int, facts: dict) -> None:
        facts["scores"]["predictions"] = None
        facts["code"].pop("engine")
        facts["schema"] = schema

    file = tmp_path / "results" / "ratios" / "ridge.jsonl"
    file.parent.mkdir(parents=True)
    file.write_bytes(regression.read_bytes())
    rewrite(file, earlier)
    passed, message = passed_or_error(file, regression.parents[2] / "ratios.toml", regression.parents[2])
    assert not passed
    assert "records 1, 2, 3: It names no predictions, and its scores can't be derived." in message
    assert "takes `tlbench run ratios --fresh`" in message
    assert ("3 records of schema 3 state no version of the engine" in message) == (schema == 3)


@pytest.mark.parametrize("shape", [(2, 2, 2), ()])
def test_outputs_of_other_shapes_are_none(regression, tmp_path, shape):
    first = records.read(regression)[0]
    folder = tmp_path / "ratios" / "predictions"
    folder.mkdir(parents=True)
    content = io.BytesIO()
    np.savez(content, outputs=np.zeros(shape, np.float32))
    (folder / f"{first.scores.predictions}.npz").write_bytes(content.getvalue())
    assert records.outputs(tmp_path, first) is None
