"""What is stored of candidates: no label of the target in what rules read, no trace in the training, files read with care."""

from __future__ import annotations

import dataclasses
import hashlib
import io
from collections import Counter

import numpy as np
import pytest
import torch
from tiny_suite import CPU, blobs, case, domain, suite

from tlbench import engine, records, selection
from tlbench.checks.candidates import candidate_errors
from tlbench.errors import TlbenchError
from tlbench.records.candidates import facts_file, label_free_facts, sealed_facts
from tlbench.terms import Labelled

METHODS = ("source_only", "dann", "mean_teacher", "shot_im", "logistic")


def run(name, *, checkpoints=4, target=None, **changes):
    """The record of a method on two domains of blobs, with what is stored of its candidates."""
    domains = {"a": domain("a", blobs(0, 90)), "b": domain("b", target or blobs(1, 60, shift=0.5))}
    table = {"selection": {"checkpoints": checkpoints}} if checkpoints else {}
    chosen = suite(methods={name: {}, "source_only": {}}, train={"steps": 20}, **table, **changes)
    return engine.run_case(case(name), chosen, domains, CPU)


def arrays(record):
    """What rules may read, and the sealed predictions, of a record that is not on file."""
    names = record.scores.label_free_facts, record.scores.sealed_facts
    return [dict(np.load(io.BytesIO(record.attached_facts[name]), allow_pickle=False)) for name in names]


@pytest.mark.parametrize("name", METHODS)
def test_target_labels_change_nothing_that_a_rule_reads(name):
    target = blobs(1, 60, shift=0.5)
    permuted = Labelled(target.x, target.y.roll(1))
    first, second = run(name, target=target), run(name, target=permuted)
    assert first.status == "done", first.reason
    assert first.scores.label_free_facts == second.scores.label_free_facts
    assert first.scores.sealed_facts != second.scores.sealed_facts


@pytest.mark.parametrize("name", METHODS)
def test_a_case_has_the_scores_that_it_has_without_candidates(name):
    plain, looked_at = run(name, checkpoints=0), run(name, checkpoints=5)
    named = {"label_free_facts": None, "sealed_facts": None}
    assert looked_at.scores.model_copy(update=named) == plain.scores
    assert plain.scores.label_free_facts is None and plain.cost.selection_seconds is None
    assert looked_at.cost.selection_seconds > 0
    assert plain.identity != looked_at.identity  # or no case on file would ever get candidates


def test_the_candidates_of_methods_that_adapt_later_at_once_and_in_closed_form():
    steps = {name: [arrays(run(name))[0][key].tolist() for key in ("step", "adapted")] for name in METHODS}
    assert steps["dann"] == steps["source_only"] == [[5, 10, 15, 20], [1, 1, 1, 1]]
    assert steps["shot_im"] == [[10, 12, 15, 18, 20], [0, 1, 1, 1, 1]]
    assert steps["logistic"] == [[0], [1]]


def test_stored_outputs_give_the_rules_their_numbers():
    facts, sealed = arrays(run("dann"))
    outputs = facts["target_outputs"].astype(float)
    logits = outputs[:, :, :-1] + outputs[:, :, -1:]
    assert logits.shape == (4, 60, 3) and np.allclose(np.exp(outputs[:, :, :-1]).sum(-1), 1, atol=2e-3)
    assert np.array_equal(logits[-1].argmax(1), sealed["predicted"][-1])
    assert all(np.isfinite(facts[f"rule_{name}"]).all() for name in ("class_ami", "rank_me", "dev", "transfer_score"))
    assert selection.score("im", target_logits=logits[-1]) > 0


def test_labeled_samples_come_in_rounds_of_one_a_class():
    sealed = arrays(run("source_only"))[1]
    correct = np.unpackbits(sealed["correct"], axis=1, count=60).astype(bool)
    classes = blobs(1, 60).y.numpy()
    assert Counter(classes[sealed["labeled"][:6]].tolist()) == {0: 2, 1: 2, 2: 2}
    assert len(set(sealed["labeled"].tolist())) == len(sealed["labeled"]) == 30
    assert np.array_equal(correct[-1], sealed["predicted"][-1] == classes)
    is_sure = sealed["labeled_losses"] < np.log(2) - 0.01  # the true class has more than half of the probability
    assert correct[:, sealed["labeled"]][is_sure].all()


def test_ten_classes_and_all_samples_take_less_than_a_megabyte(tmp_path):
    """Of so many predictions some are ties in half precision, and the last candidate has those that are scored."""
    generator = torch.Generator().manual_seed(0)
    many = {
        name: domain(name, Labelled(torch.randn(12000, 12, generator=generator), torch.arange(12000) % 10), classes=10)
        for name in ("a", "b")
    }
    chosen = suite(methods={"source_only": {}}, train={"steps": 10, "trace": 0}, selection={})
    record = engine.run_case(case("source_only"), chosen, many, CPU)
    facts, sealed = arrays(record)
    assert facts["target_outputs"].shape == (10, 2000, 11) and facts["source_outputs"].shape == (10, 1000, 11)
    assert sealed["predicted"].shape == (10, 5000)
    assert sum(map(len, record.attached_facts.values())) < 1e6
    records.append(tmp_path, record)
    assert list(candidate_errors(tmp_path, record)) == []


def test_files_are_written_checked_by_their_sha256_and_removed_with_their_record(tmp_path):
    record = run("source_only")
    records.append(tmp_path, record)
    names = record.scores.label_free_facts, record.scores.sealed_facts
    assert label_free_facts(tmp_path, "tiny", names[0])["step"].tolist() == [5, 10, 15, 20]
    assert sealed_facts(tmp_path, "tiny", names[1])["correct"].dtype == bool
    assert [*candidate_errors(tmp_path, record)] == []
    file = facts_file(tmp_path, "tiny", names[1])
    content = file.read_bytes()
    file.write_bytes(content[:-1] + b"x")
    with pytest.raises(TlbenchError, match="another sha256 than its name"):
        sealed_facts(tmp_path, "tiny", names[1])
    assert "another sha256" in next(candidate_errors(tmp_path, record))
    file.unlink()
    assert sealed_facts(tmp_path, "tiny", names[1]) is None and [*candidate_errors(tmp_path, record)] == []
    records.prune_records(tmp_path, "tiny", lambda of_file: range(len(of_file)))
    assert [*(tmp_path / "tiny" / "facts").iterdir()] == []


def test_arrays_of_objects_and_arrays_out_of_range_are_refused(tmp_path):
    record = run("source_only")
    good = arrays(record)[0]
    changes = {
        "no facts": {"step": np.array([object()] * 4)},
        "no log-probabilities": {"target_outputs": -good["target_outputs"]},
        "source labels are out of range": {"source_labels": good["source_labels"] + 3},
        "not in their order": {"step": good["step"][::-1].copy()},
        "are of 3 candidates": {"target_outputs": good["target_outputs"][:3]},
    }
    for text, change in changes.items():
        content = io.BytesIO()
        np.savez_compressed(content, **{**good, **change})
        name = hashlib.sha256(content.getvalue()).hexdigest()
        file = facts_file(tmp_path, "tiny", name)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content.getvalue())
        with pytest.raises(TlbenchError, match=text):
            label_free_facts(tmp_path, "tiny", name)


def test_a_regression_and_a_suite_without_the_table_store_nothing():
    assert run("source_only", checkpoints=0).attached_facts == {}
    chosen = suite(selection={"checkpoints": 3})
    assert chosen.hash != suite().hash == dataclasses.replace(chosen, selection=None).hash
    with pytest.raises(TlbenchError, match=r"selection\.checkpoints"):
        suite(selection={"checkpoints": 21})
