"""Published figures beside those of the records: the rule by which one is reproduced, off, or not tried."""

from __future__ import annotations

import pytest
from toy_records import cells, value

from tlbench import reports
from tlbench.reports import published_tables
from tlbench.reports.across.published_figures import LEVELS, PublishedFigure, declared_figures, published_table
from tlbench.suite import MEAN, shipped_published_levels, shipped_suites, shipped_version

SUITE = {"suite": "digits_jda", "suite_version": 1}
PAIRS = ("usps:mnist", "mnist:usps")


def figure(values, **more):
    """A figure of pca on the two pairs of digits_jda, or of other pairs."""
    pairs = dict(zip(PAIRS, values, strict=True)) if isinstance(values, tuple) else values
    published = {("digits_jda", "pca", pair): level for pair, level in pairs.items()}
    return PublishedFigure(name="table: PCA, someone", entry="pca", cells=published, **more)


def line_of(figures, *records):
    (table,) = published_table(reports.frame([*records, *cells("other", {"usps:mnist": [0.1] * 3}, **SUITE)]), [figures])
    return dict(table.cells.iloc[0]), table


def same(first, second):
    """Three seeds that are copies of one run."""
    runs = {PAIRS[0]: [first] * 3, PAIRS[1]: [second] * 3}
    return [one.model_copy(update={"predictions": one.pair}) for one in cells("pca", runs, **SUITE)]


def varied(center):
    return cells("pca", {pair: [center - 0.01, center, center + 0.01] for pair in PAIRS}, **SUITE)


def test_cells_are_compared_with_the_tolerance_of_cells():
    line, table = line_of(figure((44.95, 66.22), tolerance=0.05, of_cells=True), *same(0.4495, 0.662222))
    assert (line["verdict"], line["cells within"], line["here"]) == ("reproduced", "2/2", "55.59")
    assert value(table, "table: PCA, someone", "published") == pytest.approx(55.585)
    line, _ = line_of(figure((44.95, 66.22), tolerance=0.05, of_cells=True), *same(0.4595, 0.662222))
    assert (line["verdict"], line["cells within"]) == ("off by up to 1.00 in 1 cells", "1/2")


def test_a_mean_is_reproduced_within_its_tolerance_or_inside_the_interval():
    # the mean of two pairs, each with a standard deviation of one point over three seeds: margin 2.776 / sqrt(6)
    line, _ = line_of(figure((50.0, 50.0), tolerance=1.0), *varied(0.509))
    assert (line["verdict"], line["here"], line["difference"]) == ("reproduced", "50.9 ± 1.1", "+0.9")
    line, _ = line_of(figure((50.0, 50.0), tolerance=0.5), *varied(0.509))
    assert line["verdict"] == "reproduced"  # by the interval
    line, _ = line_of(figure((50.0, 50.0), tolerance=0.5), *varied(0.52))
    assert line["verdict"] == "off by +2.0"


def test_a_level_is_inside_the_interval_equal_or_off_and_is_not_counted_as_reproduced():
    for center, verdict in ((0.509, "inside the CI"), (0.52, "off by +2.0")):
        line, table = line_of(figure({MEAN: 50.0}, group=LEVELS, departure="other pairs"), *varied(center))
        assert line["verdict"] == verdict and line["pairs"] == "2"
        assert "reproduced" not in table.notes and "Departures that suites state: table: PCA: other pairs." in table.notes
    line, _ = line_of(figure((44.9, 66.2), group=LEVELS), *same(0.4495, 0.662))
    assert line["verdict"] == "equal"
    line, _ = line_of(figure((44.9, 66.2), group=LEVELS), *same(0.4515, 0.662))
    assert line["verdict"] == "off by +0.1"


def test_a_figure_without_records_is_not_tried():
    line, table = line_of(figure((44.95, 66.22), tolerance=0.05, of_cells=True))
    assert (line["verdict"], line["here"]) == ("not tried", "")
    assert "Of 1 figures by the protocol of the publication 0 were tried; 0 are reproduced." in table.notes
    line, _ = line_of(figure((44.95, 66.22), tolerance=1.0), *same(0.4495, 0.662222)[:3])
    assert line["verdict"] == "not tried (1 of 2 pairs here)"
    assert published_table(reports.frame(varied(0.5)), []) == []


def test_records_of_another_version_or_metric_are_not_compared():
    line, _ = line_of(figure((44.95, 66.22)), *(one.model_copy(update={"suite_version": 7}) for one in same(0.4495, 0.6622)))
    assert line["verdict"] == "not tried"
    line, _ = line_of(figure((44.95, 66.22), metric="macro_f1"), *same(0.4495, 0.6622))
    assert line["verdict"] == "not tried"


def test_every_figure_that_the_package_declares_is_there_once():
    figures = declared_figures()
    names = [one.name for one in figures]
    assert len(names) == len(set(names))
    of_tables = [one for one in figures if one.group != LEVELS]
    rows = [row for name in published_tables.table_names() for row in published_tables.load_table(name).rows]
    assert len(of_tables) == len(rows) >= 19
    declared = {(suite, level.entry) for suite in shipped_suites() for level in levels(suite)}
    compared = {cell[:2] for one in figures for cell in one.cells}
    assert declared <= compared and len(declared) >= 8


def levels(suite):
    return shipped_published_levels(suite, shipped_version(suite))
