"""Cells that share draws: the levels of one sweep count as one pair in all that is inferred from them."""

import numpy as np
import pytest
from scipy import stats
from swept_domains import levels_by_name
from toy_records import cells, grid, value

from benchmarks import coverage, planned_seeds
from tlbench import reports
from tlbench.reports import estimates
from tlbench.reports.score_cube import score_cube
from tlbench.reports.statistics import moderated

BUDGETS = [f"upright:rotated_l{labels}" for labels in (1, 2, 5, 10, 20)]
RUNS = [0.271, 0.334, 0.310, 0.329, 0.301]


def bounds(table, entry):
    return value(table, entry, "low"), value(table, entry, "high")


def students(values):
    return stats.t.interval(0.95, len(values) - 1, np.mean(values), stats.sem(values))


def test_the_same_five_runs_on_five_budgets_have_the_interval_of_one():
    copied = reports.accuracy(reports.frame(cells("source_only", dict.fromkeys(BUDGETS, RUNS))))
    alone = reports.accuracy(reports.frame(cells("source_only", {"upright:rotated": RUNS})))
    assert bounds(copied, "source_only") == bounds(alone, "source_only") == pytest.approx(students(100 * np.array(RUNS)))
    assert value(copied, "source_only", "mean") == value(alone, "source_only", "mean")
    assert "averaged within each seed first: 5 levels count as 1 pair." in copied.caption
    assert "share draws" not in alone.caption


def test_a_mean_delta_over_budgets_is_one_delta_per_seed():
    rng = np.random.default_rng(1)
    of_seed = np.array([0.021, -0.006, 0.014, 0.002, 0.024])  # every budget has this, and a little of its own
    runs = {pair: np.array(RUNS) + of_seed + rng.normal(0, 0.002, 5) for pair in BUDGETS}
    records = [*cells("source_only", dict.fromkeys(BUDGETS, RUNS)), *cells("multi_task", runs)]
    (table,) = reports.transfer(reports.frame(records))
    deltas = 100 * (np.mean(list(runs.values()), axis=0) - RUNS)
    assert bounds(table, "multi_task") == pytest.approx(students(deltas))
    assert table.cells.loc["multi_task", "verdict"] == "n.s."
    (negative,) = reports.negative_transfer(reports.frame(records))
    assert bounds(negative, "multi_task") == pytest.approx(students(deltas))
    assert "5 levels count as 1 pair" in negative.caption
    unswept = reports.transfer(reports.frame([one.model_copy(update={"sweep_levels": {}}) for one in records]))[0]
    assert unswept.cells.loc["multi_task", "verdict"] == "better"  # as if every budget were a pair of its own


def test_one_pair_is_no_test_of_ranks_however_many_levels_it_has():
    swept = [f"clean:{kind}_s{level}" for kind in ("blur", "noise") for level in (1, 2, 3)]
    copies = np.repeat([0.1, 0.2], 3)
    made = [
        *cells("source_only", {pair: [0.5 + at] * 3 for pair, at in zip(swept, copies, strict=True)}),
        *grid("dann", 0.9, pairs=swept),
    ]
    (table,) = reports.ranks(reports.frame(made))
    assert "6 levels count as 2 pairs" in table.caption
    assert value(table, "dann", "friedman_p") == pytest.approx(0.5)  # two pairs agree on two entries
    one = [record for record in made if "blur" in record.pair]
    assert reports.ranks(reports.frame(one)) == []


def test_plans_count_pairs_that_are_really_different():
    domains = [tuple(pair.split(":")) for pair in [*BUDGETS, "a:b", "a:c_s1"]]
    assert reports.count_distinct(domains, levels_by_name(name for pair in domains for name in pair)) == 3
    assert reports.count_distinct(domains, {}) == 7
    frame = reports.frame(cells("source_only", dict.fromkeys(BUDGETS, RUNS)))
    margin = value(reports.accuracy(frame), "source_only", "high") - value(reports.accuracy(frame), "source_only", "mean")
    text = reports.expected_precision(frame, pairs=1, seeds=5)
    assert f"with 5 seeds and 1 pair: ± {margin:.3g} " in text
    assert "with 5 seeds and 1 pair: " in reports.accuracy(frame).caption


def test_pairs_of_one_level_each_are_left_as_they_are():
    cube = score_cube(reports.frame(grid("dann", 0.6, pairs=("a:b_s1", "a:c_s1", "b_s1:c_s1"))))
    assert cube.distinct() is cube


def test_directories_are_compared_over_pairs_that_are_really_different():
    before, after = (reports.frame(grid("dann", level, pairs=BUDGETS, seeds=4)) for level in (0.5, 0.6))
    other = reports.frame(cells("dann", {pair: (0.6 + 0.01 * np.arange(4)).tolist() for pair in BUDGETS}))
    assert "5 levels count as 1 pair" in reports.compare(before, after)[0].caption
    (table,) = reports.compare(before, other)
    difference = 60 + np.arange(4) - 100 * np.array(score_cube(before).values[0].mean(axis=0)) / 100
    assert bounds(table, "dann") == pytest.approx(students(difference))


# --- simulations: few draws with a fixed seed


@pytest.mark.parametrize("correlation", coverage.CORRELATIONS)
@pytest.mark.parametrize("pairs", [1, 6])
def test_means_over_levels_cover_the_truth_about_as_often_as_they_say(pairs, correlation):
    covered, false, as_pairs = coverage.means_of_levels(pairs, 3, correlation, np.random.default_rng(0), tables=8_000)
    assert 0.93 <= covered <= 0.97
    assert false <= 0.056  # 5 % and two standard errors of the simulation
    assert correlation == 0 or as_pairs < 0.82


@pytest.mark.parametrize("correlation", coverage.CORRELATIONS)
def test_planned_runs_of_correlated_levels_have_the_desired_margin(correlation):
    """In the median, from a first run of five seeds; a plan that takes levels for pairs ends far above."""
    seeds, margin, within, as_pairs = planned_seeds.planned_margins(6, 5, correlation, np.random.default_rng(0), tables=120)
    assert seeds == pytest.approx(planned_seeds.PLANNED_SEEDS, abs=1)
    assert margin == pytest.approx(1, abs=0.06) and within >= 0.85
    assert as_pairs > (1.6 if correlation else 0.9)


def test_marks_of_copied_levels_are_rarely_false_and_their_intervals_cover():
    covered, false, alone = coverage.marks_of_levels(1, 3, 1.0, np.random.default_rng(0), tables=100)
    assert covered >= 0.93 and false <= 0.05 and alone <= 0.05


def test_ranks_over_copied_levels_hold_their_level():
    rejected, separated, as_pairs = coverage.ranks_of_levels(6, 1.0, np.random.default_rng(0), tables=100)
    assert rejected <= 0.1 and separated <= 0.1 and as_pairs > 0.5


# --- the moderated variances


def test_copies_of_a_cell_change_no_margin_and_no_mark():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(6, 3, 4)) + rng.normal(0, 2, (6, 3, 1))
    clusters = np.repeat(np.arange(3), 5)
    once = moderated.moderated_t(values, design=moderated.Design(cluster_K=np.arange(3)))
    copied = moderated.moderated_t(np.repeat(values, 5, axis=1), design=moderated.Design(cluster_K=clusters))
    assert copied.margin[:, ::5] == pytest.approx(once.margin)
    assert copied.p[:, ::5] == pytest.approx(once.p)
    assert (copied.mark[:, ::5] == once.mark).all()


def test_one_entry_with_levels_of_one_pair_has_students_interval():
    runs = np.repeat(np.random.default_rng(0).normal(size=(1, 1, 4)), 5, axis=1)
    tests = moderated.moderated_t(runs, design=moderated.Design(cluster_K=np.zeros(5, dtype=int)))
    low, high = students(runs[0, 0])
    assert tests.mean - tests.margin == pytest.approx(np.full((1, 5), low))
    assert tests.mean + tests.margin == pytest.approx(np.full((1, 5), high))


def test_the_variance_between_clusters_is_the_sample_variance_where_each_has_one_cell():
    values = np.random.default_rng(0).normal(size=7)
    for copies in (1, 3):
        draws = moderated.Draws(np.repeat(np.arange(7), copies), np.repeat(np.arange(7), copies))
        spread, noise = moderated._variance_between(np.repeat(values, copies), draws)
        assert (spread, noise) == (pytest.approx(values.var(ddof=1)), 1.0)
    one_baseline = moderated.Draws(np.arange(7), np.zeros(7, dtype=int))
    assert moderated._variance_between(values, one_baseline)[1] == 0.75


def test_new_domains_are_averaged_over_levels_first():
    kinds = [f"clean:{kind}_s{level}" for kind in "abcd" for level in range(1 + (kind == "a") * 4)]
    cube = score_cube(reports.frame(grid("dann", 0.6, spread=0.1, pairs=kinds)))
    assert len(cube.distinct().pairs) == 4
    mean, margin = estimates.mean_for_new_domains(cube)
    low, high = students(cube.distinct().values[0].mean(axis=1))
    assert (mean.item() - margin.item(), mean.item() + margin.item()) == pytest.approx((low, high))
