"""`tlbench plot features`: both domains in one projection, a panel a method, from saved models or from a run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny_suite import SUITE, write_domains

import tlbench
from tlbench.api.feature_views import feature_views
from tlbench.cli.plot import features
from tlbench.errors import TlbenchError
from tlbench.plots.features import FeatureView, feature_maps, project


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.delenv("TLBENCH_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
    write_domains(tmp_path)
    (tmp_path / "tiny.toml").write_text(f"{SUITE}[methods.ridge]\n")
    return tmp_path


def test_pca_of_both_domains_together_keeps_their_distances():
    draws = np.random.default_rng(0)
    plane = draws.normal(size=(30, 2)) @ draws.normal(size=(2, 6))  # in a plane of six dimensions
    source, target = project(plane[:20], plane[20:], "pca")
    assert (source.shape, target.shape) == ((20, 2), (10, 2))
    expected = np.linalg.norm(plane[:20, None] - plane[None, 20:], axis=2)
    assert np.allclose(np.linalg.norm(source[:, None] - target[None], axis=2), expected)


def test_features_are_those_of_the_saved_model_and_a_case_without_one_runs(folder):
    shown = feature_views("tiny.toml", ["coral"], results=folder / "none", device="cpu")
    assert not (folder / "none").exists(), "nothing is written"
    assert [view.title.partition(",")[0] for view in shown.views] == ["inputs", "source_only", "coral"]
    assert shown.heading == "tiny v1: a:b, seed 0; n = 54 source and 60 target samples"
    frame = tlbench.run("tiny.toml", save_models=True, progress=False)
    saved = feature_views("tiny.toml", ["coral"], device="cpu")
    model = tlbench.load_model(frame[frame.entry == "coral"].iloc[0])
    assert np.array_equal(saved.views[2].target_MD, model.features(np.load("b.npz")["x"]))
    assert all(np.array_equal(one.source_ND, two.source_ND) for one, two in zip(shown.views, saved.views, strict=True))


def test_a_shallow_method_has_no_features(folder):
    with pytest.raises(TlbenchError, match="ridge is a shallow method and has no network with features"):
        feature_views("tiny.toml", ["ridge"], device="cpu")


def test_the_command_writes_a_titled_picture(folder, capsys):
    features("tiny.toml", ["coral"], projection="pca", out=Path("plots"), device="cpu")
    assert capsys.readouterr().out.split() == [
        "wrote",
        "plots/tiny-v1-features-pca.png",
        "wrote",
        "plots/tiny-v1-features-pca.svg",
    ]
    picture = (folder / "plots" / "tiny-v1-features-pca.svg").read_text()
    assert all(text in picture for text in ("n = 54 source and 60 target samples (PCA)", "source_only, ", "coral, ", "domain"))
    assert Image.open("plots/tiny-v1-features-pca.png").text["Title"].startswith("tiny v1: a:b, seed 0")
    with pytest.raises(TlbenchError, match=r"Unknown projection 'umap'. Available: tsne, pca"):
        features("tiny.toml", projection="umap")


def test_more_classes_than_colours_are_drawn_by_domain_alone():
    draws = np.random.default_rng(1)
    views, labels = [FeatureView("inputs", draws.normal(size=(40, 3)), draws.normal(size=(30, 3)))], draws.integers(0, 11, 70)
    names = [str(number) for number in range(11)]
    for count, lines in ((11, 1), (3, 2)):
        figure = feature_maps(views, (labels[:40] % count, labels[40:] % count), names[:count], "tsne", "title")
        assert len(figure.axes) == lines
