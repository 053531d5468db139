"""`--save-models` and `tlbench.load_model`: the loaded method predicts what its record says, and an edited file is refused."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from engine_runs import LABELED_TARGET_SUITE, blob_domains
from tiny_suite import CPU, IMAGES, SUITE, case, domain, suite, write_domains

import tlbench
from tlbench import checks, engine, methods, records
from tlbench.engine.measurement import PreparedCase
from tlbench.engine.saved.saving import NOT_SAVED, saves_models
from tlbench.errors import TlbenchError
from tlbench.methods.base import DeepMethod
from tlbench.records import merge
from tlbench.records.models import model_file
from tlbench.runner import plan_run
from tlbench.session import load_suite, open_session
from tlbench.terms import Domain, Labelled, Record

ONLINE = {name for name in methods.method_names() if "stream" in methods.method_class(name).reads}
SAVED = [name for name in methods.method_names() if name not in ONLINE and not methods.method_class(name).reads_class_texts]
CHOSEN = ("dann", "shot", "l2_sp", "lora", "mean_teacher", "wise_ft", "coral_map", "nearest_neighbor", "tradaboost", "jdot")
"""Networks with modules beside them, phases, banks, inserted layers and averages; closed forms, kernels and boosting."""


@pytest.fixture
def saving() -> Iterator[None]:
    token = saves_models.set(True)
    yield
    saves_models.reset(token)


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """The working directory, with `tiny.toml` and its data."""
    monkeypatch.delenv("TLBENCH_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
    write_domains(tmp_path)
    (tmp_path / "tiny.toml").write_text(SUITE)
    return tmp_path


def scored_again(record: Record, chosen, domains: dict[str, Domain]) -> float:
    """The accuracy of the loaded method on the scored samples of its case."""
    scored = PreparedCase(case(record.method), chosen, domains, CPU).case_data.scored
    names = np.array(domains["b"].classes)
    return float((tlbench.load_model(record, device="cpu").predict(scored.x) == names[scored.y.numpy()]).mean())


def predicts_as_recorded(name: str) -> None:
    record = engine.run_case(case(name), LABELED_TARGET_SUITE, blob_domains(), CPU)
    if record.status == "skipped":
        assert record.model is None
        return
    assert record.model is not None, record.notes
    assert scored_again(record, LABELED_TARGET_SUITE, blob_domains()) == record.scores.target_accuracy


@pytest.mark.parametrize("name", CHOSEN)
def test_a_loaded_method_predicts_what_its_record_says(name, saving):
    predicts_as_recorded(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in SAVED if name not in CHOSEN])
def test_every_other_method_does_so_too(name, saving):
    predicts_as_recorded(name)


def test_saving_changes_neither_identity_nor_scores(saving):
    saved = engine.run_case(case("dann"), LABELED_TARGET_SUITE, blob_domains(), CPU)
    token = saves_models.set(False)
    plain = engine.run_case(case("dann"), LABELED_TARGET_SUITE, blob_domains(), CPU)
    saves_models.reset(token)
    assert plain.model is None and plain.attached_model is None
    assert (saved.identity, saved.scores) == (plain.identity, plain.scores)


def test_a_method_of_the_stream_is_saved_as_it_was_before_the_stream(saving):
    record = engine.run_case(case("tent"), LABELED_TARGET_SUITE, blob_domains(), CPU)
    model, again = (tlbench.load_model(record, device="cpu") for _ in range(2))
    x = blob_domains()["b"].test.x
    first, second = model.decision_function(x), model.decision_function(x)
    assert not np.array_equal(first, second), "it goes on adapting"
    assert np.array_equal(first, again.decision_function(x))


@pytest.mark.parametrize("name", ["source_only", "ridge"])
def test_predictions_of_a_regression_are_in_the_units_of_its_targets(name, saving):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(60, 4, generator=generator)
    y = 100 + 30 * x[:, :1]
    domains = {key: Domain(key, Labelled(x, y), (), key, targets=("load",)) for key in "ab"}
    chosen = suite(protocol={"task": "regression"}, train={"steps": 200, "lr": 0.01})
    record = engine.run_case(case(name), chosen, domains, CPU)
    predicted = tlbench.load_model(record, device="cpu").predict(x)
    assert predicted.shape == (60,)
    assert float(np.sqrt(((predicted - y[:, 0].numpy()) ** 2).mean())) == pytest.approx(record.scores.rmse, rel=1e-5)


def test_samples_go_through_the_frozen_backbone(saving):
    chosen, domains = suite(net={"frozen": True}), blob_domains(test=False)
    record = engine.run_case(case("source_only"), chosen, domains, CPU)
    model = tlbench.load_model(record, device="cpu")
    names = np.array(domains["b"].classes)
    right = model.predict(domains["b"].samples.x) == names[domains["b"].samples.y.numpy()]
    assert float(right.mean()) == record.scores.target_accuracy
    with pytest.raises(TlbenchError, match=r"x has samples of shape \(3,\), but the case has \(4,\)"):
        model.predict(np.zeros((2, 3)))


def test_what_no_file_can_hold_is_noted_and_the_case_is_done(saving):
    record = engine.run_case(case("eata"), LABELED_TARGET_SUITE, blob_domains(), CPU)
    assert record.status == "done" and record.model is None
    assert any(note.startswith(NOT_SAVED) for note in record.notes)


def test_features_are_what_the_head_reads(saving):
    deep, shallow = (engine.run_case(case(name), LABELED_TARGET_SUITE, blob_domains(), CPU) for name in ("dann", "ridge"))
    model, x = tlbench.load_model(deep, device="cpu"), blob_domains()["b"].test.x
    assert isinstance(model.method, DeepMethod)
    logits = model.method.net.head(torch.from_numpy(model.features(x)))
    assert np.allclose(logits.detach().numpy(), model.decision_function(x), atol=1e-6)
    with pytest.raises(TlbenchError, match=r"ridge is a shallow method|logistic is a shallow method"):
        tlbench.load_model(shallow, device="cpu").features(x)


@pytest.mark.parametrize("isolated", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_run_saves_models_that_a_row_of_its_frame_names(folder, isolated):
    frame = tlbench.run("tiny.toml", save_models=True, isolated=isolated, progress=False)
    row = frame.iloc[1]
    model = tlbench.load_model(row)
    target = np.load("b.npz")
    assert float((model.predict(target["x"]) == target["y"].astype(str)).mean()) == row.target_accuracy
    assert checks.check_results(Path("results/tiny/coral.jsonl"))


def test_a_case_on_file_is_not_run_again_for_its_model(folder):
    tlbench.run("tiny.toml", progress=False)
    frame = tlbench.run("tiny.toml", save_models=True, progress=False)
    assert frame["model"].isna().all()
    with pytest.raises(TlbenchError, match=r"The record names no model. .*--save-models --fresh"):
        tlbench.load_model(frame.iloc[0])
    opened = open_session(device="cpu", results=Path("results"))
    (plan,) = opened.plan([load_suite("tiny.toml")], fresh=True, save_models=True)
    assert all(record.model for record in opened.run(plan))
    assert not plan_run(load_suite("tiny.toml"), Path("results"), folder).pending


def test_a_missing_or_edited_file_is_one_error_and_check_says_so(folder):
    tlbench.run("tiny.toml", save_models=True, methods="coral", progress=False)
    (record,) = records.read_all(Path("results"))
    file = model_file(Path("results"), "tiny", record.model)
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(TlbenchError, match=r"The model file has the sha256 .* and its record names"):
        tlbench.load_model(record)
    with pytest.raises(TlbenchError, match="The model file has the sha256"):
        checks.check_results(Path("results/tiny/coral.jsonl"))
    file.unlink()
    with pytest.raises(TlbenchError, match=r"There is no model file .*--save-models --fresh"):
        tlbench.load_model(record)


def test_files_of_others_are_refused_without_running_their_code(tmp_path, saving):
    class Harmful:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "ran",))

    torch.save({"facts": "{}", "method": Harmful()}, tmp_path / "model.pt")
    content = (tmp_path / "model.pt").read_bytes()
    named = tmp_path / f"{hashlib.sha256(content).hexdigest()}.pt"
    named.write_bytes(content)
    with pytest.raises(TlbenchError, match="The file is no model of this version"):
        tlbench.load_model(named)
    assert not (tmp_path / "ran").exists()


def test_pruned_and_merged_results_keep_the_models_that_records_name(folder):
    tlbench.run("tiny.toml", save_models=True, methods="coral", progress=False)
    merge.merge([Path("results")], Path("both"))
    (record,) = records.read_all(Path("both"))
    assert np.isfinite(tlbench.load_model(record, results="both").decision_function(np.zeros((1, 4)))).all()
    records.prune_records(Path("both"), "tiny", lambda on_file: [0])
    assert not model_file(Path("both"), "tiny", record.model).exists()


def test_a_model_of_an_image_suite_reads_stored_images(saving):
    images = {
        name: domain(name, Labelled((torch.rand(24, 1, 16, 16) * 255).to(torch.uint8), torch.arange(24) % 3)) for name in "ab"
    }
    record = engine.run_case(case("coral"), suite(IMAGES), images, CPU)
    assert scored_again(record, suite(IMAGES), images) == record.scores.target_accuracy
