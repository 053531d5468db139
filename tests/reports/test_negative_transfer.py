"""Negative transfer behind a mean: classes, groups, single runs, collapsed runs and negative flips."""

import pytest
import torch
from toy_records import cells, of_classes, record, value

from tlbench import records, reports
from tlbench.engine.runtime import metrics
from tlbench.terms import Scores


def test_a_method_that_is_better_on_average_and_worse_on_one_class_is_seen():
    noise = [0.0, 0.01, -0.01]
    before = [of_classes("source_only", s, {"cat": 0.8, "dog": 0.5 + n, "owl": 0.5}) for s, n in enumerate(noise)]
    after = [of_classes("dann", s, {"cat": 0.5 + n, "dog": 0.95, "owl": 0.9 - n}) for s, n in enumerate(noise)]
    frame = reports.frame([*before, *after])
    (transfer,), (negative,), (classes,) = (
        reports.transfer(frame),
        reports.negative_transfer(frame),
        reports.class_deltas(frame),
    )
    assert transfer.cells.loc["dann", "verdict"] == "better"
    assert negative.cells.loc["dann", "worst class"] == "cat: -30.0 *"
    assert value(negative, "dann", "worst_class") == pytest.approx(-30)
    assert negative.data.query("quantity == 'worst_class'")["subgroup"].item() == "cat"
    assert classes.cells.loc["dann", "significantly worse"] == "1 / 3"
    assert classes.cells.columns.to_list() == ["significantly worse", "cat", "dog", "owl"]
    assert classes.marks.loc["dann", ["cat", "dog"]].to_list() == ["worse", "better"]
    assert reports.group_deltas(frame) == []


def test_of_many_classes_only_the_worst_are_shown_and_all_are_in_the_data():
    shares = {f"class {n}": 0.5 for n in range(31)}
    before = [of_classes("source_only", s, shares) for s in range(3)]
    worse = {name: 0.5 - 0.001 * n for n, name in enumerate(shares)}
    (table,) = reports.class_deltas(reports.frame([*before, *[of_classes("dann", s, worse) for s in range(3)]]))
    assert table.cells.columns.to_list() == ["significantly worse", "worst", "2. worst", "3. worst"]
    assert table.cells.loc["dann", "worst"].startswith("class 30: -3.0")
    assert table.data.query("quantity == 'mean'")["subgroup"].nunique() == 31


def test_a_class_counts_over_the_pairs_that_have_it_and_a_missing_run_blanks_it():
    def made(row, up):
        here = [of_classes(row, s, {"cat": 0.5 + up, "dog": 0.5}, pair="a:b") for s in range(3)]
        there = [of_classes(row, s, {"dog": 0.5 - up, "owl": None}, pair="b:a") for s in range(2 if up else 3)]
        return [*here, *there]

    (table,) = reports.class_deltas(reports.frame([*made("source_only", 0), *made("dann", 0.1)]))
    assert value(table, "dann", "mean", subgroup="cat") == pytest.approx(10)
    assert table.cells.loc["dann", "dog"] == table.cells.loc["dann", "owl"] == ""


def test_the_worst_group_stands_beside_the_worst_class_where_groups_are_declared():
    def made(row, worst):
        groups = {"waterbird on land": worst, "landbird on land": 0.9}
        scores = [{"target_accuracy": 0.8 + s / 100, "per_group_accuracy": groups} for s in range(3)]
        return [record(row, seed=s, scores=scores[s], metric="worst_group_accuracy") for s in range(3)]

    frame = reports.frame([*made("source_only", 0.6), *made("dann", 0.4)])
    (negative,), accuracy = reports.negative_transfer(frame), reports.accuracy(frame)
    assert negative.cells.loc["dann", "worst group"] == "waterbird on land: -20.0 *"
    assert accuracy.cells["mean"].to_dict() == {"source_only": "60.0 ± 0.0", "dann": "40.0 ± 0.0"}
    assert "worst-group accuracy" in accuracy.title
    assert [table.kind for table in reports.group_deltas(frame)] == ["groups"]


def test_the_worst_run_is_named_with_its_seed():
    base = cells("source_only", {"a:b": [0.5, 0.5, 0.5], "b:a": [0.6, 0.6, 0.6]})
    other = cells("dann", {"a:b": [0.6, 0.6, 0.6], "b:a": [0.7, 0.41, 0.7]})
    (negative,) = reports.negative_transfer(reports.frame([*base, *other]))
    assert negative.cells.loc["dann", "worst run"] == "b:a #1 -19.0"
    found = negative.data.query("quantity == 'worst_seed'")[["pair", "subgroup", "value"]].iloc[0].to_list()
    assert found == ["b:a", "1", pytest.approx(-19)]
    assert value(negative, "dann", "probability_of_improvement") == pytest.approx((1 + 2 / 3) / 2)


def test_runs_at_chance_have_collapsed():
    one_class = {"0": 1.0, "1": 0.0, "2": 0.0}
    base = [of_classes("source_only", s, {"0": 0.5, "1": 0.4, "2": 0.4}) for s in range(3)]
    fallen = [of_classes("dann", s, one_class if s else {"0": 0.9, "1": 0.9, "2": 0.8}) for s in range(3)]
    (negative,) = reports.negative_transfer(reports.frame([*base, *fallen]))
    assert negative.cells.loc["dann", "collapsed"] == "2 / 3"
    assert "at most 1 / classes" in negative.caption and "(source_only: 0 / 3)" in negative.caption
    unknown = reports.frame([*cells("source_only", {"a:b": [0.5] * 3}), *cells("dann", {"a:b": [0.1] * 3})])
    assert reports.negative_transfer(unknown)[0].cells.loc["dann", "collapsed"] == ""


def run(entry, seed, right, predicted=None, **more):
    """A record with its predictions, which are correct or not: class 0 where correct, else 1, unless given."""
    right = torch.tensor(right, dtype=torch.bool)
    predicted = (~right).long() if predicted is None else torch.tensor(predicted)
    name, content = metrics.pack_predictions(predicted, right)
    scores = Scores(target_accuracy=float(right.double().mean()), predictions=name, scored_samples=len(right))
    return record(entry, seed=seed, scores=scores, **more).attach(content)


def written(folder, made):
    (folder / "toy").mkdir(exist_ok=True)
    for one in made:
        records.append(folder, one)
    frame = reports.frame(records.iterate_records(folder))
    return frame, reports.negative_flips(folder, frame)


def test_negative_flips_are_samples_lost_beside_the_floor_between_seeds(tmp_path):
    base = [run("source_only", 0, [1, 1, 1, 1, 0]), run("source_only", 1, [1, 1, 1, 0, 1])]
    other = [run("dann", 0, [0, 1, 1, 1, 1]), run("dann", 1, [1, 1, 0, 1, 1])]
    frame, flips = written(tmp_path, [*base, *other])
    assert flips[["entry", "seed", "negative_flips", "positive_flips"]].to_numpy().tolist() == [
        ["dann", 0, 0.2, 0.2],
        ["dann", 1, 0.2, 0.2],
    ]
    assert flips["flips_floor"].to_list() == [0.2, 0.2]
    (negative,) = reports.negative_transfer(frame, flips)
    assert negative.cells.loc["dann", ["mean delta", "flips %", "floor %"]].to_list() == ["0.0", "20.0", "20.0"]
    assert reports.negative_transfer(frame)[0].cells.loc["dann", "flips %"] == ""
    assert "predictions are not on file" in reports.negative_transfer(frame)[0].caption


def test_flips_are_against_target_only_too_where_labels_are_granted(tmp_path):
    right = {"source_only": [1, 0, 0, 0], "target_only": [0, 1, 1, 1], "dann": [1, 1, 0, 0]}
    runs = [run(row, seed, of, method=row, target_labels=1) for row, of in right.items() for seed in range(3)]
    frame, flips = written(tmp_path, runs)
    source, target = reports.negative_transfer(frame, flips)
    assert source.cells["flips %"].to_dict() == {"target_only": "25.0", "dann": "0.0"}
    assert target.cells["flips %"].to_dict() == {"dann": "50.0", "source_only": "75.0"}
    assert "that target_only classifies correctly" in target.caption


def test_no_floor_where_seeds_score_other_samples(tmp_path):
    other_samples = run("source_only", 1, [1, 1, 1, 0, 1], predicted=[0, 1, 1, 0, 0])
    _, flips = written(tmp_path, [run("source_only", 0, [1, 1, 1, 1, 0]), other_samples, run("dann", 0, [0, 1, 1, 1, 1])])
    assert flips["negative_flips"].to_list() == [0.2]
    assert flips["flips_floor"].isna().all()
    drawn = [run(row, seed, [1, 1, 0], target_labels=5) for row in ("source_only", "dann") for seed in range(2)]
    (tmp_path / "labeled").mkdir()
    _, flips = written(tmp_path / "labeled", drawn)
    assert len(flips) == 2 and flips["flips_floor"].isna().all()


def test_without_predictions_flips_are_blank(tmp_path):
    frame, flips = written(tmp_path, [run("source_only", 0, [1, 0]), run("dann", 0, [0, 1])])
    assert len(flips) == 1
    for file in (tmp_path / "toy" / "predictions").iterdir():
        file.write_bytes(b"broken")
    assert reports.negative_flips(tmp_path, frame) is None
