"""Clusters of the target by source features: scores held to scikit-learn and to all assignments; labels decide no cluster."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pandas as pd
import pytest
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score
from sklearn.preprocessing import StandardScaler
from table_suites import table_suite
from typer.testing import CliRunner

from tlbench import cli, session
from tlbench.errors import TlbenchError
from tlbench.transferability.clustering import SEEDS, VARIANTS, cluster, cluster_pairs, score_clusters

SUITE = table_suite("clusters", ("near", "goal"), ("near:goal", "goal:near"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three classes in two columns, beside a column of pure noise that is wide in the target and narrow in the source."""
    root, rng = tmp_path_factory.mktemp("clusters"), np.random.default_rng(0)
    for name, noise in {"near": 0.1, "goal": 3.0}.items():
        labels = np.arange(120) % 3
        x = np.array([[0, 0], [6, 0], [0, 6]])[labels] + rng.normal(size=(120, 2))
        pd.DataFrame({"a": x[:, 0], "b": x[:, 1], "c": noise * rng.normal(size=120), "label": labels}).to_csv(
            root / f"{name}.csv", index=False
        )
    (root / "clusters.toml").write_text(SUITE, encoding="utf-8")
    return root


@pytest.mark.parametrize("seed", range(3))
def test_scores_are_those_of_scikit_learn_and_of_the_best_of_all_assignments(seed):
    rng = np.random.default_rng(seed)
    labels, clusters = rng.integers(0, 4, 60), rng.integers(0, 5, 60)
    scores = score_clusters(clusters, labels)
    assert scores.nmi == pytest.approx(normalized_mutual_info_score(labels, clusters), abs=1e-12)
    assert scores.ari == pytest.approx(adjusted_rand_score(labels, clusters), abs=1e-12)
    best = max((np.array(order)[clusters] == labels).mean() for order in itertools.permutations([0, 1, 2, 3, -1]))
    assert scores.accuracy == pytest.approx(best, abs=1e-12)


def test_names_of_clusters_and_classes_do_not_matter():
    labels = np.array(["a", "b", "b", "c"])
    assert score_clusters([7, 3, 3, 5], labels) == pytest.approx((1, 1, 1))
    assert score_clusters([0, 0, 0, 0], labels) == pytest.approx((0, 0, 0.5))
    with pytest.raises(TlbenchError, match=r"Clusters have shape \(2,\) and labels \(4,\)"):
        score_clusters([0, 1], labels)


@pytest.mark.parametrize("variant", ["target", "source", "both", "source_clusters"])
def test_clusters_are_those_of_a_pipeline_of_scikit_learn(variant):
    rng = np.random.default_rng(3)
    source, target = rng.normal(size=(90, 40)) @ rng.normal(size=(40, 40)), rng.normal(size=(70, 40))
    target[:35] += 2
    fitted_on = {"target": target, "both": np.concatenate([source, target])}.get(variant, source)
    scaler = StandardScaler().fit(fitted_on)
    components = PCA(32, svd_solver="full").fit(scaler.transform(fitted_on))
    samples, grouped = (
        components.transform(scaler.transform(x)) for x in (target, source if "clusters" in variant else target)
    )
    means = KMeans(3, n_init=10, max_iter=1000, tol=0.0, random_state=1).fit(grouped)
    clusters, converged = cluster(variant, source, target, 3, seed=1)
    assert converged and score_clusters(clusters, means.predict(samples)).ari == pytest.approx(1)


def test_the_scale_of_the_source_transfers_and_labels_only_score(folder, tmp_path):
    clustered = cluster_pairs(session.load_suite(folder / "clusters.toml"), folder)
    accuracy = dict(zip(clustered.lines, clustered.values["accuracy"].mean(axis=-1), strict=True))
    back = clustered.pairs.index("goal:near")
    # the scale of the wide column makes nothing of the noise in the narrow one
    assert accuracy["source"][back] > accuracy["target"][back] - 1e-9 and accuracy["source"][back] > 90
    assert (accuracy["chance"] < 60).all()
    mean, margin = clustered.deltas("accuracy")[0]
    assert mean[0] == 0 and margin[0] == 0
    for name in ("near", "goal"):
        table = pd.read_csv(folder / f"{name}.csv")
        table.assign(label=table["label"].map({0: 2, 1: 0, 2: 1})).to_csv(tmp_path / f"{name}.csv", index=False)
    renamed = cluster_pairs(session.load_suite(folder / "clusters.toml"), tmp_path)
    assert all(np.allclose(renamed.values[metric], clustered.values[metric]) for metric in clustered.values)


def test_what_does_not_fit_is_an_error():
    with pytest.raises(TlbenchError, match="Unknown variant 'sources'"):
        cluster("sources", np.zeros((4, 2)), np.zeros((4, 2)), 2)
    with pytest.raises(TlbenchError, match="2 samples are too few for 3 clusters"):
        cluster("source_clusters", np.zeros((2, 2)), np.zeros((9, 2)), 3)


def test_the_command_prints_pairs_backbones_and_json(folder, tmp_path):
    words = ["transferability", str(folder / "clusters.toml"), "--data", str(folder), "--table", "clustering"]
    text = CliRunner().invoke(cli.app, words)
    assert text.exit_code == 0 and "source_clusters" in text.stdout and "near:goal" in text.stdout
    assert CliRunner().invoke(cli.app, [*words, "--markdown"]).stdout.count("|") > 40
    content = json.loads(CliRunner().invoke(cli.app, [*words, "--json"]).stdout)
    assert (
        content["lines"]["target"]["delta"]["mean"] == 0 and content["lines"]["chance"]["delta"]["new_domains_margin"] is None
    )
    assert np.shape(content["scores"]["nmi"]) == (len(VARIANTS), 2, SEEDS) and content["unconverged"] == 0
    (tmp_path / "backbones.toml").write_text(
        "[narrow]\nbackbone = 'mlp'\nhidden = [2]\n[wide]\nbackbone = 'mlp'\nhidden = [64]\n"
    )
    shown = CliRunner().invoke(cli.app, [*words, "--backbones", str(tmp_path / "backbones.toml")])
    assert shown.exit_code == 0 and "narrow" in shown.stdout and "accuracy - target" not in shown.stdout
    refused = CliRunner().invoke(cli.app, [*words, "--score", "mmd"])
    assert isinstance(refused.exception, TlbenchError)
