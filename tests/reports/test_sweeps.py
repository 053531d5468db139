"""What is a sweep is what records say: names of domains alone make none; older records go by the shipped suites."""

from __future__ import annotations

from toy_records import grid, record

from tlbench import reports
from tlbench.plots import curves
from tlbench.reports.sweeps import levels_of
from tlbench.suite import shipped_suites, shipped_sweep_levels
from tlbench.terms import SweepLevel

SUBJECTS = [f"a:subject_s{number}" for number in range(1, 6)]


def test_subjects_with_numbers_are_no_sweep():
    for told in ({}, None):  # no sweep; an older record of a suite that is not shipped
        frame = reports.frame(grid("dann", 0.6, pairs=SUBJECTS, sweep_levels=told) + grid("source_only", 0.5, pairs=SUBJECTS))
        frame = frame[frame["entry"] == "dann"]
        table = reports.accuracy(frame)
        assert curves.sweep_curves(table) is None
        assert {"new_domains_low", "new_domains_high"} <= set(table.data["quantity"])


def test_older_records_go_by_the_shipped_suite():
    (swept,) = [name for name in shipped_suites() if name == "rotated_digits"] or [None]
    assert swept is not None and shipped_sweep_levels(swept)
    name, level = next(iter(shipped_sweep_levels(swept).items()))
    frame = reports.frame([record(pair=f"a:{name}", suite=swept, sweep_levels=None)])
    assert levels_of(frame)[name] == level
    assert levels_of(reports.frame([record(pair=f"a:{name}", suite="mine", sweep_levels=None)])) == {}
    own = {"t": SweepLevel(base="b", kind="labels", level=3)}
    assert levels_of(reports.frame([record(pair="a:t", sweep_levels=own)])) == own
