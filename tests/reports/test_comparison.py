"""Two results directories compared cell by cell."""

import pytest
from scipy import stats
from toy_records import cells, grid, record, value

from tlbench import reports
from tlbench.errors import TlbenchError


def test_directories_are_compared_paired_by_seed():
    before = reports.frame([*grid("source_only", 0.5), *grid("dann", 0.6), *grid("gone", 0.6)])
    after = reports.frame([*grid("source_only", 0.5), *grid("dann", 0.65, tlbench="1"), *grid("new", 0.6)])
    (table,) = reports.compare(before, after, ("old", "new"))
    assert table.cells["verdict"].to_dict() == {"source_only": "equal", "dann": "better"}
    assert table.cells.loc["dann", "B - A"] == "+5.0 ± 0.0"
    assert table.cells.loc["dann", "a:b"] == "+5.0 ± 0.0 *"
    assert "6 of 12 cells are equal" in table.caption
    assert "Entries only in old: gone; only in new: new." in table.caption
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
    assert "3 of 3 cases differ in options, protocol, method version or data" in table.caption
    assert table.cells.loc["dann", "train time B / A"] == "2.50"


def test_nothing_in_common_is_said():
    with pytest.raises(TlbenchError, match="no suite in common: A holds toy v1, B holds other v1"):
        reports.compare(reports.frame([record()]), reports.frame([record(suite="other")]))
    with pytest.raises(TlbenchError, match="no method entry and pair in common"):
        reports.compare(reports.frame([record()]), reports.frame([record("dann")]))
