"""Repeats that are copies of one run: they count once, have no interval over seeds, and are tested on samples if at all."""

import numpy as np
import pytest
import torch
from scipy import stats
from toy_records import cells, record, value

from tlbench import records, reports
from tlbench.engine.runtime import metrics
from tlbench.reports.score_cube import score_cube
from tlbench.terms import Scores

SAMPLES = 720


def runs(entry, lost, gained, pair="a:b", seeds=3, samples=SAMPLES):
    """Records of an entry with equal predictions in every seed: beside a common half it loses and gains some samples."""
    right = torch.zeros(samples, dtype=torch.bool)
    right[: samples // 2] = True
    right[:lost] = False
    right[samples // 2 : samples // 2 + gained] = True
    name, content = metrics.pack_predictions((~right).long(), right)
    scores = Scores(target_accuracy=float(right.double().mean()), predictions=name, scored_samples=samples)
    return [record(entry, pair, seed, scores=scores).attach(content) for seed in range(seeds)]


def on_file(folder, made):
    (folder / "toy").mkdir(exist_ok=True)
    for one in made:
        records.append(folder, one)
    frame = reports.frame(records.iterate_records(folder))
    return frame, reports.negative_flips(folder, frame)


@pytest.mark.parametrize(("lost", "gained"), [(0, 2), (2, 0), (1, 9), (0, 40), (40, 0), (15, 40)])
def test_a_deterministic_delta_is_tested_on_samples_by_mcnemars_exact_test(tmp_path, lost, gained):
    made = [*runs("source_only", 0, 0), *runs("pca", lost, gained), *runs("same", 0, 0)]
    frame, flips = on_file(tmp_path, made)
    (table,) = reports.tables(frame, "transfer", flips)
    p = stats.binomtest(min(lost, gained), lost + gained).pvalue
    adjusted = min(1.0, 2 * p)  # Benjamini and Hochberg over two cells, the other with p = 1
    assert value(table, "pca", "p", "a:b") == pytest.approx(adjusted)
    assert value(table, "pca", "mark", "a:b") == (np.sign(gained - lost) if adjusted <= 0.05 else 0)
    delta = 100 * (gained - lost) / SAMPLES
    assert table.cells.loc["pca", "a:b"] == f"{delta:+.1f}" + " *" * bool(adjusted <= 0.05)
    assert table.cells.loc["pca", ["mean delta", "verdict"]].to_list() == [f"{delta:+.1f}", ""]
    assert table.cells.loc["same", ["a:b", "verdict"]].to_list() == ["0.0", "equal"]
    assert "exact McNemar test over the scored samples" in table.caption
    assert value(table, "pca", "low", "a:b") is value(table, "pca", "low") is None
    assert value(table, "pca", "n", "a:b") == 1


def test_two_of_720_samples_are_no_finding_however_often_they_are_counted(tmp_path):
    made = [one for pair in ("a:b", "b:a") for one in (*runs("source_only", 0, 0, pair, 10), *runs("pca", 0, 2, pair, 10))]
    frame, flips = on_file(tmp_path, made)
    (table,) = reports.tables(frame, "transfer", flips)
    assert table.cells.loc["pca"].to_list() == ["+0.3", "", "2 / 2", "0 / 2", "a:b +0.3", "+0.3", "+0.3"]


def test_without_predictions_there_is_no_mark():
    frame = reports.frame([*cells("source_only", {"a:b": [0.5] * 3}), *cells("pca", {"a:b": [0.9] * 3})])
    (table,) = reports.transfer(frame)
    assert table.cells.loc["pca"].to_list() == ["+40.0", "", "1 / 1", "0 / 1", "a:b +40.0", "+40.0"]
    assert "Copies of one run in every seed, which count once and have no 95 % CI over seeds: pca; no test." in table.caption
    (negative,) = reports.negative_transfer(frame)
    assert negative.cells.loc["pca", "mean delta"] == "+40.0"
    assert "Copies of one run" in negative.caption and "no test" not in negative.caption


def test_copies_are_told_from_equal_scores_by_their_predictions():
    made = [
        record(entry, pair, seed, scores={"target_accuracy": 0.5, "predictions": name.format(pair=pair, seed=seed)})
        for entry, name in {"nearest": "{pair}", "chance": "{pair} {seed}"}.items()
        for pair in ("a:b", "b:a")
        for seed in range(3)
    ]
    made += cells("half", {"a:b": [0.5, 0.5, 0.5], "b:a": [0.5, 0.5, 0.6]})
    cube = score_cube(reports.frame(made))
    assert dict(zip(cube.entries, cube.single_M.tolist(), strict=True)) == {"nearest": True, "chance": False, "half": False}
    one_seed = score_cube(reports.frame(cells("nearest", {"a:b": [0.5]})))
    assert not one_seed.single_M.any()


def test_a_deterministic_method_beside_a_baseline_that_varies_is_replicated():
    noisy = {"a:b": [0.50, 0.52, 0.57]}
    frame = reports.frame([*cells("source_only", noisy), *cells("nearest", {"a:b": [0.7] * 3})])
    (table,) = reports.transfer(frame)
    low, high = stats.t.interval(0.95, 2, 70 - 100 * np.mean(noisy["a:b"]), stats.sem(100 * np.array(noisy["a:b"])))
    assert (value(table, "nearest", "low"), value(table, "nearest", "high")) == pytest.approx((low, high))
    assert table.cells.loc["nearest", "verdict"] == "better" and "Copies" not in table.caption


def test_copies_do_not_enter_the_plan_of_seeds():
    frame = reports.frame([*cells("source_only", {"a:b": [0.50, 0.52, 0.57]}), *cells("nearest", {"a:b": [0.7] * 3})])
    assert "± 0 " not in reports.accuracy(frame).caption
    alone = reports.accuracy(reports.frame(cells("nearest", {"a:b": [0.7] * 3})))
    assert "does not vary between seeds" in alone.caption


def test_classes_of_single_runs_are_not_tested():
    def made(entry, cat):
        scores = {"target_accuracy": (cat + 0.5) / 2, "per_class_accuracy": {"cat": cat, "dog": 0.5}}
        return [record(entry, seed=seed, scores=scores) for seed in range(3)]

    (table,) = reports.class_deltas(reports.frame([*made("source_only", 0.5), *made("pca", 0.1)]))
    assert table.cells.loc["pca"].to_list() == ["", "-40.0", "0.0"]
    assert "pca; no test" in table.caption


def test_directories_of_single_runs_are_compared_without_an_interval():
    before, after = (reports.frame(cells("pca", {"a:b": [score] * 3})) for score in (0.5, 0.6))
    (table,) = reports.compare(before, after)
    assert table.cells.loc["pca", ["B - A", "verdict", "a:b"]].to_list() == ["+10.0", "", "+10.0"]
    assert reports.compare(before, before)[0].cells.loc["pca", "verdict"] == "equal"
    later = reports.frame([record("pca", seed=seed + 10, accuracy=0.6) for seed in range(3)])
    assert reports.compare(before, later)[0].cells.loc["pca", "B - A"] == "+10.0"
