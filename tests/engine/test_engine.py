"""Case -> Record: seeds, splits, leaks, failures, scores and the clock; and golden lines.

`python tests/test_engine.py` writes tests/golden/losses_cpu.json anew: only where numbers are meant to change.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from plugin_files import plugged
from tiny_suite import blobs, case, domain, suite

from tlbench import checks, clock, engine, methods, records
from tlbench.engine import fitting
from tlbench.engine.data import splits
from tlbench.engine.data.batches import Batches
from tlbench.engine.data.inputs import Inputs, draw, in_chunks
from tlbench.engine.data.storage import SampleStore, Subset
from tlbench.engine.runtime import metrics
from tlbench.engine.runtime.seeds import seed_of, seeded_rng
from tlbench.engine.training.loop import train
from tlbench.engine.training.online import predict_online
from tlbench.errors import DivergedError, TlbenchError
from tlbench.methods.base import DeepMethod
from tlbench.nn import backbones
from tlbench.nn.net import Backbone, Net, concatenated
from tlbench.runner import RunPlan, local
from tlbench.suite import Network, Protocol, Training
from tlbench.terms import SPLITS, Domain, Labelled, Task, TracePoint

CPU = torch.device("cpu")
GOLDEN = Path(__file__).parents[1] / "golden"
GOLDEN_METHODS = ("source_only", "coral", "dann", "fine_tune", "multi_task", "discriminator_reweight", "linear_probe")
GOLDEN_STEPS = (0, 1, 2, 5, 10, 20, 29)

ALL = methods.method_names()
TRAINED = [name for name in ALL if issubclass(methods.method_class(name), DeepMethod)]
ALL_GRANTS = ["source", "target", "stream"]
FEW = suite(
    protocol={"target_labels": 3, "scored": "test", "grants": ALL_GRANTS},
    net={"batch_norm": True},
    methods={"source_only": {}},
)


def domains(test: bool = True) -> dict[str, Domain]:
    return {
        "a": domain("a", blobs(1, 45)),
        "b": domain("b", blobs(2, 33, shift=0.5), blobs(3, 24, shift=0.5) if test else None),
    }


# --- seeds ----------------------------------------------------------------------------------------------------------


def start_and_batches(monkeypatch, name: str) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """The network that a method starts from, and the source rows that its first phase draws."""
    starts: list[dict[str, torch.Tensor]] = []
    drawn: list[torch.Tensor] = []

    def watch(*arguments):
        net = Net(*arguments)
        starts.append({key: value.clone() for key, value in net.state_dict().items()})
        return net

    def noted(rows, *rest):
        batches = draw(rows, *rest)
        drawn.extend([batches] * (rows == 41))  # a tenth of the 45 source rows is kept for validation
        return batches

    with monkeypatch.context() as patch:
        patch.setattr(fitting, "Net", watch)
        patch.setattr(sys.modules["tlbench.engine.training.loop"], "draw", noted)
        assert engine.run_case(case(name), FEW, domains(), CPU).status == "done"
    assert len(starts) == 1
    return starts[0], drawn[0] if drawn else torch.empty(0)


def test_all_methods_of_a_cell_start_alike_and_see_the_same_source_batches(monkeypatch):
    start, batches = start_and_batches(monkeypatch, "source_only")
    assert batches.shape == (5, 8)
    for name in TRAINED:
        other, drawn = start_and_batches(monkeypatch, name)
        assert all(torch.equal(start[key], other[key]) for key in start), name
        if "source" in methods.method_class(name).reads:
            assert torch.equal(drawn, batches[: len(drawn)]), name


def test_what_a_method_builds_or_draws_does_not_move_the_others(tmp_path):
    note = (
        "SEEN = []\n"
        "class Notes(DeepMethod):\n    reads = frozenset({reads})\n"
        "    def build(self) -> None:\n        self.extra = nn.Linear({width}, 1) if {width} else None\n"
        "    def loss(self, step: Step) -> Tensor:\n"
        "        SEEN.append((step.source.x.clone(), step.source.y.clone()))\n"
        "        torch.rand({width})\n        return self.supervised(step)\n"
    )
    seen = {}
    for name, reads, width in (("notes_one", '{"source"}', 0), ("notes_two", '{"source", "target", "target_labeled"}', 50)):
        with plugged(tmp_path, name, note.format(reads=reads, width=width)):
            assert engine.run_case(case(name), FEW, domains(), CPU).status == "done"
            seen[name] = methods.method_class(name).loss.__globals__["SEEN"]
    assert len(seen["notes_one"]) == 5
    for (x, y), (other_x, other_y) in zip(*seen.values(), strict=True):
        assert torch.equal(x, other_x) and torch.equal(y, other_y)


def test_a_seed_says_what_it_is_for():
    prints = {"a": "1", "b": "2"}
    plain = seed_of(case("dann"), "network", prints)
    assert plain == seed_of(case("coral", entry="x", options={"weight": 2.0}), "network", prints)
    assert plain == seed_of(case("dann", suite="other", suite_version=2), "network", prints)
    others = {
        seed_of(case("dann"), "batches source 0", prints),
        seed_of(case("dann", seed=1), "network", prints),
        seed_of(case("dann", sources=("b",), target="a"), "network", prints),
        seed_of(case("dann"), "network", {"a": "1", "b": "3"}),
    }
    assert len(others | {plain}) == 5
    assert 0 <= plain < 2**63


def test_seeded_leaves_the_generator_as_it_was():
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    with seeded_rng(1, CPU):
        inside = torch.rand(3)
    assert torch.equal(torch.rand(3), expected)
    with seeded_rng(1, CPU):
        assert torch.equal(torch.rand(3), inside)


@pytest.mark.parametrize("name", ["source_only", "dann", "discriminator_reweight", "coral_map", "linear_probe"])
def test_two_runs_are_equal(name):
    one, two = (engine.run_case(case(name), FEW, domains(), CPU) for _ in range(2))
    assert one.status == "done", one.reason
    assert one.scores == two.scores and one.identity == two.identity
    other = engine.run_case(case(name, seed=1), FEW, domains(), CPU)
    assert other.identity != one.identity


def test_identity_follows_what_decides_numbers_and_nothing_else():
    prints = {"a": "1", "b": "2"}
    plain = engine.identity(case("dann"), FEW, prints)
    assert engine.identity(case("dann", options={"weight": 1.0}), FEW, prints) == plain  # its default
    assert engine.identity(case("dann", entry="other"), FEW, prints) == plain
    longer = suite(protocol={"target_labels": 3, "scored": "test"}, train={"steps": 6})
    others = [
        engine.identity(case("coral"), FEW, prints),
        engine.identity(case("dann", options={"weight": 2.0}), FEW, prints),
        engine.identity(case("dann", seed=1), FEW, prints),
        engine.identity(case("dann"), FEW, {"a": "1", "b": "x"}),
        engine.identity(case("dann"), longer, prints),
        engine.identity(case("dann", suite_version=2), FEW, prints),
    ]
    assert len({plain, *others}) == 7


# --- what is granted, what is scored --------------------------------------------------------------------------------


def tagged(rows: int, offset: int) -> Labelled:
    """Rows whose first column is a number of their own."""
    found = blobs(offset, rows)
    x = found.x.clone()
    x[:, 0] = torch.arange(rows) + offset
    return Labelled(x, found.y)


def ids(rows: Subset | None) -> set[float]:
    return set() if rows is None else set(rows.x[:, 0].tolist())


def make(**protocol) -> splits.CaseData:
    a, b = domain("a", tagged(40, 1000)), domain("b", tagged(30, 2000), tagged(12, 3000))
    splits.check_pair([a], b, Protocol(**protocol))
    return splits.make_case_data([a], b, Protocol(**protocol), lambda use: sum(use.encode()), CPU)


@pytest.mark.parametrize(
    ("protocol", "sizes"),
    [
        ({"scored": "adapted"}, (36, 30, 0, 30, 4)),
        ({"scored": "adapted", "target_labels": 2}, (36, 24, 6, 24, 4)),
        ({"scored": "held_out", "held_out": 0.4}, (36, 18, 0, 12, 4)),
        ({"scored": "held_out", "held_out": 0.4, "target_labels": 2}, (36, 12, 6, 12, 4)),
        ({"scored": "test"}, (36, 30, 0, 12, 4)),
        ({"scored": "test", "target_labels": 2}, (36, 24, 6, 12, 4)),
        ({"scored": "test", "source_held_out": 0.0}, (40, 30, 0, 12, 0)),
        ({"scored": "adapted", "source_held_out": 0.25}, (30, 30, 0, 30, 10)),
        ({"scored": "adapted", "grants": ["source"]}, (36, 0, 0, 30, 4)),
        ({"scored": "adapted", "grants": ["target"], "target_labels": 1}, (0, 27, 3, 27, 4)),
    ],
    ids=str,
)
def test_splits(protocol, sizes):
    parts = make(**protocol)
    granted = parts.granted
    source, target, few, scored, kept = map(ids, (granted.source, granted.target, granted.target_labeled, *_rest(parts)))
    assert tuple(map(len, (source, target, few, scored, kept))) == sizes
    assert not few & scored and not few & target, "a labelled target row is scored, or is among the unlabelled ones"
    assert not source & kept
    if protocol["scored"] == "adapted":
        assert scored == target or not target
    else:
        assert not scored & target
    assert all(1000 <= i < 2000 for i in source | kept)
    assert all(i >= 3000 for i in scored) == (protocol["scored"] == "test")
    if granted.target_labeled is not None:
        counts = granted.target_labeled.y.bincount().tolist()
        assert set(counts) == {protocol["target_labels"]}
        everything = tagged(30, 2000)
        for row, label in zip(granted.target_labeled.x[:, 0].tolist(), granted.target_labeled.y.tolist(), strict=True):
            assert everything.y[int(row) - 2000] == label


def _rest(parts: splits.CaseData) -> tuple[Subset, Subset | None]:
    return parts.scored, parts.validation


def test_several_sources_are_pooled_and_numbered():
    a, c, b = domain("a", tagged(20, 1000)), domain("c", tagged(10, 4000)), domain("b", tagged(30, 2000))
    parts = splits.make_case_data([a, c], b, Protocol(source_held_out=0.1), lambda use: 0, CPU)
    rows = parts.granted.source
    assert rows is not None and rows.domain is not None and len(rows) == 18 + 9
    assert torch.equal(rows.domain, (rows.x[:, 0] >= 4000).long())
    assert parts.validation is not None and len(parts.validation) == 2 + 1


def test_classes_are_matched_by_name():
    a = Domain("a", blobs(1, 30), ("x", "y", "z"), "a")
    b = Domain("b", blobs(2, 30), ("z", "x", "y"), "b")
    parts = splits.make_case_data([a], b, Protocol(source_held_out=0.0), lambda use: 0, CPU)
    assert parts.classes == ("x", "y", "z")
    assert torch.equal(parts.scored.y, (blobs(2, 30).y + 2) % 3)
    fewer = Domain("b", blobs(2, 30, classes=2), ("z", "y"), "b")
    assert splits.make_case_data([a], fewer, Protocol(), lambda use: 0, CPU).scored.y.unique().tolist() == [1, 2]
    more = Domain("b", blobs(2, 30), ("x", "y", "w"), "b")
    with pytest.raises(TlbenchError, match="classes that no source has: w"):
        splits.check_pair([a], more, Protocol())


def test_pairs_that_can_not_be_run_are_refused_before_any_training():
    chosen = suite(protocol={"scored": "test", "target_labels": 50}, methods={"source_only": {}})
    both = {**domains(test=False), "c": domain("c", blobs(3, 30, columns=5))}
    with pytest.raises(TlbenchError) as raised:
        engine.check_pairs(chosen, both, [(("a",), "c"), (("a",), "b")])
    said = str(raised.value)
    assert "pair a:c: rows of different shape: a [4], c [5]" in said
    assert "pair a:b: protocol.scored = 'test', but domain b declares no test rows" in said
    granted = suite(protocol={"target_labels": 50}, methods={"source_only": {}})
    with pytest.raises(TlbenchError, match=r"class '0' of domain b has 11 rows; with protocol.target_labels = 50"):
        engine.check_pairs(granted, domains(), [(("a",), "b")])
    unfit = suite(net={"backbone": "lenet", "hidden": None}, methods={"source_only": {}})
    unfit = type(unfit)(**{**vars(unfit), "net": Network(backbone="lenet")})
    with pytest.raises(TlbenchError, match="not rows of shape"):
        engine.check_pairs(unfit, domains(), [(("a",), "b")])


def test_each_row_is_drawn_once_per_epoch():
    for rows, steps, batch in ((40, 10, 8), (7, 30, 7), (3, 200, 5), (1, 4, 2)):
        drawn = draw(rows, steps, batch, 3, CPU)
        assert drawn.shape == (steps, batch)
        flat = drawn.flatten()
        whole = flat[: len(flat) // rows * rows].view(-1, rows)
        assert torch.equal(whole.sort(dim=1).values, torch.arange(rows).expand_as(whole))
        assert len(flat[len(whole) * rows :].unique()) == len(flat) - len(whole) * rows
        assert torch.equal(drawn, draw(rows, steps, batch, 3, CPU))
    assert not torch.equal(draw(40, 10, 8, 3, CPU), draw(40, 10, 8, 4, CPU))
    epochs = draw(40, 10, 8, 3, CPU).flatten().view(2, 40)
    assert not torch.equal(epochs[0], epochs[1])


@pytest.mark.parametrize("resident", [True, False])
def test_parts_of_a_step_are_drawn_into_one_tensor(resident):
    images = [torch.randint(0, 256, (9, 1, 4, 4), dtype=torch.uint8), torch.randint(0, 256, (7, 1, 4, 4), dtype=torch.uint8)]
    store = SampleStore(images, CPU, resident)
    numbers = torch.arange(16)
    parts = {"source": [Subset(store, numbers[:9], torch.arange(9) % 3)], "target": [Subset(store, numbers[9:])]}
    rows = {"source": [torch.tensor([[3, 1], [0, 8]])], "target": [torch.tensor([[6, 6, 0], [1, 2, 3]])]}
    inputs = Inputs(Network(), channels_last=True)
    batches = Batches(parts, rows, inputs)
    for at in (0, 1):
        step = batches.at(at, 0.0)
        assert torch.equal(step.source.x, inputs(images[0][rows["source"][0][at]]))
        assert torch.equal(step.target, inputs(images[1][rows["target"][0][at]]))
        assert torch.equal(step.source.y, rows["source"][0][at] % 3)
        whole = concatenated(step.source.x, step.target)
        assert whole.data_ptr() == step.source.x.data_ptr() and torch.equal(whole, torch.cat([step.source.x, step.target]))


def test_joined_copies_all_but_the_pieces_of_one_tensor_in_order():
    whole = torch.randn(9, 4, requires_grad=True)
    a, b, c = whole.split([2, 3, 4])
    for parts, same in (((a, b, c), True), ((b, c), False), ((a,), False), ((b, a), False), ((a, c), False), ((a, a), False)):
        one = concatenated(*parts)
        assert torch.equal(one, torch.cat(parts))
        assert (one.untyped_storage().data_ptr() == whole.untyped_storage().data_ptr()) == same
    for others in (
        (torch.ones(2, 4), torch.ones(3, 4)),
        (a, torch.ones(1, 4)),
        (whole[:, :2], whole[:, 2:]),
        (whole[::2], whole[1::2]),
    ):
        assert torch.equal(concatenated(*others), torch.cat(others))
    (concatenated(a, b, c).square().sum() + a.sum()).backward()
    assert torch.allclose(whole.grad, 2 * whole + torch.tensor([1.0] * 2 + [0.0] * 7)[:, None])


def test_inputs_are_scaled_images_and_plain_vectors():
    inputs = Inputs(Network(mean=0.25, std=0.5), channels_last=True)
    image = torch.tensor([0, 255], dtype=torch.uint8).view(2, 1, 1, 1).expand(2, 3, 4, 4)
    made = inputs(image)
    assert made.dtype == torch.float32 and made.is_contiguous(memory_format=torch.channels_last)
    assert made[0].unique().tolist() == [-0.5] and made[1].unique().tolist() == [1.5]
    assert torch.allclose(inputs(image.float() / 255), made)
    vector = torch.randn(3, 4, dtype=torch.float64)
    assert torch.equal(inputs(vector), vector.float())
    assert image[1, 0, 0, 0] == 255  # stored rows are left alone


# --- no leak --------------------------------------------------------------------------------------------------------


def turned(rows: Labelled) -> Labelled:
    return Labelled(rows.x, (rows.y + 1) % 3)


@pytest.mark.parametrize("scored", ["test", "adapted"])
@pytest.mark.parametrize("name", ALL)
def test_labels_of_scored_rows_move_no_prediction(monkeypatch, name, scored):
    """Through the whole of `engine.run`: other labels on the scored rows give other accuracies and the same predictions."""
    if scored == "adapted" and "target_labeled" in methods.method_class(name).reads:
        pytest.skip("its granted labels are drawn by class from the same rows")
    protocol = {"target_labels": 3 if scored == "test" else 0, "scored": scored, "grants": ALL_GRANTS}
    train = {"steps": 30, "lr": 0.01}
    chosen = suite(protocol=protocol, train=train, net={"batch_norm": True}, methods={"source_only": {}})
    plain = domains()
    b = plain["b"]
    other = domain("b", b.samples, turned(b.test)) if scored == "test" else domain("b", turned(b.samples))
    seen: list[list[torch.Tensor]] = []
    records_ = []
    predicted = metrics.predicted_classes
    for target in (b, other):
        seen.append([])
        monkeypatch.setattr(
            metrics, "predicted_classes", lambda scores, kept=seen[-1]: kept.append(scores) or predicted(scores)
        )
        records_.append(engine.run_case(case(name), chosen, {**plain, "b": target}, CPU))
    one, two = records_
    assert one.status == two.status == "done", one.reason
    assert len(seen[0]) >= 2  # scored rows and kept source rows
    assert all(torch.equal(x, y) for x, y in zip(*seen, strict=True))
    assert one.scores.target_accuracy != two.scores.target_accuracy
    assert one.scores.source_accuracy == two.scores.source_accuracy
    assert one.scores.trace == two.scores.trace


def test_a_task_holds_what_the_method_reads_and_nothing_else(tmp_path):
    body = (
        "SEEN = []\nclass Notes(ShallowMethod):\n    reads = frozenset({'target'})\n"
        "    def fit(self, task: Task) -> Predictor:\n        SEEN.append(task)\n"
        "        return lambda x: torch.zeros(len(x), task.classes)\n"
    )
    with plugged(tmp_path, "notes", body) as name:
        record = engine.run_case(case(name), FEW, domains(), CPU)
        (task,) = methods.method_class(name).fit.__globals__["SEEN"]
    assert record.status == "done" and record.reads == ("target",)
    assert task.source is None and task.target_labeled is None and isinstance(task.target, torch.Tensor)
    assert task.target.shape == (33 - 9, 4)


def test_the_trace_knows_no_target_label():
    assert set(TracePoint.model_fields) == {"step", "loss", "source_validation_accuracy", "target_entropy"}
    record = engine.run_case(case("dann"), FEW, domains(), CPU)
    trace = record.scores.trace
    assert [point.step for point in trace] == [1, 2, 3, 4, 5]
    assert all(0 <= point.source_validation_accuracy <= 1 and point.target_entropy >= 0 for point in trace)
    assert trace[-1].source_validation_accuracy == record.scores.source_accuracy
    short = suite(train={"steps": 7, "trace": 2}, methods={"source_only": {}})
    trace = engine.run_case(case("source_only"), short, domains(), CPU).scores.trace
    assert [point.step for point in trace] == [4, 7]
    none = suite(train={"trace": 0}, protocol={"source_held_out": 0.0}, methods={"source_only": {}})
    scores = engine.run_case(case("source_only"), none, domains(), CPU).scores
    assert scores.trace == [] and scores.source_accuracy is None


# --- endings --------------------------------------------------------------------------------------------------------


def test_what_is_not_granted_is_skipped():
    record = engine.run_case(case("target_only"), suite(), domains(), CPU)
    assert (record.status, record.reason) == ("skipped", "target_only reads target_labeled, which the suite does not grant")
    assert record.scores.target_accuracy is None and record.cost.train_seconds is None
    withheld = suite(protocol={"grants": ["source"]})
    record = engine.run_case(case("dann"), withheld, domains(), CPU)
    assert (record.status, record.reason) == ("skipped", "dann reads target, which the suite does not grant")
    assert engine.run_case(case("source_only"), withheld, domains(), CPU).status == "done"
    sourceless = suite(protocol={"grants": ["target"], "target_labels": 2})
    assert engine.run_case(case("source_only"), sourceless, domains(), CPU).status == "skipped"
    assert engine.run_case(case("target_only"), sourceless, domains(), CPU).status == "done"


def test_an_option_that_has_no_meaning_here_is_skipped():
    record = engine.run_case(case("fine_tune", options={"freeze": 9}), FEW, domains(), CPU)
    assert record.status == "skipped" and "freeze = 9, but the backbone has 1 stages" in record.reason


def test_a_diverging_case_fails_and_the_others_go_on(tmp_path):
    chosen = suite(
        train={"optimizer": "sgd", "lr": 1e30, "steps": 20},
        methods={"source_only": {}, "coral": {}, "nearest_neighbor": {}},
    )
    plan = RunPlan(chosen, chosen.cases(), [], domains())
    ended = list(local.run(plan, tmp_path, CPU))
    assert [(r.entry, r.status) for r in ended] == [
        ("source_only", "failed"),
        ("coral", "failed"),
        ("nearest_neighbor", "done"),
    ]
    assert ended[0].reason.startswith("the loss is nan at step") or ended[0].reason.startswith("the loss is inf at step")
    assert "lower train.lr" in ended[0].reason
    assert ended[0].scores.target_accuracy is None
    assert [r.status for r in records.read_all(tmp_path)] == ["failed", "done", "failed"]  # coral, nearest, source


def test_a_method_that_raises_fails_with_its_line(tmp_path):
    body = "class Bad(DeepMethod):\n    reads = frozenset({'source'})\n    def loss(self, step):\n        return {}[3]\n"
    with plugged(tmp_path, "bad_one", body) as name:
        record = engine.run_case(case(name), suite(), domains(), CPU)
    assert record.status == "failed" and record.reason == "KeyError: 3 (bad_one.py:12)"


def test_predictions_that_are_no_numbers_fail(tmp_path):
    body = (
        "class Nan(ShallowMethod):\n    reads = frozenset({'source'})\n    def fit(self, task: Task) -> Predictor:\n"
        "        return lambda x: torch.full((len(x), task.classes), torch.nan)\n"
    )
    with plugged(tmp_path, "all_nan", body) as name:
        record = engine.run_case(case(name), suite(), domains(), CPU)
    assert record.status == "failed" and "predictions are not a number" in record.reason


def test_the_first_loss_that_is_not_finite_is_named(tmp_path):
    body = (
        "class Late(DeepMethod):\n    reads = frozenset({'source'})\n    def loss(self, step: Step) -> Tensor:\n"
        "        return self.supervised(step) * (float('inf') if step.progress > 0.7 else 1.0)\n"
    )
    chosen = suite(train={"steps": 200})
    with plugged(tmp_path, "late", body) as name:
        record = engine.run_case(case(name), chosen, domains(), CPU)
    assert record.status == "failed" and record.reason.startswith("the loss is inf at step 142 of 200")


def test_a_record_says_all_that_was_asked_and_measured():
    record = engine.run_case(case("dann", options={"weight": 2.0}, entry="strong"), FEW, domains(), CPU)
    assert (record.status, record.kind, record.reads) == ("done", "trained", ("source", "target"))
    assert (record.method, record.entry, record.options) == (
        "dann",
        "strong",
        {"weight": 2.0, "hidden": 256, "gamma": 10.0},
    )
    assert record.data == {"a": "fingerprint of a", "b": "fingerprint of b"}
    assert (record.baseline, record.metric, record.target_labels) == ("source_only", "target_accuracy", 3)
    assert (record.scores.scored_samples, record.cost.steps, record.cost.batch) == (24, 5, 8)
    cost = record.cost
    assert min(cost.train_seconds, cost.train_samples_per_second, cost.predict_samples_per_second) > 0
    assert cost.energy_joules is None and record.machine.cuda is None and record.machine.device == "cpu"
    assert record.started <= record.finished
    solved = engine.run_case(case("nearest_neighbor"), FEW, domains(), CPU)
    assert (solved.kind, solved.cost.steps, solved.cost.batch) == ("solved", None, None)
    assert solved.cost.train_samples_per_second > 0


def test_a_device_that_is_not_there_is_refused():
    assert engine.device_of("cpu") == CPU
    with pytest.raises(TlbenchError, match="--device gpu: say auto, cpu, cuda or cuda:N"):
        engine.device_of("gpu")
    if not torch.cuda.is_available():
        assert engine.device_of("auto") == CPU
        for name in ("cuda", "cuda:0", "cuda:7"):
            with pytest.raises(TlbenchError, match=f"--device {name}: .* sees no CUDA device here; use auto or cpu"):
                engine.device_of(name)


# --- scores ---------------------------------------------------------------------------------------------------------


def test_scores_are_those_of_scikit_learn():
    from sklearn.metrics import accuracy_score, f1_score

    rng = np.random.default_rng(0)
    y, said = rng.integers(0, 4, 200), rng.integers(0, 4, 200)
    y_N, said_N = torch.from_numpy(y), torch.from_numpy(said)
    assert metrics.accuracy(said_N, y_N) == pytest.approx(accuracy_score(y, said))
    assert metrics.macro_f1(said_N, y_N, 4) == pytest.approx(f1_score(y, said, average="macro"))
    per_class = metrics.per_class_accuracy(said_N, y_N, "abcd")
    assert per_class == {name: pytest.approx((said[y == i] == i).mean()) for i, name in enumerate("abcd")}


def test_a_class_without_scored_rows_has_no_score():
    from sklearn.metrics import f1_score

    y, said = torch.tensor([0, 0, 1, 1]), torch.tensor([0, 2, 1, 1])
    assert metrics.per_class_accuracy(said, y, ("a", "b", "c")) == {"a": 0.5, "b": 1.0, "c": None}
    assert metrics.macro_f1(said, y, 3) == pytest.approx(f1_score(y, said, average="macro", labels=[0, 1], zero_division=0))
    assert metrics.macro_f1(torch.tensor([1, 1]), torch.tensor([0, 0]), 2) == 0.0


def test_the_highest_score_is_the_class_and_no_number_is_none():
    assert metrics.predicted_classes(torch.tensor([[0.0, -torch.inf, 1.0], [2.0, 0.0, 0.0]])).tolist() == [2, 0]
    with pytest.raises(DivergedError, match="1 of 2 predictions"):
        metrics.predicted_classes(torch.tensor([[0.0, torch.nan], [1.0, 0.0]]))


def test_entropy_is_in_nats():
    assert metrics.mean_entropy(torch.zeros(3, 4)) == pytest.approx(np.log(4))
    assert metrics.mean_entropy(torch.tensor([[100.0, 0.0]])) == pytest.approx(0.0, abs=1e-6)
    assert metrics.mean_entropy(torch.tensor([[0.0, 0.0, -torch.inf]])) == pytest.approx(np.log(2))


# --- the clock ------------------------------------------------------------------------------------------------------


def test_the_clock_sees_a_sleep_and_bills_no_pause():
    watch = clock.Clock(CPU)
    for _ in range(2):
        with watch.measure("work"):
            time.sleep(0.05)
        time.sleep(0.2)
    assert 0.1 <= watch.seconds["work"] < 0.3
    with pytest.raises(ZeroDivisionError), watch.measure("fails"):
        1 / 0  # noqa: B018
    assert watch.seconds["fails"] < 0.05 and set(watch.seconds) == {"work", "fails"}


def test_what_others_do_between_steps_is_not_billed():
    net = Net(backbones.build_backbone("mlp", (6,), {"hidden": [4]}), 3)
    method = methods.method_class("source_only")(net)
    watch, begun = clock.Clock(CPU), time.perf_counter()
    task = Task(3, source=checks.toy_samples(1))
    looks = []

    def slow(done, total):
        looks.append((done, total))
        time.sleep(0.1)

    training = Training(steps=30, batch=8, trace=3)
    outcome = train(method, task, training, Inputs(Network(), False), watch, len, on_step=slow)
    assert looks[-1] == (30, 30) and len(looks) >= 3
    assert watch.seconds["train"] <= time.perf_counter() - begun - 0.1 * len(looks)
    speed = outcome.speed
    assert len(speed.seconds) + speed.warm_up_steps == 30 and sum(speed.seconds) <= watch.seconds["train"]
    assert outcome.samples_per_second == pytest.approx(8 * len(speed.seconds) / sum(speed.seconds))
    parts = [sum(speed.parts[name]) for name in ("data", "forward_backward", "optimizer")]
    assert min(parts) > 0 and sum(parts) <= sum(speed.seconds)


def test_memory_sees_a_large_tensor():
    memory = clock.Memory(CPU)
    before = memory.peak()
    if before is None:
        pytest.skip("the peak of resident memory can't be reset here")
    held = torch.ones(30_000_000)
    del held
    peak = memory.peak()
    assert peak - before > 80e6
    assert clock.Memory(CPU).peak() < peak - 80e6  # each case starts anew


def test_a_method_can_not_ask_for_rows_that_it_does_not_read(tmp_path):
    body = (
        "class Peek(DeepMethod):\n    reads = frozenset({'source'})\n"
        "    def phases(self):\n        return (Phase(self.supervised, self.reads, begin=self.look),)\n"
        "    def look(self, rows: Passes) -> None:\n        rows.map('target', lambda x: x)\n"
    )
    with plugged(tmp_path, "peek", body) as name:
        record = engine.run_case(case(name), FEW, domains(), CPU)
    assert record.status == "failed" and "passes over 'target', which neither" in record.reason


# --- golden lines ---------------------------------------------------------------------------------------------------


def losses() -> dict[str, list[list[float]]]:
    """(step, loss) of some methods on the toy task."""
    found = {}
    for name in GOLDEN_METHODS:
        fitted = checks.fit(name, checks.toy_task(), steps=30)
        found[name] = [[step, fitted.outcome.losses[step]] for step in GOLDEN_STEPS]
    return found


def test_golden_losses():
    """A change that should change no number leaves these lines as they are; CPUs differ by rounding alone."""
    golden = json.loads((GOLDEN / "losses_cpu.json").read_text(encoding="utf-8"))
    now = losses()
    assert set(golden) == set(now)
    for name, lines in golden.items():
        assert [step for step, _ in lines] == list(GOLDEN_STEPS)
        assert [loss for _, loss in now[name]] == pytest.approx([loss for _, loss in lines], rel=1e-4), name


def test_a_record_of_schema_1_loads_for_ever():
    (record,) = records.read(GOLDEN / "record_schema1.jsonl")
    assert (record.schema_, record.suite, record.suite_version, record.entry, record.method) == (
        *(1, "quickstart", 1),
        *("dann_strong", "dann"),
    )
    assert (record.pair, record.sources, record.seed, record.status) == (
        *("upright+noisy:rotated", ("upright", "noisy")),
        *(2, "done"),
    )
    assert record.options == {"weight": 3.0, "hidden": 256, "gamma": 10.0}
    assert record.scores.target_accuracy == 0.6234567890123457
    assert record.scores.per_class_accuracy == {"0": 1.0, "1": 0.25, "zwölf": None}
    assert record.scores.trace[0].target_entropy == 1.25 and record.scores.trace[1].loss is None
    assert record.cost.train_samples_per_second == 8123.5 and record.cost.energy_joules is None
    assert record.machine.device == "NVIDIA H200" and record.code.commit == "0123456789abcdef0123456789abcdef01234567"
    assert record.finished == "2025-01-31T12:00:09.250+00:00"


def test_parts_are_three():
    assert SPLITS == ("source", "target", "target_labeled")
    x = checks.toy_samples(4, 20)
    fitted = checks.fit("source_only", checks.toy_task(), steps=2)
    assert in_chunks(fitted.predictor, x.x, fitted.inputs, 7).shape == (20, 3)


if __name__ == "__main__":
    text = ",\n".join(f"  {json.dumps(name)}: {json.dumps(lines)}" for name, lines in losses().items())
    (GOLDEN / "losses_cpu.json").write_text("{\n" + text + "\n}\n", encoding="utf-8")
    sys.exit()


def test_threads_sleep_while_they_wait_only_beside_other_programs(monkeypatch):
    from tlbench import threads

    monkeypatch.setenv("OMP_WAIT_POLICY", "")  # so that what is set below is taken back afterwards
    for busy, policy in ((False, None), (True, "PASSIVE")):
        monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
        monkeypatch.setattr(threads, "others_run", lambda busy=busy: busy)
        threads.set_wait_policy()
        assert os.environ.get("OMP_WAIT_POLICY") == policy
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    threads.set_wait_policy()
    assert os.environ["OMP_WAIT_POLICY"] == "ACTIVE"


def test_on_the_stream_dropout_is_off_and_the_norms_use_the_batch():
    linear, norm = torch.nn.Linear(6, 8), torch.nn.BatchNorm1d(8)
    backbone = Backbone([linear, norm, torch.nn.Dropout(0.5)], 8)
    method = methods.method_class("tent")(Net(backbone, 3), lr=0.0)
    x = torch.randn(12, 6)
    scores = predict_online(method, method.online(), Subset.of(x), Inputs(Network(), channels_last=False), 12)
    features = torch.nn.functional.batch_norm(linear(x), None, None, norm.weight, norm.bias, training=True)
    torch.testing.assert_close(scores, method.net.head(features))
