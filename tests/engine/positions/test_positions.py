"""A label for each position: what steps and passes draw, that methods work on it, and what is scored and checked."""

from __future__ import annotations

import math

import pytest
import torch
from tagged_files import suite_of, write_tagged
from torch import nn

from tlbench import checks, engine, methods, records, runner
from tlbench.engine.data.positions import PhasePositions, SplitPositions, draw_offsets, with_counted
from tlbench.engine.data.storage import Subset
from tlbench.engine.runtime.position_metrics import entity_scores, overlap_scores
from tlbench.errors import TlbenchError
from tlbench.methods.base import DeepMethod, ShallowMethod
from tlbench.nn.net import Backbone
from tlbench.nn.positions.net import PositionBackbone, PositionNet
from tlbench.nn.positions.packing import is_packed, pack, unpack
from tlbench.runner.plan import with_files
from tlbench.terms import IGNORED, Labelled

CPU = torch.device("cpu")


def labelled(y):
    y = torch.tensor(y)
    return with_counted(Subset.of(Labelled(torch.zeros(y.shape), y)))


def run(root, suite, entry, seed=0):
    suite = with_files(suite, root, [entry])
    domains = runner.load_domains(suite, ["news", "mail"], root)
    case = next(case for case in suite.cases() if case.entry == entry and case.seed == seed)
    return engine.run_case(case, suite, domains, CPU), domains


def test_every_position_that_counts_is_drawn_equally_often_and_no_other():
    y = torch.full((2, 9), IGNORED)
    y[0, 1:6], y[1, 2] = 0, 1
    positions = SplitPositions(labelled(y.tolist()), 3)
    offsets = draw_offsets(4000, 2, 3, seed=1)
    drawn = torch.stack([positions.at(torch.arange(2), offsets[step]) for step in range(4000)])
    shares = torch.bincount(drawn[:, 0].flatten(), minlength=9) / drawn[:, 0].numel()
    assert shares[1:6].tolist() == pytest.approx([0.2] * 5, abs=0.01) and shares[[0, 6, 7, 8]].sum() == 0
    assert (drawn[:, 1] == 2).all()
    assert all(len(set(step.tolist())) >= 2 for step in drawn[:, 0]), "stretches hardly overlap"


def test_labels_domains_and_slots_belong_to_the_drawn_positions():
    subset = labelled([[0, 1, IGNORED, 2], [IGNORED, 3, 4, 5], [6, IGNORED, IGNORED, IGNORED]])
    positions = PhasePositions({"source": subset}, {"source": draw_offsets(1, 2, 2, seed=0)}, 2)
    indices = torch.tensor([1, 0])
    drawn = positions.at(0, "source", indices)
    batch = positions.labeled(Labelled(torch.zeros(2, 4), torch.zeros(2), torch.tensor([7, 8])), "source", indices, drawn)
    assert batch.y.tolist() == [subset.y[i, p] for i, row in zip([1, 0], drawn.tolist(), strict=True) for p in row]
    assert batch.domain.tolist() == [7, 7, 8, 8] and positions.slots(indices).tolist() == [2, 3, 0, 1]


@pytest.mark.parametrize("shape", [(5,), (7, 4), (3, 4, 6)])
def test_drawn_positions_travel_with_the_samples(shape):
    x = torch.randn(2, *shape) if len(shape) > 1 else torch.randint(0, 9, (2, *shape), dtype=torch.int32)
    positions = torch.tensor([[3, 1], [0, 4]])
    packed = pack(x, positions)
    samples, unpacked = unpack(packed, shape, 2)
    assert is_packed(packed, shape) and not is_packed(x, shape)
    assert torch.equal(samples, x) and torch.equal(unpacked, positions)


class _Scaled(nn.Module):
    def forward(self, x):
        return x * 2


def test_a_network_of_positions_gives_drawn_or_all_features():
    backbone = Backbone([_Scaled()], 4)
    backbone.positions = 7
    net = PositionNet(PositionBackbone(backbone, (7, 4), 2), 3)
    x, positions = torch.randn(5, 7, 4), torch.randint(0, 7, (5, 2))
    packed = pack(x, positions)
    first, second = net.features(packed[:2], packed[2:])
    expected = 2 * x[torch.arange(5)[:, None], positions].flatten(0, 1)
    assert torch.equal(torch.cat([first, second]), expected) and len(first) == 4
    assert torch.equal(net.backbone(x), 2 * x.flatten(0, 1)) and net(x).shape == (35, 3)
    assert torch.equal(net.backbone.stage_outputs(packed)[-1], expected)
    styled = net.view(packed, packed, lambda samples, other: samples + other)
    assert torch.equal(styled, pack(2 * x, positions))


def test_every_deep_method_for_classification_runs_on_positions_or_says_why_not(tmp_path):
    write_tagged(tmp_path, 12)
    kinds = {name: methods.method_class(name) for name in methods.method_names()}
    protocol = {"task": "tokens", "target_labels": 3, "grants": ["source", "target", "stream"], "seeds": [0]}
    train = {"steps": 12, "batch": 4, "positions": 3, "trace": 0}
    suite = suite_of(protocol=protocol, train=train, methods={name: {} for name in kinds})
    records_of = {}
    suite = with_files(suite, tmp_path, list(kinds))
    domains = runner.load_domains(suite, ["news", "mail"], tmp_path)
    for case in suite.cases():
        records_of[case.entry] = engine.run_case(case, suite, domains, CPU)
    failed = {name: record.reason for name, record in records_of.items() if record.status == "failed"}
    assert failed == {}
    done = {name for name, record in records_of.items() if record.status == "done"}
    assert {"source_only", "dann", "coral", "mcc", "min_entropy", "im", "pseudo_label", "mean_teacher", "shot", "atdoc"} <= done
    for name, kind in kinds.items():
        if issubclass(kind, ShallowMethod):
            assert records_of[name].status == "skipped" and "shallow method" in str(records_of[name].reason), name
    assert all(issubclass(kinds[name], DeepMethod) for name in done)


def test_scores_are_over_labelled_positions_and_follow_from_the_predictions(tmp_path):
    write_tagged(tmp_path)
    suite = suite_of(protocol={"task": "tokens", "seeds": [0, 1, 2]})
    record, domains = run(tmp_path, suite, "source_only")
    counted = int((domains["mail"].samples.y != IGNORED).sum())
    assert record.task == "tokens" and record.scores.scored_samples == 40 and record.scores.scored_positions == counted
    assert record.scores.target_accuracy > 0.9, "a word decides its tag"
    results = tmp_path / "results"
    for seed in (0, 1, 2):
        records.append(results, run(tmp_path, suite, "source_only", seed)[0])
    labels = checks.data_labels.DataLabels(with_files(suite, tmp_path, ["source_only"]), tmp_path)
    for stored in records.read(results / "tagged" / "source_only.jsonl"):
        assert [*labels.errors(results, stored)] == [] and [*checks.scores.prediction_errors(results, stored)] == []
        wrong = stored.model_copy(update={"scores": stored.scores.model_copy(update={"target_accuracy": 0.5})})
        assert [*labels.errors(results, wrong)] != [] and [*checks.scores.prediction_errors(results, wrong)] != []
    assert labels.compared >= 3


def test_entities_count_as_a_whole():
    classes = ("O", "B-org", "I-org", "B-loc", "I-loc")
    y = torch.tensor([[1, 2, 0, 3, IGNORED], [3, 0, 1, 2, 2]])
    predicted = torch.tensor([[1, 2, 0, 3, 4], [3, 0, 1, 2, 0]])
    scores = entity_scores(predicted, y, classes)
    assert scores["entity_f1"] == pytest.approx(3 / 4)  # three of four entities, and four predicted ones
    assert scores["per_entity_f1"] == pytest.approx({"org": 1 / 2, "loc": 1.0})


def test_overlap_is_a_mean_over_the_classes_that_are_there():
    y, predicted = torch.tensor([0, 0, 0, 1, 1, 1]), torch.tensor([0, 0, 1, 1, 1, 0])
    scores = overlap_scores(predicted, y, 3)
    assert scores == pytest.approx({"mean_iou": 0.5, "dice": 2 / 3})


@pytest.mark.parametrize(
    ("more", "error"),
    [
        ({"train": {"augment": [{"kind": "jitter"}]}}, "train.augment changes samples with one label each"),
        ({"protocol": {"task": "tokens", "metric": "mean_iou"}}, "metric = 'mean_iou' is a metric of task = 'pixels'"),
        ({"protocol": {"task": "classification", "metric": "entity_f1"}}, "entity_f1' is a metric of task = 'tokens'"),
        ({"protocol": {"task": "tokens", "label_set": "open"}}, "label_set = 'open' is not possible with task = 'tokens'"),
    ],
)
def test_suites_that_can_not_be_run_are_refused(more, error):
    with pytest.raises(TlbenchError, match=error):
        suite_of(**more)


@pytest.mark.parametrize(
    ("more", "error"),
    [
        ({"net": {"backbone": "word_vectors", "network": "vectors.npz"}}, "gives one feature vector for each sample"),
        ({"train": {"positions": 7}}, "train.positions = 7, and a sample of shape .* has 6"),
        ({"protocol": {"task": "tokens", "metric": "entity_f1"}}, "labels of domain mail are no BIO tags"),
    ],
)
def test_pairs_that_can_not_be_run_are_refused(tmp_path, more, error):
    write_tagged(tmp_path)
    suite = with_files(suite_of(**more), tmp_path, ["source_only"])
    with pytest.raises(TlbenchError, match=error):
        engine.check_pairs(suite, runner.load_domains(suite, ["news", "mail"], tmp_path), suite.pairs)


def test_frozen_features_of_words_are_positions(tmp_path):
    write_tagged(tmp_path)
    net = {"backbone": "word_vectors", "network": "vectors.npz", "pooling": "none", "frozen": True, "bottleneck": 8}
    record, _ = run(tmp_path, suite_of(net=net), "source_only")
    assert record.status == "done" and record.scores.target_accuracy > 0.6 and math.isfinite(record.cost.feature_seconds)
