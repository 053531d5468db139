"""Intervals for new domains, planned numbers of seeds, and what captions say about both."""

import pytest
from scipy import stats
from swept_domains import levels_by_name
from toy_records import grid, value

from tlbench import reports
from tlbench.errors import TlbenchError
from tlbench.reports.statistics import planning
from tlbench.reports.sweeps import merge_sweep_levels


def test_the_accuracy_table_asks_both_questions_from_four_domains_on():
    four = [f"{s}:{t}" for s in "abcd" for t in "abcd" if s != t]
    table = reports.accuracy(reports.frame(grid("dann", 0.6, spread=0.1, pairs=four)))
    assert table.cells.columns[:2].to_list() == ["mean", "new domains"]
    assert "95 % CI for other domains of this kind" in table.caption
    margin = value(table, "dann", "new_domains_high") - value(table, "dann", "mean")
    assert table.cells.loc["dann", "new domains"] == f"± {margin:.1f}"
    three = reports.accuracy(reports.frame(grid("dann", 0.6)))
    assert "new domains" not in three.cells
    assert "No 95 % CI for new domains: 3 domains" in three.caption


def test_levels_of_a_sweep_are_one_domain():
    domains = [("a", "b_s1"), ("a", "b_s2"), ("c_s1", "d_l5"), ("d", "e_s3_l1"), ("d", "e_s4_l1")]
    assert merge_sweep_levels(domains, {}) == tuple(domains)
    assert merge_sweep_levels(domains, levels_by_name(name for pair in domains for name in pair)) == (
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
    margin = stats.t.ppf(0.975, 3) * stats.sem(by_kind)
    assert value(table, "dann", "new_domains_high") - value(table, "dann", "mean") == pytest.approx(margin)


def test_planning_gives_the_margin_of_so_many_seeds_back():
    frame = reports.frame([*grid("source_only", 0.5, seeds=40), *grid("dann", 0.6, seeds=40)])
    (table,) = reports.transfer(frame)
    margin = value(table, "dann", "high") - value(table, "dann", "mean")
    delta = reports.frame([*grid("source_only", 0.5, seeds=40), *grid("dann", 0.6, seeds=40)])
    noise = planning.estimate_noise(_deltas(delta))
    assert noise.margin(40, 6).item() == pytest.approx(margin, rel=0.01)
    seeds = int(noise.seeds_for(margin * 2, 6).item())
    assert 8 <= seeds <= 12
    assert noise.margin(seeds, 6).item() <= margin * 2 < noise.margin(seeds - 1, 6).item()


def _deltas(frame):
    from tlbench.reports.score_cube import score_cube

    return score_cube(frame).minus("source_only").values


def test_plans_and_captions_name_the_seeds_that_a_desired_margin_takes():
    frame = reports.frame([*grid("source_only", 0.5), *grid("dann", 0.6)])
    text = reports.expected_precision(frame, pairs=6, seeds=5, margin=0.1)
    assert text.startswith("Expected margin of error of the mean delta against source_only with 5 seeds and 6 pairs: ± ")
    assert "± 0.1 takes" in text and "seeds for the median entry" in text
    assert "± 0.1 takes" in reports.transfer(frame, 0.1)[0].caption
    assert "± 0.1 takes" in reports.tables(frame, "accuracy", margin=0.1)[0].caption
    assert "is unknown" in reports.expected_precision(reports.frame([]), pairs=6, seeds=3)
    assert "is unknown" in reports.expected_precision(reports.frame(grid("dann", 0.6, seeds=1)), pairs=6, seeds=3)
    assert "more than 1000 seeds" in reports.expected_precision(frame, pairs=6, seeds=3, margin=1e-6)
    for margin in (0, -1, float("nan"), float("inf")):
        with pytest.raises(TlbenchError, match="--margin"):
            reports.expected_precision(frame, pairs=6, seeds=3, margin=margin)


def test_a_note_says_where_no_sign_test_can_be_significant():
    (short,) = reports.transfer(reports.frame([*grid("source_only", 0.5), *grid("dann", 0.6)]))
    assert "p-value of a sign test is 0.25 over 3 seeds" in short.caption
    long = reports.frame([*grid("source_only", 0.5, seeds=6), *grid("dann", 0.6, seeds=6)])
    assert "sign test" not in reports.transfer(long)[0].caption
