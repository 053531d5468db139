"""Published tables as data, and the command that compares our results with them."""

from __future__ import annotations

import pytest
from command_line import tlbench

from tlbench import api, published
from tlbench.errors import TlbenchError


@pytest.mark.parametrize("name", published.table_names())
def test_a_published_table_names_rows_and_pairs_of_its_suite(name):
    table = published.load_table(name)
    assert set(table.suite_by_pair) <= {pair for row in table.rows for pair in row.figures}
    for row in table.rows:
        assert row.source and set(row.entry_by_pair) <= set(row.figures)
        for pair in row.figures:
            suite = api.load_suite(table.suite_of(pair))
            assert row.entry_of(pair) in suite.methods
            assert pair in {f"{'+'.join(sources)}:{target}" for sources, target in suite.pairs}
        assert all(0 < figure < 100 for figure in row.figures.values())


def test_inside_and_outside_of_the_tolerance():
    row = published.PublishedRow(name="A", entry="a", source="someone", figures={"x:y": 50.0, "y:x": 60.0})
    inside = published.compare_cell(row, "x:y", 50.0499, None, 0.05)
    outside = published.compare_cell(row, "y:x", 59.94, None, 0.05)
    missing = published.compare_cell(row, "y:x", None, "it failed", 0.05)
    assert (inside.within_tolerance, outside.within_tolerance, missing.within_tolerance) == (True, False, False)
    table = published.PublishedTable(title="T", suite="s", tolerance=0.05, conventions=("as printed",), rows=(row,))
    text = published.comparison_text(table, [inside, outside])
    assert "1 of 2 cells within 0.05 points" in text and "59.94 / 60.00 *" in text and "A: someone" in text
    assert "it failed" in published.comparison_text(table, [missing])


def test_a_tolerance_of_means_leaves_cells_unmarked():
    row = published.PublishedRow(name="A", entry="a", source="someone", figures={"x:y": 50.0, "y:x": 60.0})
    table = published.PublishedTable(title="T", suite="s", tolerance=1, compared="means", conventions=("so",), rows=(row,))
    cells = [published.compare_cell(row, "x:y", 54.0, None, 1), published.compare_cell(row, "y:x", 57.0, None, 1)]
    assert published.is_reproduced(table, cells)
    text = published.comparison_text(table, cells)
    assert "1 of 1 means within 1 points" in text and "55.50 / 55.00" in text and "*" not in text
    low = [cells[0], published.compare_cell(row, "y:x", 53.0, None, 1)]
    assert not published.is_reproduced(table, low)
    assert "53.50 / 55.00 *" in published.comparison_text(table, low)
    missing = [cells[0], published.compare_cell(row, "y:x", None, "it failed", 1)]
    assert not published.is_reproduced(table, missing) and "it failed" in published.comparison_text(table, missing)
    assert not published.is_reproduced(table.model_copy(update={"compared": "cells"}), cells)


def test_a_table_that_is_not_there_and_a_row_that_it_lacks():
    with pytest.raises(TlbenchError, match="Unknown published table 'office'"):
        published.load_table("office")
    with pytest.raises(TlbenchError, match=r"'TKA' of the table. Did you mean 'TCA'"):
        published.run_table(published.load_table("mnist_usps_subset"), results=None, rows=["TKA"])


def test_the_command_lists_and_says_what_is_wrong(tmp_path):
    listed = tlbench("reproduce", cwd=tmp_path)
    assert listed.returncode == 0 and "mnist_usps_subset" in listed.stdout
    unknown = tlbench("reproduce", "mnist", cwd=tmp_path)
    assert unknown.returncode == 2 and "Unknown published table 'mnist'" in unknown.stderr and "Traceback" not in unknown.stderr


@pytest.mark.data
def test_the_command_prints_ours_beside_theirs(data_root, tmp_path):
    words = ("reproduce", "mnist_usps_subset", "--data", data_root, "--row", "1-NN", "--pair", "usps:mnist", "--device", "cpu")
    done = tlbench(*words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "44.70 / 44.70" in done.stdout and "1 of 1 cells within 0.05 points" in done.stdout
