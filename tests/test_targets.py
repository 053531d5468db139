"""What is predicted and how it is scored: regression, several target columns, groups, predictions beside the records."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import torch
from support import CPU, blobs, case, domain, record, suite

from tlbench import checks, engine, methods, records
from tlbench.engine import cell, score
from tlbench.terms import Diverged, Domain, Labelled, Scores, TlbenchError

TARGETS = ("first", "second")


def numbers(seed: int, rows: int = 60, shift: float = 0.0, scale: float = 1.0) -> Labelled:
    rows_of = checks.toy_regression(seed, rows, shift)
    return Labelled(rows_of.x, rows_of.y * scale)


def regression(name: str, rows: Labelled, test: Labelled | None = None) -> Domain:
    return Domain(name, rows, (), f"fingerprint of {name}", test, targets=TARGETS)


def regressing(**protocol):
    return suite(
        protocol={"task": "regression", "target_labels": 10, "seeds": [0], **protocol},
        train={"steps": 200, "batch": 32, "lr": 1e-2},
        methods={"source_only": {}, "target_only": {}, "mcc": {}},
    )


def test_a_regression_is_scored_in_the_targets_own_units():
    domains = {"a": regression("a", numbers(1)), "b": regression("b", numbers(2))}
    found = engine.run(case("source_only"), regressing(), domains, CPU)
    assert (found.status, found.task, found.metric) == ("done", "regression", "r2"), found.why
    scores = found.scores
    assert scores.scored_rows == 50 and scores.target_accuracy is None and scores.predictions is None
    assert scores.r2 is not None and scores.r2 > 0.8
    assert scores.per_target_r2 is not None and set(scores.per_target_r2) == set(TARGETS)
    assert scores.rmse is not None and 0.5 < scores.rmse < 15  # y spreads by about 25 around 50


def test_the_unit_of_a_target_does_not_matter():
    """In units a thousand times as large all errors are a thousand times as small, and R2 stays."""
    small, large = [
        engine.run(
            case("source_only"),
            regressing(),
            {"a": regression("a", numbers(1, scale=s)), "b": regression("b", numbers(2, scale=s))},
            CPU,
        ).scores
        for s in (1.0, 1024.0)
    ]
    assert large.r2 == pytest.approx(small.r2, abs=1e-5)
    assert large.rmse == pytest.approx(1024 * small.rmse, rel=1e-4) and large.mae == pytest.approx(1024 * small.mae, rel=1e-4)


def test_scores_of_a_regression_are_scikit_learns():
    from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error

    y = numbers(1).y
    given = y + torch.randn(y.shape, generator=torch.Generator().manual_seed(0)) * torch.tensor([3.0, 40.0])
    found = score.regression(given, y, TARGETS)
    assert found["r2"] == pytest.approx(r2_score(y, given), abs=1e-6)
    assert found["rmse"] == pytest.approx(root_mean_squared_error(y, given), rel=1e-6)
    assert found["mae"] == pytest.approx(mean_absolute_error(y, given), rel=1e-6)
    assert list(found["per_target_r2"].values()) == pytest.approx(r2_score(y, given, multioutput="raw_values"), abs=1e-6)
    same = score.regression(given, torch.ones_like(y), TARGETS)
    assert same["r2"] is None and same["per_target_r2"] is None and same["rmse"] is not None
    with pytest.raises(Diverged, match="1 of 60 predictions are not finite"):
        score.regression(given.index_fill(0, torch.tensor([3]), torch.inf), y, TARGETS)


def test_few_labelled_rows_of_a_regression_are_counted_in_all():
    chosen = regressing(source_held_out=0.1)
    parts = cell.make([regression("a", numbers(1))], regression("b", numbers(2)), chosen.protocol, lambda use: 0, CPU)
    assert parts.granted.few is not None and len(parts.granted.few) == 10 and len(parts.scored) == 50
    assert parts.granted.regression and parts.granted.classes == 2
    with pytest.raises(TlbenchError, match="none is left to score; grant fewer"):
        cell.check([regression("a", numbers(1))], regression("b", numbers(2, 10)), chosen.protocol)


def test_a_method_of_classes_is_skipped_in_a_regression():
    domains = {"a": regression("a", numbers(1)), "b": regression("b", numbers(2))}
    found = engine.run(case("mcc"), regressing(), domains, CPU)
    assert found.status == "skipped"
    assert found.why == "mcc does classification, and the suite is one of regression"


def test_a_domain_of_another_task_is_refused():
    chosen = regressing()
    with pytest.raises(TlbenchError, match=r"domain b is declared for classification; say task = 'regression' in both"):
        cell.check([regression("a", numbers(1))], domain("b", blobs(1)), chosen.protocol)
    with pytest.raises(TlbenchError, match=r"domain a is declared for regression"):
        cell.check([regression("a", numbers(1))], domain("b", blobs(1)), suite().protocol)
    other = dataclasses.replace(regression("b", numbers(2)), targets=("first", "third"))
    with pytest.raises(TlbenchError, match="different target columns"):
        cell.check([regression("a", numbers(1))], other, chosen.protocol)


@pytest.mark.parametrize(("task", "metric"), [("regression", "macro_f1"), ("classification", "rmse")])
def test_a_metric_belongs_to_its_task(task, metric):
    with pytest.raises(TlbenchError, match=f"metric '{metric}' is not one of {task}"):
        suite(protocol={"task": task, "metric": metric})


def test_every_shipped_method_of_regression_says_so():
    """Of the baselines, all do both: a suite of regression needs something to compare with."""
    both = {name for name in methods.names() if methods.find(name).tasks == {"classification", "regression"}}
    assert {"source_only", "target_only", "joint", "fine_tune", "multi_task", "coral", "dann"} <= both


def grouped(rows: Labelled, groups: int = 3) -> Labelled:
    return dataclasses.replace(rows, group=torch.arange(len(rows)) % groups)


@pytest.mark.parametrize("scored", ["adapted", "held_out", "test"])
def test_accuracy_of_each_group_of_the_scored_rows(scored):
    """Whatever is held out: the groups' right answers add up to those of all rows."""
    b = grouped(blobs(2, 45, shift=1.5, classes=3), 4)
    target = dataclasses.replace(domain("b", b, b), groups=("north", "south", "east", "empty"))
    target = dataclasses.replace(
        target, rows=dataclasses.replace(b, group=b.group % 3), test=dataclasses.replace(b, group=b.group % 3)
    )
    domains = {"a": domain("a", blobs(1)), "b": target}
    found = engine.run(case(), suite(protocol={"scored": scored, "target_labels": 2}), domains, CPU).scores
    each = found.per_group_accuracy
    assert each is not None and list(each) == list(target.groups) and each["empty"] is None
    parts = cell.make(
        [domains["a"]], target, suite(protocol={"scored": scored, "target_labels": 2}).protocol, lambda use: 1, CPU
    )
    assert parts.scored.group is not None and len(parts.scored.group) == found.scored_rows
    assert (
        min(v for v in each.values() if v is not None)
        <= found.target_accuracy
        <= max(v for v in each.values() if v is not None)
    )


def test_groups_are_scored_as_they_are_numbered():
    predicted, y, group = torch.tensor([0, 1, 1, 0]), torch.tensor([0, 1, 0, 1]), torch.tensor([0, 0, 2, 2])
    assert score.per_group(predicted, y, group, ("x", "y", "z")) == {"x": 1.0, "y": None, "z": 0.0}


def test_predictions_stand_beside_the_records(tmp_path):
    domains = {"a": domain("a", blobs(1)), "b": domain("b", blobs(2, shift=1.5))}
    found = engine.run(case(), suite(), domains, CPU)
    records.prepare(tmp_path, "tiny")
    records.append(tmp_path, found)
    (line,) = records.read_all(tmp_path)
    assert line == found and "attached" not in records.to_line(line)
    read = records.predictions(tmp_path, line)
    assert read is not None
    predicted, right = read
    assert len(predicted) == len(right) == line.scores.scored_rows
    assert right.mean() == line.scores.target_accuracy
    assert {f"{int(c)}" for c in np.unique(predicted)} <= set(line.scores.per_class_accuracy)

    file = records.predictions_file(tmp_path, "tiny", line.scores.predictions)
    before = file.stat().st_mtime_ns
    records.append(tmp_path, found)
    assert file.stat().st_mtime_ns == before  # the same predictions are written once
    file.write_bytes(file.read_bytes()[:-30])
    assert records.predictions(tmp_path, line) is None
    file.unlink()
    assert records.predictions(tmp_path, line) is None
    assert records.predictions(tmp_path, record()) is None
    assert records.predictions(tmp_path, record(scores=Scores(predictions="../../x"))) is None


def test_other_predictions_under_the_same_name_are_not_believed(tmp_path):
    name, content = score.kept(torch.tensor([0, 1, 300]), torch.tensor([True, False, True]))
    _, other = score.kept(torch.tensor([0, 1, 2]), torch.tensor([True, False, True]))
    written = record(scores=Scores(predictions=name))
    records.prepare(tmp_path, "tiny")
    records.append(tmp_path, written.attach(content))
    predicted, right = records.predictions(tmp_path, written)
    assert predicted.tolist() == [0, 1, 300] and right.tolist() == [True, False, True]
    records.predictions_file(tmp_path, "tiny", name).write_bytes(other)
    assert records.predictions(tmp_path, written) is None


def test_notes_of_a_method_stand_in_the_record_once(tmp_path):
    from support import plugged

    body = '''
class Noting(Trained):
    """Says something at each step."""
    reads = frozenset({"source"})
    def loss(self, step: Step) -> Tensor:
        self.note("rows were taken twice")
        return self.supervised(step)
'''
    domains = {"a": domain("a", blobs(1)), "b": domain("b", blobs(2))}
    with plugged(tmp_path, "noting", body):
        found = engine.run(case("noting"), suite(), domains, CPU)
    assert found.notes == ("rows were taken twice",), found.why
    assert json.loads(records.to_line(found))["notes"] == ["rows were taken twice"]


def test_a_new_key_with_its_default_leaves_identities_as_they_are():
    """Only what differs from its default is hashed: of the suite, and of the options."""
    assert suite().decides()["protocol"] == {}
    assert suite(protocol={"scored": "adapted", "held_out": 0.5}).decides() == suite().decides()
    assert suite(protocol={"held_out": 0.4}).decides()["protocol"] == {"held_out": 0.4}
    prints = {"a": "1", "b": "2"}
    assert engine.identity(case("coral", options={"weight": 1.0}), suite(), prints) == engine.identity(
        case("coral"), suite(), prints
    )
