"""Answers as spans of tokens: the best valid span, exact match and F1 as others compute them, and methods on such tasks."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from question_files import suite_of, write_questions

from tlbench import checks, engine, records, runner
from tlbench.engine.runtime.position_metrics import predicted_positions
from tlbench.engine.runtime.span_metrics import answer_scores, best_spans, exact_match, normalized, word_f1
from tlbench.errors import DivergedError, TlbenchError
from tlbench.passages import Passages
from tlbench.runner.plan import with_files
from tlbench.terms import IGNORED

pytest.importorskip("transformers")
CPU = torch.device("cpu")
METHODS = (
    *("source_only", "target_only", "joint", "fine_tune", "dann", "coral", "mcc", "min_entropy", "im", "pseudo_label"),
    *("mean_teacher", "t3a", "lame", "logistic"),
)
# exact match and F1 of f1_score and normalize_answer of squad/evaluate-v1.1.py, the official evaluation, as it is in
# allenai/bi-att-flow at a315bc8888fe11180703ff471e398c4841177ba8
TEXTS = [
    ("the Denver Broncos", "Denver Broncos!", 1, 1.0),
    ("Broncos of Denver, a team", "the team Denver Broncos", 0, 0.8571428571428571),
    ("24\u201310", "24-10", 0, 0.0),
    ("der Mann und die Frau der", "der Mann und der Hund der Frau", 0, 0.7692307692307692),
    ("\u5317\u4eac \u5927\u5b66", "\u5317\u4eac", 0, 0.6666666666666666),
    ("", "nothing", 0, 0.0),
    ("an a the", "a", 1, 0.0),
    ("theatre another", "Theatre: another.", 1, 1.0),
]


def test_exact_match_and_f1_are_those_of_the_official_evaluation_and_of_torchmetrics():
    """`squad` of torchmetrics 1.9 scores an empty prediction by the rule of SQuAD 2.0, so that it is asked about the others."""
    squad = pytest.importorskip("torchmetrics.functional.text").squad
    for predicted, right, match, f1 in TEXTS:
        assert exact_match(predicted, right) == match and word_f1(predicted, right) == pytest.approx(f1, abs=1e-12), predicted
        if normalized(predicted):
            prediction = {"prediction_text": predicted, "id": "0"}
            theirs = squad([prediction], [{"answers": {"answer_start": [0], "text": [right]}, "id": "0"}])
            assert float(theirs["exact_match"]) == 100 * match and float(theirs["f1"]) == pytest.approx(100 * f1, abs=1e-3)


def test_of_several_right_answers_the_best_counts():
    passages = Passages(
        ("Anna sings", "Boris"), (("x", "Anna"), ("the Boris",)), np.array([[[0, 4], [5, 10]], [[0, 5], [0, 0]]]), 2
    )
    scores = answer_scores(torch.tensor([[1, 2], [3, 0]]), passages)
    assert scores == {"exact_match": 0.5, "answer_f1": pytest.approx((2 / 3 + 1) / 2)}
    assert normalized(" The  cat, an owl\nand a-b ") == "cat owl and ab"


def test_the_best_valid_span_has_the_highest_sum_of_log_odds():
    """Against an exhaustive search over all pairs of tokens, by odds of probabilities."""
    samples, length, longest = 12, 7, 3
    logits = 3 * torch.randn(samples * length, 4, generator=torch.Generator().manual_seed(0))
    y = torch.zeros(samples, length, dtype=torch.long)
    y[:, 0], y[3, 4:], y[5, 1:6] = IGNORED, IGNORED, IGNORED
    predicted = best_spans(logits, y, longest)
    shares = logits.double().softmax(dim=1).view(samples, length, 4)
    for number in range(samples):
        start, end = shares[number, :, 1] + shares[number, :, 3], shares[number, :, 2] + shares[number, :, 3]
        counted = [token for token in range(length) if y[number, token] != IGNORED]
        spans = [(s, e) for s, e in itertools.product(counted, counted) if s <= e < s + longest]
        first, last = max(
            spans, key=lambda span: float(start[span[0]] / (1 - start[span[0]]) * end[span[1]] / (1 - end[span[1]]))
        )
        expected = torch.zeros(length, dtype=torch.long)
        expected[last], expected[first] = 2, 3 if first == last else 1
        assert predicted[number].tolist() == expected.tolist()
    assert torch.equal(best_spans(logits - 5, y, longest), predicted), "class scores are logits"
    extreme = torch.full_like(logits, -torch.inf)
    extreme[:, 0] = 0.0
    assert (best_spans(extreme, y, longest) > 0).sum(dim=1).tolist() == [1] * samples
    with pytest.raises(DivergedError, match="NaN"):
        predicted_positions(torch.full_like(logits, torch.nan), y, Passages((), (), np.zeros((0, 7, 2)), 3))


def run(root, entry, **tables):
    suite = with_files(suite_of(methods={entry: {}}, **tables), root, [entry])
    domains = runner.load_domains(suite, ["en", "de"], root)
    engine.check_pairs(suite, domains, suite.pairs)
    return engine.run_case(suite.cases()[0], suite, domains, CPU), suite


def test_a_network_learns_to_answer_and_records_follow_from_predictions(tmp_path):
    write_questions(tmp_path, 120)
    record, suite = run(tmp_path, "source_only")
    assert record.status == "done", record.reason
    assert record.metric == "answer_f1" and record.task == "spans"
    assert record.scores.exact_match > 0.5 and record.scores.answer_f1 >= record.scores.exact_match
    records.append(tmp_path / "results", record)
    stored = next(iter(records.read(tmp_path / "results" / "questions" / "source_only.jsonl")))
    labels = checks.data_labels.DataLabels(suite, tmp_path)
    assert [*labels.errors(tmp_path / "results", stored), *checks.scores.prediction_errors(tmp_path / "results", stored)] == []
    assert labels.compared == 1
    wrong = stored.model_copy(update={"scores": stored.scores.model_copy(update={"exact_match": 0.25})})
    assert any("exact_match" in error for error in labels.errors(tmp_path / "results", wrong))


def test_methods_for_classification_run_on_spans_and_shallow_ones_are_skipped(tmp_path):
    write_questions(tmp_path, 16)
    train = {"steps": 3, "batch": 4, "positions": 16, "trace": 0}
    protocol = {
        "task": "spans",
        "target_labels": 3,
        "scored": "held_out",
        "seeds": [0],
        "grants": ["source", "target", "stream"],
    }
    suite = with_files(
        suite_of(methods={name: {} for name in METHODS}, train=train, protocol=protocol), tmp_path, list(METHODS)
    )
    domains = runner.load_domains(suite, ["en", "de"], tmp_path)
    for case in suite.cases():
        record = engine.run_case(case, suite, domains, CPU)
        if case.entry == "logistic":
            assert record.status == "skipped" and "each token of a sample has a label here" in str(record.reason)
        else:
            assert record.status == "done", (case.entry, record.reason)
            assert 0 <= record.scores.exact_match <= record.scores.answer_f1 <= 1


@pytest.mark.parametrize(
    ("tables", "error"),
    [
        ({"protocol": {"task": "spans", "metric": "entity_f1"}}, "metric = 'entity_f1' is a metric of task = 'tokens'"),
        ({"protocol": {"task": "tokens"}}, "protocol.task is 'tokens', but domain en is declared for spans"),
        ({"net": {"backbone": "hf", "network": "encoder"}}, "Set pooling = 'none'"),
        ({"selection": {}}, r"\[selection\] stores classes of single positions"),
    ],
)
def test_suites_that_do_not_fit_are_refused(tmp_path, tables, error):
    write_questions(tmp_path, 16)
    with pytest.raises(TlbenchError, match=error):
        run(tmp_path, "source_only", **tables)
