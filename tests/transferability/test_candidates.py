"""Scores of the sources and the backbones of a suite, from data that the test makes, and the command that prints them."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from table_suites import table_suite
from typer.testing import CliRunner

from tlbench import cli, records, reports, session, transferability
from tlbench.api import run
from tlbench.errors import TlbenchError
from tlbench.transferability.candidates import score_all_pairs, score_backbones, score_sources
from tlbench.transferability.samples import DomainSamples

SUITE = table_suite(
    "three_domains", ("near", "far", "goal"), ("near:goal", "far:goal", "near:far", "goal:far", "goal:near", "far:near")
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A suite of three domains: near and goal are alike, and far has its classes somewhere else."""
    root, rng = tmp_path_factory.mktemp("domains"), np.random.default_rng(0)
    for number, (name, angle) in enumerate({"near": 0.1, "goal": 0.0, "far": 1.6}.items()):
        labels = np.arange(90) % 3
        centers = 4 * np.stack([np.cos(2 * np.arange(3) + angle), np.sin(2 * np.arange(3) + angle)], axis=1)
        x = centers[labels] + rng.normal(size=(90, 2)) + number * np.array([0.2, 0.0])
        pd.DataFrame({"a": x[:, 0], "b": x[:, 1], "label": labels}).to_csv(root / f"{name}.csv", index=False)
    (root / "three_domains.toml").write_text(SUITE, encoding="utf-8")
    run(root / "three_domains.toml", results=root / "results", progress=False)
    return root


def test_scores_of_sources_are_joined_with_the_records(folder):
    suite = session.load_suite(folder / "three_domains.toml")
    frame = reports.frame(records.iterate_records(folder / "results", ("three_domains",)))
    scored = score_sources(suite, folder, frame)
    goal, near = scored.targets.index("goal"), scored.candidates.index("near")
    of_pair = frame[(frame["target"] == "goal") & (frame["sources"] == "near")]["target_accuracy"].iloc[0]
    assert scored.truth_TK[goal, near] == pytest.approx(100 * of_pair)
    assert np.isnan(scored.truth_TK[goal, scored.candidates.index("goal")])
    far = scored.candidates.index("far")
    assert all(scored.scores[name][goal, near] > scored.scores[name][goal, far] for name in ("leep", "nce", "labeled_accuracy"))
    assert scored.truth_TK[goal, near] > scored.truth_TK[goal, far] and scored.evaluation().loc["random", "regret"] > 5
    assert scored.reads_target_labels("leep") and not scored.reads_target_labels("mmd")
    with pytest.raises(TlbenchError, match="Did you mean 'source_only'"):
        score_sources(suite, folder, frame, "source_onl")
    with pytest.raises(TlbenchError, match="Unknown score 'logme' of these candidates"):
        score_sources(suite, folder, frame, scores=["logme"])


def test_all_pairs_are_scored_on_one_half_and_tested_on_the_other(folder, tmp_path):
    (tmp_path / "three_domains.toml").write_text(SUITE.replace(', "goal:near", "far:near"', ""), encoding="utf-8")
    suite = session.load_suite(tmp_path / "three_domains.toml")
    scored = score_all_pairs(suite, folder, ["mmd", "leep", "source_size", "source_accuracy"])
    assert scored.targets == scored.candidates == ("far", "goal", "near")  # near is a target, though no pair of the suite
    (near,), goal = DomainSamples(suite, ["near", "goal"], folder).of_pair(["near"], "goal")
    seen, tested = train_test_split(np.arange(90), test_size=0.5, random_state=0, stratify=goal.labels)
    classifier = make_pipeline(StandardScaler(), LogisticRegression()).fit(near.features, near.labels)
    assert scored.truth_TK[1, 2] == pytest.approx(100 * classifier.score(goal.features[tested], goal.labels[tested]))
    mmd = transferability.score("mmd", source_features=near.features, target_features=goal.features[seen])
    assert scored.scores["mmd"][1, 2] == pytest.approx(mmd)
    probabilities = classifier.predict_proba(goal.features[seen])
    leep = transferability.score("leep", source_probabilities=probabilities, target_labels=goal.labels[seen])
    assert scored.scores["leep"][1, 2] == pytest.approx(leep, rel=1e-3) and np.isnan(np.diag(scored.truth_TK)).all()
    assert scored.truth_TK[1, 2] > scored.truth_TK[1, 0] and (scored.scores["source_size"][0, 1:] == 90).all()


def test_a_class_of_one_sample_is_no_obstacle_to_all_pairs(folder, tmp_path):
    for name in ("near", "far", "goal"):
        table = pd.read_csv(folder / f"{name}.csv")
        lone = table.assign(label=table["label"].where(table.index > 0, 7))
        (lone if name == "far" else table).to_csv(tmp_path / f"{name}.csv", index=False)
    scored = score_all_pairs(session.load_suite(folder / "three_domains.toml"), tmp_path)
    assert all(np.isfinite(values[~np.eye(3, dtype=bool)]).all() for values in scored.scores.values())


def test_all_pairs_take_three_domains_and_no_record(folder, tmp_path):
    words = ["transferability", str(folder / "three_domains.toml"), "--data", str(folder), "--all-pairs"]
    done = CliRunner().invoke(cli.app, [*words, "--json", "--score", "mmd", "--results", str(tmp_path / "none")])
    content = json.loads(done.stdout)
    assert content["truth"].startswith("accuracy of a logistic regression") and content["evaluation"]["mmd"]["targets"] == 3
    for more in (["--method", "source_only"], ["--backbones", "nosuch.toml"], ["--table", "clustering"]):
        assert "--all-pairs" in str(CliRunner().invoke(cli.app, [*words, *more]).exception)
    (tmp_path / "two.toml").write_text(table_suite("two", ("near", "goal"), ("near:goal",)), encoding="utf-8")
    with pytest.raises(TlbenchError, match="has 2 domains"):
        score_all_pairs(session.load_suite(tmp_path / "two.toml"), folder)


def test_permuted_labels_of_the_target_leave_scores_that_do_not_read_them(folder, tmp_path):
    suite = session.load_suite(folder / "three_domains.toml")
    frame = reports.frame(records.iterate_records(folder / "results", ("three_domains",)))
    names = ["mmd", "frechet", "a_distance", "coral", "source_size", "source_accuracy"]
    before = score_sources(suite, folder, frame[frame["target"] == "goal"], scores=names).scores
    for name in ("near", "far"):
        (tmp_path / f"{name}.csv").write_text((folder / f"{name}.csv").read_text())
    goal = pd.read_csv(folder / "goal.csv")
    goal.assign(label=goal["label"].sample(frac=1, random_state=1).to_numpy()).to_csv(tmp_path / "goal.csv", index=False)
    after = score_sources(suite, tmp_path, frame[frame["target"] == "goal"], scores=names).scores
    assert all(np.array_equal(before[name], after[name], equal_nan=True) for name in names)


def test_the_command_prints_text_markdown_and_json(folder):
    words = ["transferability", str(folder / "three_domains.toml"), "--results", str(folder / "results"), "--data", str(folder)]
    text = CliRunner().invoke(cli.app, words)
    assert text.exit_code == 0 and "gain on trivial" in text.stdout and "mean_on_others" in text.stdout
    assert CliRunner().invoke(cli.app, [*words, "--markdown"]).stdout.count("|") > 50
    content = json.loads(CliRunner().invoke(cli.app, [*words, "--json", "--score", "mmd"]).stdout)
    assert content["evaluation"]["mmd"]["targets"] == 3 and not content["evaluation"]["mmd"]["reads_target_labels"]
    assert content["accuracies"][content["targets"].index("goal")][content["candidates"].index("goal")] is None


def test_backbones_take_two_and_a_table_each(folder, tmp_path):
    suite = session.load_suite(folder / "three_domains.toml")
    with pytest.raises(TlbenchError, match="1 backbones are given"):
        score_backbones(suite, folder, {"one": {"backbone": "mlp"}})
    (tmp_path / "backbones.toml").write_text(
        "[narrow]\nbackbone = 'mlp'\nhidden = [2]\n[wide]\nbackbone = 'mlp'\nhidden = [64]\n"
    )
    words = ["transferability", str(folder / "three_domains.toml"), "--backbones", str(tmp_path / "backbones.toml")]
    done = CliRunner().invoke(cli.app, [*words, "--data", str(folder), "--json", "--score", "knn", "--score", "model_size"])
    content = json.loads(done.stdout)
    assert content["candidates"] == ["narrow", "wide"] and content["truth"].startswith("accuracy of a linear probe")
    sizes = content["scores"]["model_size"][0]
    assert sizes[0] == pytest.approx(2 * 3) and sizes[1] == pytest.approx(64 * 3)
    assert CliRunner().invoke(cli.app, [*words[:-1], "nosuch.toml"]).exception is not None


def test_the_help_imports_neither_torch_nor_pandas():
    code = (
        "import sys\nfrom typer.testing import CliRunner\nfrom tlbench import cli\n"
        "done = CliRunner().invoke(cli.app, ['transferability', '--help'])\n"
        "print(done.exit_code, 'torch' in sys.modules, 'pandas' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.split() == ["0", "False", "False"]
