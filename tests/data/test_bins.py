"""Numbers as classes: the limits, their names, and labels that are no numbers."""

from __future__ import annotations

import pytest

from tlbench import data
from tlbench.errors import TlbenchError


def load(root, cells, bins, **more):
    (root / "dust.csv").write_text("x,dust\n" + "".join(f"{n},{cell}\n" for n, cell in enumerate(cells)), encoding="utf-8")
    table = {"reader": "csv", "path": "dust.csv", "label": "dust", "features": ["x"], "bins": bins, **more}
    declaration, errors = data.declare("a", table, {})
    if declaration is None:
        raise TlbenchError(" ".join(errors))
    return data.load(declaration, root)


def test_a_limit_belongs_to_the_class_above_it(tmp_path):
    domain = load(tmp_path, ["-3", "34.9", "35", "75", "1e3"], [35, 75.5], classes=["below 35", "35 to 75.5", "75.5 and more"])
    assert domain.samples.y.tolist() == [0, 0, 1, 1, 2]
    assert load(tmp_path, ["1", "2"], [2]).classes == ("2 and more", "below 2"), "names without a declared order"


def test_numbers_are_read_as_the_table_writes_them(tmp_path):
    domain = load(tmp_path, ['"1.200,5"', '"7,5"'], [1000], decimal=",", thousands=".", classes=["below 1000", "1000 and more"])
    assert domain.samples.y.tolist() == [1, 0]


@pytest.mark.parametrize(
    ("cells", "bins", "more", "error"),
    [
        (["1", "low"], [2], {}, r"the label of row 1 \(from 0\) is 'low'"),
        (["1", "inf"], [2], {}, "a label is infinite or missing"),
        (["1", "2"], [2, 2], {}, "must be finite numbers, each larger than the one before it"),
        (["1", "2"], [], {}, "bins"),
        (["1", "2"], [2], {"label": ["dust", "x"], "features": ["x"]}, "label names several"),
    ],
)
def test_what_is_no_class_gets_one_clear_error(tmp_path, cells, bins, more, error):
    with pytest.raises(TlbenchError, match=error):
        load(tmp_path, cells, bins, **more)
