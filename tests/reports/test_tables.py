"""Tables beyond means: what averages hide, ranks, costs, what to expect, and two directories compared."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats
from toy_records import cells, record, value

from tlbench import records, reports
from tlbench.engine.runtime import metrics
from tlbench.errors import TlbenchError
from tlbench.reports.frames import DETAILS
from tlbench.reports.statistics import planning
from tlbench.reports.sweeps import with_base_level
from tlbench.terms import Cost, Scores

PAIRS = ("a:b", "b:a", "a:c", "c:a", "b:c", "c:b")


def grid(row, level, spread=0.01, pairs=PAIRS, seeds=3, **more):
    """Records of a row: its level plus a little noise of its own."""
    rng = np.random.default_rng(list(row.encode()))
    noise = spread * rng.normal(size=(len(pairs), seeds))
    return cells(row, {pair: (level + of).tolist() for pair, of in zip(pairs, noise, strict=True)}, **more)


def of_classes(row, seed, shares, pair="a:b", column="per_class_accuracy", **more):
    accuracy = float(np.mean([share for share in shares.values() if share is not None]))
    return record(row, pair, seed, scores={"target_accuracy": accuracy, column: shares}, **more)


# --- negative transfer


def test_a_method_that_helps_on_average_by_hurting_one_class_is_seen():
    noise = [0.0, 0.01, -0.01]
    before = [of_classes("source_only", s, {"cat": 0.8, "dog": 0.5 + n, "owl": 0.5}) for s, n in enumerate(noise)]
    after = [of_classes("dann", s, {"cat": 0.5 + n, "dog": 0.95, "owl": 0.9 - n}) for s, n in enumerate(noise)]
    frame = reports.frame([*before, *after])
    (transfer,), (harm,), (classes,) = reports.transfer(frame), reports.negative_transfer(frame), reports.class_deltas(frame)
    assert transfer.cells.loc["dann", "verdict"] == "helps"
    assert harm.cells.loc["dann", "worst class"] == "cat: -30.0 *"
    assert value(harm, "dann", "worst_class") == pytest.approx(-30)
    assert harm.data.query("quantity == 'worst_class'")["part"].item() == "cat"
    assert classes.cells.loc["dann", "classes surely hurt"] == "1 / 3"
    assert classes.cells.columns.to_list() == ["classes surely hurt", "cat", "dog", "owl"]
    assert classes.marks.loc["dann", ["cat", "dog"]].to_list() == ["hurts", "helps"]
    assert reports.group_deltas(frame) == []


def test_of_many_classes_only_the_worst_are_shown_and_all_are_in_the_data():
    shares = {f"class {n}": 0.5 for n in range(31)}
    before = [of_classes("source_only", s, shares) for s in range(3)]
    worse = {name: 0.5 - 0.001 * n for n, name in enumerate(shares)}
    (table,) = reports.class_deltas(reports.frame([*before, *[of_classes("dann", s, worse) for s in range(3)]]))
    assert table.cells.columns.to_list() == ["classes surely hurt", "worst", "2. worst", "3. worst"]
    assert table.cells.loc["dann", "worst"].startswith("class 30: -3.0")
    assert table.data.query("quantity == 'mean'")["part"].nunique() == 31


def test_a_class_counts_over_the_pairs_that_have_it_and_a_missing_run_blanks_it():
    def made(row, up):
        here = [of_classes(row, s, {"cat": 0.5 + up, "dog": 0.5}, pair="a:b") for s in range(3)]
        there = [of_classes(row, s, {"dog": 0.5 - up, "owl": None}, pair="b:a") for s in range(2 if up else 3)]
        return [*here, *there]

    (table,) = reports.class_deltas(reports.frame([*made("source_only", 0), *made("dann", 0.1)]))
    assert value(table, "dann", "mean", part="cat") == pytest.approx(10)
    assert table.cells.loc["dann", "dog"] == table.cells.loc["dann", "owl"] == ""


def test_the_worst_group_stands_beside_the_worst_class_where_groups_are_declared():
    def made(row, worst):
        groups = {"waterbird on land": worst, "landbird on land": 0.9}
        scores = {"target_accuracy": 0.8, "per_group_accuracy": groups}
        return [record(row, seed=s, scores=scores, metric="worst_group_accuracy") for s in range(3)]

    frame = reports.frame([*made("source_only", 0.6), *made("dann", 0.4)])
    (harm,), accuracy = reports.negative_transfer(frame), reports.accuracy(frame)
    assert harm.cells.loc["dann", "worst group"] == "waterbird on land: -20.0 *"
    assert accuracy.cells["mean"].to_dict() == {"source_only": "60.0 ± 0.0", "dann": "40.0 ± 0.0"}
    assert "Worst-group accuracy" in accuracy.title
    assert [table.kind for table in reports.group_deltas(frame)] == ["groups"]


def test_the_worst_run_is_named_with_its_seed():
    base = cells("source_only", {"a:b": [0.5, 0.5, 0.5], "b:a": [0.6, 0.6, 0.6]})
    other = cells("dann", {"a:b": [0.6, 0.6, 0.6], "b:a": [0.7, 0.41, 0.7]})
    (harm,) = reports.negative_transfer(reports.frame([*base, *other]))
    assert harm.cells.loc["dann", "worst run"] == "b:a #1 -19.0"
    found = harm.data.query("quantity == 'worst_seed'")[["pair", "part", "value"]].iloc[0].to_list()
    assert found == ["b:a", "1", pytest.approx(-19)]
    assert value(harm, "dann", "probability_of_improvement") == pytest.approx((1 + 2 / 3) / 2)


def test_runs_at_chance_have_collapsed():
    one_class = {"0": 1.0, "1": 0.0, "2": 0.0}
    base = [of_classes("source_only", s, {"0": 0.5, "1": 0.4, "2": 0.4}) for s in range(3)]
    fallen = [of_classes("dann", s, one_class if s else {"0": 0.9, "1": 0.9, "2": 0.8}) for s in range(3)]
    (harm,) = reports.negative_transfer(reports.frame([*base, *fallen]))
    assert harm.cells.loc["dann", "collapsed"] == "2 / 3"
    assert "at most 1 / classes" in harm.caption and "(source_only: 0 / 3)" in harm.caption
    unknown = reports.frame([*cells("source_only", {"a:b": [0.5] * 3}), *cells("dann", {"a:b": [0.1] * 3})])
    assert reports.negative_transfer(unknown)[0].cells.loc["dann", "collapsed"] == ""


# --- flips


def run(row, seed, right, said=None, **more):
    """A record with its predictions: rows are right or wrong; of class 0 where right, 1 where wrong."""
    right = torch.tensor(right, dtype=torch.bool)
    predicted = (~right).long() if said is None else torch.tensor(said)
    name, content = metrics.pack_predictions(predicted, right)
    scores = Scores(target_accuracy=float(right.double().mean()), predictions=name, scored_samples=len(right))
    return record(row, seed=seed, scores=scores, **more).attach(content)


def written(folder, made):
    (folder / "toy").mkdir(exist_ok=True)
    for one in made:
        records.append(folder, one)
    frame = reports.frame(records.iterate_records(folder))
    return frame, reports.negative_flips(folder, frame)


def test_negative_flips_are_rows_lost_beside_the_floor_between_seeds(tmp_path):
    base = [run("source_only", 0, [1, 1, 1, 1, 0]), run("source_only", 1, [1, 1, 1, 0, 1])]
    other = [run("dann", 0, [0, 1, 1, 1, 1]), run("dann", 1, [1, 1, 0, 1, 1])]
    frame, flips = written(tmp_path, [*base, *other])
    assert flips[["entry", "seed", "negative_flips", "positive_flips"]].to_numpy().tolist() == [
        ["dann", 0, 0.2, 0.2],
        ["dann", 1, 0.2, 0.2],
    ]
    assert flips["flips_floor"].to_list() == [0.2, 0.2]
    (harm,) = reports.negative_transfer(frame, flips)
    assert harm.cells.loc["dann", ["mean delta", "flips %", "floor %"]].to_list() == ["0.0", "20.0", "20.0"]
    assert reports.negative_transfer(frame)[0].cells.loc["dann", "flips %"] == ""
    assert "predictions are not on file" in reports.negative_transfer(frame)[0].caption


def test_flips_are_against_target_only_too_where_labels_are_granted(tmp_path):
    right = {"source_only": [1, 0, 0, 0], "target_only": [0, 1, 1, 1], "dann": [1, 1, 0, 0]}
    runs = [run(row, seed, of, method=row, target_labels=1) for row, of in right.items() for seed in range(3)]
    frame, flips = written(tmp_path, runs)
    source, target = reports.negative_transfer(frame, flips)
    assert source.cells["flips %"].to_dict() == {"target_only": "25.0", "dann": "0.0"}
    assert target.cells["flips %"].to_dict() == {"dann": "50.0", "source_only": "75.0"}
    assert "target_only had right" in target.caption


def test_no_floor_where_seeds_score_other_rows(tmp_path):
    other_rows = run("source_only", 1, [1, 1, 1, 0, 1], said=[0, 1, 1, 0, 0])
    _, flips = written(tmp_path, [run("source_only", 0, [1, 1, 1, 1, 0]), other_rows, run("dann", 0, [0, 1, 1, 1, 1])])
    assert flips["negative_flips"].to_list() == [0.2]
    assert flips["flips_floor"].isna().all()
    drawn = [run(row, seed, [1, 1, 0], target_labels=5) for row in ("source_only", "dann") for seed in range(2)]
    (tmp_path / "few").mkdir()
    _, flips = written(tmp_path / "few", drawn)
    assert len(flips) == 2 and flips["flips_floor"].isna().all()


def test_without_predictions_flips_are_blank(tmp_path):
    frame, flips = written(tmp_path, [run("source_only", 0, [1, 0]), run("dann", 0, [0, 1])])
    assert len(flips) == 1
    for file in (tmp_path / "toy" / "predictions").iterdir():
        file.write_bytes(b"broken")
    assert reports.negative_flips(tmp_path, frame) is None


# --- metrics where low is good, and other units


def test_where_low_is_good_the_lowest_is_best_and_a_lower_error_helps():
    def made(row, errors):
        return [
            record(row, pair, seed, metric="rmse", task="regression", scores={"rmse": error + 0.001 * seed, "r2": 0.5})
            for pair, error in zip(("a:b", "b:a"), errors, strict=True)
            for seed in range(3)
        ]

    frame = reports.frame([*made("source_only", (0.2, 0.4)), *made("coral", (0.1, 0.2)), *made("dann", (0.35, 0.5))])
    accuracy, (transfer,), (harm,) = reports.accuracy(frame), reports.transfer(frame), reports.negative_transfer(frame)
    assert accuracy.cells["rank"].to_dict() == {"coral": "1", "source_only": "2", "dann": "3"}
    assert accuracy.cells.loc["coral", "mean"].startswith("0.151 ± ")
    assert accuracy.marks["mean"].to_dict() == {"coral": "best", "source_only": "second", "dann": ""}
    assert "lower is better" in accuracy.caption
    assert transfer.cells["verdict"].to_dict() == {"coral": "helps", "dann": "hurts"}
    assert transfer.cells.loc["dann", ["pairs hurt", "worst pair"]].to_list() == ["2 / 2, 2 *", "a:b +0.150"]
    assert harm.cells["P(better)"].to_dict() == {"coral": "1.00", "dann": "0.00"}
    assert "a delta below zero is a gain" in transfer.caption
    ranks = reports.ranking(frame)
    assert ranks.entries == ("coral", "source_only", "dann")


# --- ranks


def test_ranks_are_of_complete_rows_and_say_what_too_few_pairs_cannot():
    frame = reports.frame([*grid("source_only", 0.5), *grid("dann", 0.7), *grid("partial", 0.9, pairs=PAIRS[:4])])
    found = reports.ranking(frame)
    assert found.entries == ("dann", "source_only")
    assert found.average_rank.tolist() == [1, 2]
    assert found.groups == ()
    (table,) = reports.ranks(frame)
    assert "partial (4 of 6 pairs)" in table.caption
    assert "not independent" in table.caption
    few = reports.frame([*grid("source_only", 0.5, pairs=PAIRS[:2]), *grid("dann", 0.7, pairs=PAIRS[:2])])
    (table,) = reports.ranks(few)
    assert "can't go below 0.5" in table.caption
    assert "Too few pairs" in table.caption
    assert reports.ranks(reports.frame(grid("dann", 0.7))) == []


def test_rows_that_ranks_cannot_tell_apart_share_a_letter():
    level = {"source_only": 0.5, "b": 0.505, "winner": 0.8}
    made = [one for row, at in level.items() for one in grid(row, at, spread=0.02)]
    (table,) = reports.ranks(reports.frame(made))
    like = table.cells["like"]
    assert set(like["source_only"]) & set(like["b"])
    assert not set(like["winner"]) & set(like[table.cells.index[-1]])


# --- the interval for new domains


def test_the_accuracy_table_asks_both_questions_from_four_domains_on():
    four = [f"{s}:{t}" for s in "abcd" for t in "abcd" if s != t]
    table = reports.accuracy(reports.frame(grid("dann", 0.6, spread=0.1, pairs=four)))
    assert table.cells.columns[:2].to_list() == ["mean", "new domains"]
    assert "would other domains of this kind give it too" in table.caption
    half = value(table, "dann", "new_domains_high") - value(table, "dann", "mean")
    assert table.cells.loc["dann", "new domains"] == f"± {half:.1f}"
    three = reports.accuracy(reports.frame(grid("dann", 0.6)))
    assert "new domains" not in three.cells
    assert "not estimable (3 domains" in three.caption


def test_steps_of_a_ladder_are_one_domain():
    assert with_base_level([("a", "b_s1"), ("a", "b_s2"), ("c_s1", "d_l5"), ("d", "e_s3_l1"), ("d", "e_s4_l1")]) == (
        ("a", "b"),
        ("a", "b"),
        ("c_s1", "d"),
        ("d", "e"),
        ("d", "e"),
    )
    steps = [f"clean:{kind}_s{step}" for kind in ("blur", "noise", "zoom") for step in range(1, 6)]
    assert "3 domains can be left out" in reports.accuracy(reports.frame(grid("dann", 0.6, pairs=steps))).caption
    kinds = [f"clean:{kind}_s{step}" for kind in ("blur", "noise", "zoom", "blend") for step in range(1, 4)]
    table = reports.accuracy(reports.frame(grid("dann", 0.6, spread=0.1, pairs=kinds)))
    by_kind = table.data.query("quantity == 'mean' and pair.notna()")["value"].to_numpy().reshape(4, 3).mean(axis=1)
    half = stats.t.ppf(0.975, 3) * stats.sem(by_kind)
    assert value(table, "dann", "new_domains_high") - value(table, "dann", "mean") == pytest.approx(half)


# --- what to expect


def test_planning_gives_the_half_width_of_so_many_seeds_back():
    frame = reports.frame([*grid("source_only", 0.5, seeds=40), *grid("dann", 0.6, seeds=40)])
    (table,) = reports.transfer(frame)
    half = value(table, "dann", "high") - value(table, "dann", "mean")
    delta = reports.frame([*grid("source_only", 0.5, seeds=40), *grid("dann", 0.6, seeds=40)])
    noise = planning.noise(_deltas(delta))
    assert noise.half_width(40, 6).item() == pytest.approx(half, rel=0.01)
    seeds = int(noise.seeds_for(half * 2, 6).item())
    assert 8 <= seeds <= 12
    assert noise.half_width(seeds, 6).item() <= half * 2 < noise.half_width(seeds - 1, 6).item()


def _deltas(frame):
    from tlbench.reports.score_cube import cube

    return cube(frame).minus("source_only").values


def test_plans_and_captions_say_what_a_wanted_half_width_takes():
    frame = reports.frame([*grid("source_only", 0.5), *grid("dann", 0.6)])
    said = planning.plan(frame, pairs=6, seeds=5, half_width=0.1)
    assert said.startswith("To expect of 5 seeds of 6 pairs: mean delta against source_only ± ")
    assert "± 0.1 takes" in said and "seeds for the median row" in said
    assert "± 0.1 takes" in reports.transfer(frame, 0.1)[0].caption
    assert "± 0.1 takes" in reports.tables(frame, "accuracy", half_width=0.1)[0].caption
    assert "not known" in planning.plan(reports.frame([]), pairs=6, seeds=3)
    assert "not known" in planning.plan(reports.frame(grid("dann", 0.6, seeds=1)), pairs=6, seeds=3)
    assert "more than 1000 seeds" in planning.plan(frame, pairs=6, seeds=3, half_width=1e-6)
    for wrong in (0, -1, float("nan"), float("inf")):
        with pytest.raises(TlbenchError, match="--half-width"):
            planning.plan(frame, pairs=6, seeds=3, half_width=wrong)


def test_a_note_says_where_no_sign_test_can_be_significant():
    (short,) = reports.transfer(reports.frame([*grid("source_only", 0.5), *grid("dann", 0.6)]))
    assert "over 3 seeds its p is never below 0.25" in short.caption
    long = reports.frame([*grid("source_only", 0.5, seeds=6), *grid("dann", 0.6, seeds=6)])
    assert "sign test" not in reports.transfer(long)[0].caption


# --- costs


def costly(row, accuracy, seconds, **more):
    cost = {"train_seconds": seconds, "peak_memory_bytes": 2**20, "batch": 64} | more.pop("cost", {})
    return cells(row, {"a:b": [accuracy] * 3}, cost=cost, **more)


def test_gain_per_minute_and_the_pareto_front():
    rows = [
        *costly("source_only", 0.5, 30),
        *costly("quick", 0.6, 60),
        *costly("slow", 0.6, 90),
        *costly("best", 0.8, 120),
        *costly("worse", 0.4, 20, cost={"batch": 8}),
    ]
    (table,) = reports.pareto_table(reports.frame(rows))
    front = table.cells["Pareto front"].to_dict()
    assert front == {"best": "yes", "quick": "yes", "slow": "", "source_only": "yes", "worse": "yes"}
    rate = table.cells["points per CPU-minute"].to_dict()
    assert rate == {"best": "15.0", "quick": "10.0", "slow": "6.67", "source_only": "", "worse": ""}
    assert value(table, "quick", "points_per_minute") == pytest.approx(10)
    assert "blank without gain" in table.caption
    (on_gpu,) = reports.pareto_table(reports.frame([*costly("a", 0.5, 1, device="cuda"), *costly("b", 0.5, 1, device="cuda")]))
    assert "points per GPU-minute" in on_gpu.cells


def test_machines_and_precisions_are_not_mixed_and_the_tables_say_so():
    rows = [
        *costly("source_only", 0.5, 30),
        *costly("dann", 0.6, 60),
        *costly("source_only", 0.5, 3, device="cuda", precision="bf16"),
        *costly("dann", 0.6, 6, device="cuda", precision="bf16"),
    ]
    frame = reports.frame(rows)
    for made in (reports.throughput(frame), reports.pareto_table(frame)):
        assert len(made) == 2
        assert all("2 machines and 2 precisions, which are not mixed" in table.caption for table in made)


def test_details_show_what_was_measured_and_nothing_else():
    (table,) = reports.cost_details(reports.frame(costly("dann", 0.5, 3, cost={"step_seconds_p95": 0.25, "warm_up_steps": 5})))
    assert table.cells.loc["dann"].to_dict() == {"step seconds p95": "0.250", "warm up steps": "5.00"}
    assert reports.cost_details(reports.frame(costly("dann", 0.5, 3))) == []
    assert {"train_seconds", "steps"}.isdisjoint(table.data["quantity"])
    assert "step_seconds_p95" in Cost.model_fields
    assert set(table.data["unit"]) == {"seconds", "steps"}
    everything = dict.fromkeys(DETAILS, 2)
    (whole,) = reports.cost_details(reports.frame(costly("dann", 0.5, 3, cost=everything)))
    assert set(whole.data["quantity"]) == set(DETAILS) and (whole.data["unit"] != "").all()


def test_every_table_with_an_interval_names_its_question_and_counts_incomplete_rows():
    shares = {"cat": 0.5, "dog": 0.6}
    rows = {"source_only": PAIRS, "dann": PAIRS, "partial": PAIRS[:4]}
    runs = [
        of_classes(row, s, {k: v + s / 100 for k, v in shares.items()}, pair, cost={"train_seconds": 1.0})
        for row, pairs in rows.items()
        for pair in pairs
        for s in range(3)
    ]
    made = reports.tables(reports.frame(runs))
    assert {table.kind for table in made} >= {"accuracy", "transfer", "harm", "classes", "frontier"}
    for table in made:
        if any("±" in cell for cell in table.cells.to_numpy().ravel()):
            assert "would other seeds give" in table.caption, table.kind
        if table.kind not in ("throughput", "detail"):
            assert "partial (4 of 6 pairs)" in table.caption, table.kind
    for table in reports.tables(reports.frame([one for one in runs if one.seed < 2])):
        assert "half of the 95 % interval" not in table.caption, table.kind
        assert not any("±" in cell for cell in table.cells.to_numpy().ravel()), table.kind


# --- two directories


def test_directories_are_compared_paired_by_seed():
    before = reports.frame([*grid("source_only", 0.5), *grid("dann", 0.6), *grid("gone", 0.6)])
    after = reports.frame([*grid("source_only", 0.5), *grid("dann", 0.65, tlbench="1"), *grid("new", 0.6)])
    (table,) = reports.compare(before, after, ("old", "new"))
    assert table.cells["verdict"].to_dict() == {"source_only": "same", "dann": "better"}
    assert table.cells.loc["dann", "B - A"] == "+5.0 ± 0.0"
    assert table.cells.loc["dann", "a:b"] == "+5.0 ± 0.0 *"
    assert "6 of 12 cells are equal" in table.caption
    assert "Rows only in old: gone; only in new: new." in table.caption
    assert "A: old, cpu fp32, torch 2.11, tlbench 0." in table.caption
    assert "B: new, cpu fp32, torch 2.11, tlbench 0 and 1." in table.caption


def test_without_a_common_seed_the_comparison_is_welchs():
    a, b = [0.50, 0.53, 0.51], [0.60, 0.62, 0.69, 0.61]
    before = reports.frame(cells("dann", {"a:b": a}))
    after = reports.frame([record("dann", "a:b", seed + 10, score) for seed, score in enumerate(b)])
    (table,) = reports.compare(before, after)
    low, high = stats.ttest_ind(b, a, equal_var=False).confidence_interval(0.95)
    assert (value(table, "dann", "low"), value(table, "dann", "high")) == pytest.approx((100 * low, 100 * high))
    assert (value(table, "dann", "low", "a:b"), value(table, "dann", "high", "a:b")) == pytest.approx((100 * low, 100 * high))
    assert "not paired" in table.caption


def test_a_comparison_says_what_was_asked_otherwise_and_what_got_slower():
    before = reports.frame([record("dann", seed=s, cost={"train_seconds": 2.0}) for s in range(3)])
    after = reports.frame([record("dann", seed=s, cost={"train_seconds": 5.0}, identity=f"other {s}") for s in range(3)])
    (table,) = reports.compare(before, after)
    assert "3 of 3 cases differ in what was asked" in table.caption
    assert table.cells.loc["dann", "train time B / A"] == "2.50"


def test_nothing_in_common_is_said():
    with pytest.raises(TlbenchError, match="nothing to compare: A holds toy v1, B other v1"):
        reports.compare(reports.frame([record()]), reports.frame([record(suite="other")]))
    with pytest.raises(TlbenchError, match="no method row and pair in common"):
        reports.compare(reports.frame([record()]), reports.frame([record("dann")]))


# --- frames


def test_records_in_parts_make_the_same_frame_as_at_once(monkeypatch):
    made = [*grid("source_only", 0.5), record("dann", status="failed", reason="x"), *grid("dann", 0.6, pairs=PAIRS[1:])]
    whole = reports.frame(made)
    from tlbench.reports import frames

    monkeypatch.setattr(frames, "_AT_ONCE", 4)
    pd.testing.assert_frame_equal(reports.frame(iter(made)), whole)
