"""Suites of several tasks: what is declared, learned, scored, checked and reported."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
import torch

from tlbench import checks, data, engine, methods, records, reports
from tlbench.checks.data_labels import DataLabels
from tlbench.checks.scores import prediction_errors
from tlbench.engine.data.tasks import standardize_targets, with_shared_tasks
from tlbench.engine.runtime import metrics
from tlbench.engine.scored_labels import scored_labels
from tlbench.errors import TlbenchError
from tlbench.nn.net import Backbone, TaskNet, task_loss, task_losses, task_losses_at_once
from tlbench.suite import Suite, parse_suite
from tlbench.terms import Domain, LabeledTask, Labelled, Record

CPU = torch.device("cpu")
TASKS = {"kind": "classification", "amount": "regression"}


def write_table(path: Any, seed: int) -> None:
    """A table of two features, a class by the first, an amount by the second, and a third of the amounts missing."""
    x = np.random.default_rng(seed).normal(size=(150, 2))
    lines = ["a,b,kind,amount,city"]
    for number, (a, b) in enumerate(x):
        amount = "" if number % 3 == 0 else f"{100 + 10 * b:.3f}"
        lines.append(f"{a:.4f},{b:.4f},{'high' if a > 0 else 'low'},{amount},{'east' if number % 2 else 'west'}")
    path.write_text("\n".join(lines) + "\n")


def tables(**changed: Any) -> dict[str, Any]:
    csv = {"reader": "csv", "label": ["kind", "amount"], "features": ["a", "b"], "task": "multi_task", "tasks": TASKS}
    return {
        "name": "several",
        "version": 1,
        "data": {**csv, **changed},
        "domains": {"train": {"path": "train.csv"}, "test": {"path": "test.csv"}},
        "pairs": {"list": ["train:test"]},
        "protocol": {"task": "multi_task", "grants": ["source"], "source_held_out": 0.0},
        "net": {"backbone": "mlp", "hidden": [16]},
        "train": {"steps": 60, "batch": 32, "lr": 1e-2},
        "methods": {
            "equal": {"method": "balanced_tasks"},
            "cagrad": {"method": "balanced_tasks", "balancer": {"kind": "cagrad", "c": 0.4}},
            "famo": {"method": "balanced_tasks", "balancer": "famo"},
        },
    }


@pytest.fixture
def folder(tmp_path):
    for seed, name in enumerate(("train", "test")):
        write_table(tmp_path / f"{name}.csv", seed)
    return tmp_path


def load(folder: Any, **changed: Any) -> tuple[Suite, dict[str, Domain]]:
    suite = parse_suite(tables(**changed), "several.toml", [methods.suite_errors])
    return suite, {name: data.load(one, folder) for name, one in suite.domains.items()}


def run(suite: Suite, domains: dict[str, Domain], seeds: tuple[int, ...] = (0,)) -> list[Record]:
    return [engine.run_case(case, suite, domains, CPU) for case in suite.cases(seeds=seeds)]


def test_a_suite_of_tasks_runs_from_its_tables_to_its_report(folder, tmp_path):
    suite, domains = load(folder)
    assert list(suite.methods) == ["single_task", "equal", "cagrad", "famo"]  # the baseline is there by itself
    assert domains["train"].tasks == (LabeledTask("kind", ("high", "low")), LabeledTask("amount"))
    assert int(domains["train"].samples.y.isnan().sum()) == 50
    engine.check_pairs(suite, domains, suite.pairs)
    done = run(suite, domains, (0, 1, 2))
    assert {record.status for record in done} == {"done"}, [record.reason for record in done]
    for record in done:
        per_task = record.scores.per_task
        assert per_task is not None and per_task["kind"].samples == 150 and per_task["amount"].samples == 100
        assert per_task["kind"].accuracy > 0.9
        assert per_task["amount"].r2 > 0.5  # targets around 100: standardized for the training, and mapped back
        assert record.scores.task_score == pytest.approx((per_task["kind"].accuracy + per_task["amount"].r2) / 2)
    (table,) = reports.tables(reports.frame(done), "tasks")
    assert {*table.cells.index} == {"equal", "cagrad", "famo"}
    line = table.data[(table.data["entry"] == "cagrad") & (table.data["quantity"] == "delta_m_mean")]["value"].item()
    assert line == pytest.approx(delta_m(done, "cagrad"))
    assert "±" in table.cells.loc["cagrad", "delta_m %"] and table.cells.loc["equal", "x equal"] == "1.00"


def delta_m(done: list[Record], entry: str) -> float:
    """The mean relative change against single_task in per cent, computed from the records one by one."""
    changes = []
    for seed in (0, 1, 2):
        ours, base = (next(r for r in done if r.entry == name and r.seed == seed) for name in (entry, "single_task"))
        ours, base = ours.scores.per_task, base.scores.per_task
        changes.append((ours["kind"].accuracy - base["kind"].accuracy) / base["kind"].accuracy)
        changes.append(-(ours["amount"].rmse - base["amount"].rmse) / base["amount"].rmse)
    return 100 * float(np.mean(changes))


def test_scores_follow_from_the_stored_predictions(folder, tmp_path):
    suite, domains = load(folder)
    (case,) = suite.cases(entries=["equal"], seeds=[0])
    record = engine.run_case(case, suite, domains, CPU)
    records.append(tmp_path / "results", record)
    assert not list(prediction_errors(tmp_path / "results", record))
    on_file = records.file_of(tmp_path / "results", record.suite, record.entry)
    assert checks.check_results(on_file) == ["The records are plausible: 1 in all, 1 done."]
    predicted = records.outputs(tmp_path / "results", record)
    assert predicted.shape == (150, 2)
    missing = domains["test"].samples.y[:, 1].isnan().numpy()
    assert (predicted[missing, 1] == 0).all() and (predicted[~missing, 1] != 0).all()  # a label that is missing scores nothing
    derived = scored_labels(case, suite, domains).scores(predicted)
    stated = record.scores.per_task
    assert derived["task_score"] == record.scores.task_score
    assert derived["per_task"]["amount"]["rmse"] == stated["amount"].rmse


def test_scores_of_tasks_follow_from_the_labels_of_the_data(folder, tmp_path):
    suite, domains = load(folder)
    (case,) = suite.cases(entries=["equal"], seeds=[0])
    record = engine.run_case(case, suite, domains, CPU)
    records.append(tmp_path / "results", record)
    labels = DataLabels(suite, folder)
    assert not list(labels.errors(tmp_path / "results", record)) and labels.compared == 1
    (name, one), *others = record.scores.per_task.items()
    forged = {**dict(others), name: one.model_copy(update={"accuracy": one.accuracy - 0.01})}
    scores = record.scores.model_copy(update={"per_task": forged})
    (error,) = labels.errors(tmp_path / "results", record.model_copy(update={"scores": scores}))
    assert f"{name}: samples: 150, accuracy: {one.accuracy - 0.01:.6g}" in error


def test_the_same_case_gives_the_same_numbers(folder):
    suite, domains = load(folder)
    for first, second in zip(run(suite, domains), run(suite, domains), strict=True):
        assert first.scores == second.scores


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"tasks": {"kind": "classification", "amonut": "regression"}}, "Unknown label column 'amonut'"),
        ({"tasks": {"kind": "classification"}}, "tasks names 'kind' alone"),
        ({"tasks": {}}, "takes either tasks"),
        ({"tasks": {"kind": "regression", "amount": "regression"}}, "The task 'kind' is a regression and holds other labels"),
    ],
)
def test_bad_tasks_get_one_clear_error(folder, changed, message):
    with pytest.raises(TlbenchError) as error:
        load(folder, **changed)
    assert message in str(error.value)


def test_a_task_without_a_label_is_refused(folder):
    suite, domains = load(folder)
    samples = domains["test"].samples
    empty = Labelled(samples.x, torch.where(torch.tensor([False, True]), torch.nan, samples.y))
    unlabeled = {**domains, "test": Domain("test", empty, (), "", tasks=domains["test"].tasks)}
    with pytest.raises(TlbenchError, match="The task 'amount' has no label in domain test"):
        engine.check_pairs(suite, unlabeled, suite.pairs)


def test_an_unknown_balancer_is_an_error_of_the_suite():
    raw = tables()
    raw["methods"]["equal"]["balancer"] = "pcgard"
    with pytest.raises(TlbenchError, match="pcgrad"):
        parse_suite(raw, "several.toml", [methods.suite_errors])


def test_every_group_can_be_a_task(folder):
    changed = {"label": "amount", "group": "city", "tasks": {}, "tasks_by_group": "regression", "where": {"amount": {"min": 0}}}
    _, domains = load(folder, **changed)
    domain = domains["train"]
    assert [task.name for task in domain.tasks] == ["east", "west"]
    assert (domain.samples.y.isfinite().sum(dim=1) == 1).all()


def test_classes_that_a_domain_lacks_are_those_of_the_pair():
    def domain(name: str, classes: tuple[str, ...], y: list[float]) -> Domain:
        samples = Labelled(torch.zeros(len(y), 2), torch.tensor([[value, 1.0] for value in y]))
        return Domain(name, samples, (), "", tasks=(LabeledTask("t", classes), LabeledTask("u")))

    (source,), target = with_shared_tasks([domain("a", ("x", "z"), [0, 1, torch.nan])], domain("b", ("x", "y"), [1, 0]))
    assert source.tasks == target.tasks == (LabeledTask("t", ("x", "y", "z")), LabeledTask("u"))
    assert source.samples.y[:2, 0].tolist() == [0, 2] and source.samples.y[2, 0].isnan()
    assert target.samples.y[:, 0].tolist() == [1, 0]


def test_losses_leave_missing_labels_out():
    outputs = torch.tensor([[2.0, 0.0], [0.0, 1.0], [5.0, 5.0]], requires_grad=True)
    loss = task_loss(LabeledTask("t", ("a", "b")), outputs, torch.tensor([0.0, 1.0, torch.nan]))
    torch.testing.assert_close(loss, torch.nn.functional.cross_entropy(outputs[:2], torch.tensor([0, 1])))
    loss.backward()
    assert torch.equal(outputs.grad[2], torch.zeros(2))
    regression = task_loss(LabeledTask("u"), torch.tensor([[1.0], [3.0]]), torch.tensor([torch.nan, 1.0]))
    assert regression == 4.0
    assert task_loss(LabeledTask("u"), torch.ones(2, 1), torch.full((2,), torch.nan)) == 0.0


def test_losses_of_regressions_at_once_are_those_of_each():
    net = TaskNet(Backbone([torch.nn.Linear(3, 4)], 4), tuple(LabeledTask(name) for name in "abc"))
    x, y = torch.randn(6, 3, requires_grad=True), torch.randn(6, 3)
    y[::2, 0], y[:, 1] = torch.nan, torch.nan
    at_once, each = task_losses_at_once(net, Labelled(x, y)), torch.stack(task_losses(net, Labelled(x, y)))
    torch.testing.assert_close(at_once, each)
    gradients = [torch.autograd.grad((losses * torch.tensor([1.0, 2.0, 3.0])).sum(), x)[0] for losses in (at_once, each)]
    torch.testing.assert_close(*gradients)


def test_scores_of_tasks_leave_missing_labels_out():
    tasks = (LabeledTask("t", ("a", "b")), LabeledTask("u"))
    predicted = metrics.task_predictions(torch.tensor([[0.0, 1.0, 2.0], [3.0, 1.0, 0.0], [0.0, 9.0, 1.0]]), tasks)
    assert predicted.tolist() == [[1, 2], [0, 0], [1, 1]]
    scores = metrics.task_scores(predicted, torch.tensor([[1.0, 2.0], [torch.nan, 1.0], [0.0, torch.nan]]), tasks)
    assert scores["per_task"]["t"] == {"samples": 2, "accuracy": 0.5}
    assert scores["per_task"]["u"]["rmse"] == pytest.approx(np.sqrt(0.5))


def test_the_baseline_of_single_tasks_shares_nothing_and_starts_like_the_shared_network(folder):
    suite, domains = load(folder)
    changed = dict(domains)
    samples = domains["train"].samples
    noise = samples.y.clone()
    noise[:, 1] = torch.where(noise[:, 1].isnan(), noise[:, 1], noise[:, 1].flip(0).nan_to_num(50.0))
    changed["train"] = Domain(
        "train", Labelled(samples.x, noise), (), domains["train"].fingerprint, tasks=domains["train"].tasks
    )
    for name, is_shared in (("single_task", False), ("equal", True)):
        (case,) = suite.cases(entries=[name], seeds=[0])
        first, second = (metrics_of(engine.run_case(case, suite, one, CPU)) for one in (domains, changed))
        assert (first == second) != is_shared, name  # other amounts reach the task `kind` through a shared backbone only


def metrics_of(record: Record) -> tuple[float, float]:
    """What other amounts change through sharing alone: the accuracy of `kind`, and how often each class is predicted."""
    assert record.attached is not None and record.scores.per_task is not None
    with np.load(io.BytesIO(record.attached), allow_pickle=False) as archive:
        return float(record.scores.per_task["kind"].accuracy), float(archive["outputs"][:, 0].sum())


def test_heads_of_one_product_are_the_single_heads():
    net = TaskNet(Backbone([torch.nn.Linear(3, 4)], 4), (LabeledTask("t", ("a", "b", "c")), LabeledTask("u")))
    features = net.backbone(torch.randn(5, 3))
    torch.testing.assert_close(net.head(features), torch.cat([head(features) for head in net.task_heads], dim=1))
    assert net.classes == 4


def test_targets_are_standardized_over_the_labels_that_exist(folder):
    suite, domains = load(folder)
    from tlbench.engine.data.splits import make_case_data

    granted = make_case_data([domains["train"]], domains["test"], suite.protocol, lambda use: 0, CPU).granted
    scaled, unscale = standardize_targets(granted)
    amounts = scaled.source.y[:, 1]
    amounts = amounts[amounts.isfinite()].double()
    assert abs(float(amounts.mean())) < 1e-5 and float(amounts.std(correction=0)) == pytest.approx(1, abs=1e-5)
    assert torch.equal(scaled.source.y[:, 0], granted.source.y[:, 0])
    original = unscale(lambda x: torch.zeros(1, 3))(torch.zeros(1))
    assert original[0, :2].tolist() == [0, 0] and 95 < original[0, 2] < 105
