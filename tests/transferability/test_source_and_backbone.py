"""Which source, which backbone, with how many labels, and the page: planted answers, abstention, and hostile names."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from table_suites import table_suite
from toy_records import HOSTILE, cells
from typer.testing import CliRunner

import tlbench
from tlbench import cli, reports, session
from tlbench.transferability import source_advice
from tlbench.transferability.backbone_advice import advise_backbone
from tlbench.transferability.data_sets import data_set_of
from tlbench.transferability.recommendation import deltas

DOCS = Path(tlbench.__file__).parents[1] / "docs" / "transferability.md"
SUITE = table_suite("planted", ("near", "far", "goal"), ("near:goal", "far:goal"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two sources of one target, one of them far away; there are no records."""
    root, rng = tmp_path_factory.mktemp("planted"), np.random.default_rng(0)
    for name, shift in {"near": 0.2, "goal": 0.0, "far": 4.0}.items():
        labels = np.arange(90) % 3
        x = 4 * np.eye(3)[labels] + rng.normal(size=(90, 3)) + shift
        pd.DataFrame({"a": x[:, 0], "b": x[:, 1], "c": x[:, 2], "label": labels}).to_csv(root / f"{name}.csv", index=False)
    (root / "planted.toml").write_text(SUITE, encoding="utf-8")
    return root


@pytest.mark.parametrize("labels", [0, 1, 5])
def test_the_near_source_is_recommended_with_and_without_labels(folder, labels):
    advice = source_advice.advise_sources(session.load_suite(folder / "planted.toml"), folder, labels)
    assert advice.sources == {"goal": "near"} and advice.regret < advice.regret_of_trivial
    without_data = source_advice.advise_sources(session.load_suite(folder / "planted.toml"), None, labels)
    assert without_data.sources == {} and without_data.score == advice.score


def test_own_regrets_do_not_count_and_no_better_score_is_no_advice(monkeypatch):
    planted = {
        f"s{i}": {**dict.fromkeys(source_advice.UNLABELED, 1.0), **dict.fromkeys(source_advice.TRIVIAL, 2.0)} for i in range(4)
    }
    planted["s3"]["frechet"] = 50.0
    monkeypatch.setattr(source_advice, "REGRETS", planted)
    assert source_advice.choose_score("s3").score == "frechet" and source_advice.choose_score("s0").score == "mmd"
    for regrets in planted.values():
        regrets["source_size"] = 0.5
    assert source_advice.choose_score("s0").score is None and "source_size" in source_advice.choose_score("s0").why
    monkeypatch.setattr(source_advice, "REGRETS", {"s0": planted["s0"]})
    assert "advice takes 3" in source_advice.choose_score("other").why


def test_regrets_are_those_of_the_page():
    _, _, section = DOCS.read_text(encoding="utf-8").partition("### Which source, among all pairs\n")
    shown: dict[tuple[str, str], str] = {}
    suites: list[str] = []
    for line in section.partition("\n### ")[0].splitlines():
        cells = [cell.strip().strip("`") for cell in line.strip("|").split("|")]
        if cells[0] == "score":
            suites = cells
        elif line.startswith("| `"):
            shown |= {(suite, cells[0]): cell.split()[0] for suite, cell in zip(suites, cells, strict=True)}
    stated = {(suite, name): f"{regret:.1f}" for suite, of in source_advice.REGRETS.items() for name, regret in of.items()}
    assert {key: shown[key] for key in stated} == stated


def test_regrets_are_of_one_suite_a_data_set_which_its_other_suites_do_not_read(monkeypatch):
    assert len({data_set_of(suite) for suite in source_advice.REGRETS}) == len(source_advice.REGRETS) == 10
    others = {suite: of for suite, of in source_advice.REGRETS.items() if suite != "office_caltech10_surf"}
    advice = source_advice.choose_score("office_caltech10_mobilenet")
    monkeypatch.setattr(source_advice, "REGRETS", others)
    assert source_advice.choose_score("mine").regret == advice.regret and "On 9 other data sets" in advice.why


def test_the_backbone_with_the_highest_accuracy_on_common_pairs():
    def of(suite, backbone, scores):
        pairs = {"a:b": [scores[0]] * 2, "b:a": [scores[1]] * 2}
        return cells("source_only", pairs, suite=suite, backbone=backbone)

    made = [*of("one", "small", (0.5, 0.6)), *of("two", "large", (0.8, 0.9)), *of("three", "other", (1.0, 1.0))[:2]]
    advice = advise_backbone(made, "mine", {"a:b", "b:a"})
    assert advice.backbone == "large (two)" and advice.levels == pytest.approx({"large (two)": 85.0, "small (one)": 55.0})
    assert "cannot" not in advice.why and advise_backbone(made, "mine", {"x:y"}).backbone is None
    assert "--backbones FILE" in advise_backbone(made[:4], "mine", {"a:b", "b:a"}).why


def test_labels_admit_methods_that_read_so_many():
    base = [
        *cells("source_only", {"a:b": [0.5]}, reads=("source",)),
        *cells("coral", {"a:b": [0.6]}, reads=("source", "target")),
    ]
    made = [*base, *cells("fine_tune", {"a:b": [0.9]}, reads=("source", "target_labeled"), target_labels=3)]
    names = [set(deltas(reports.frame(made), labels)["method"]) for labels in (0, 2, 3)]
    assert names == [{"coral"}, {"coral"}, {"coral", "fine_tune"}]


def test_the_page_is_escaped_and_requests_nothing(folder, tmp_path):
    words = ["recommend", str(folder / "planted.toml"), "--results", str(tmp_path), "--data", str(folder)]
    done = CliRunner().invoke(cli.app, [*words, "--page", str(tmp_path / "page")])
    page = (tmp_path / "page" / "recommendation-planted.html").read_text(encoding="utf-8")
    assert (
        done.exit_code == 0
        and "<td>near</td>" in page
        and "cannot tell" in page
        and "http" not in page.replace("http-equiv", "")
    )
    assert (tmp_path / "page" / "assets" / "site.css").is_file()
    content = json.loads(CliRunner().invoke(cli.app, [*words, "--json", "--labels", "5"]).stdout)
    assert content["labels"] == 5 and content["source"]["sources"] == {"goal": "near"} and content["advice"]["method"] is None


def test_hostile_names_stay_text_on_the_page(tmp_path):
    from tlbench.site.advice_page import write_advice
    from tlbench.transferability.advice_output import Recommendation
    from tlbench.transferability.backbone_advice import BackboneAdvice
    from tlbench.transferability.recommendation import Advice

    source = source_advice.SourceAdvice(
        "mmd", HOSTILE, {HOSTILE: HOSTILE}, record={"score": 0.0, "best_trivial": 1.0, "random": 2.0}
    )
    advice = Recommendation(
        HOSTILE, 0, Advice(None, HOSTILE), None, source, BackboneAdvice(HOSTILE, HOSTILE, {HOSTILE: 50.0}, 2)
    )
    page = write_advice(advice, tmp_path).read_text(encoding="utf-8")
    assert "<b>" not in page and "\x1b" not in page and page.count("&lt;b&gt;") >= 6
