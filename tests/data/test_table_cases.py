"""Cases of tables and texts that were read wrongly, from the folder of cases beside the project: each has its right value."""

from __future__ import annotations

import shutil
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tlbench import data
from tlbench.errors import TlbenchError
from tlbench.terms import Domain

CASES = Path(__file__).parents[2].parent / "shared" / "cases"


def load_case(name: str, root: Path, domain: str = "south", **changes: Any) -> Domain:
    """A domain of a case, with some keys of `[data]` changed."""
    if not (folder := CASES / name).is_dir():
        pytest.skip(f"no folder {folder}")
    for path in folder.iterdir():
        shutil.copyfile(path, root / path.name) if path.is_file() else None
    table = tomllib.loads((root / "s.toml").read_text())
    declaration, errors = data.declare(domain, table["domains"][domain], table["data"] | changes)
    assert declaration is not None, errors
    return data.load(declaration, root)


def test_decimal_commas_are_read_or_refused(tmp_path: Path) -> None:
    with pytest.raises(TlbenchError, match=r"column 'x1' holds numbers, and '0,346' in row 0 .* Set decimal = \",\""):
        load_case("07-decimal-comma-column-dropped", tmp_path)
    domain = load_case("07-decimal-comma-column-dropped", tmp_path, decimal=",")
    assert domain.samples.x.shape[1] == 2
    means = [float(domain.samples.x[domain.samples.y == k, 0].mean()) for k in (0, 1)]
    assert means[1] - means[0] > 2  # x1 tells the classes apart


def test_markers_are_refused_or_missing(tmp_path: Path) -> None:
    with pytest.raises(TlbenchError, match=r"column 'x1' holds numbers, and '\.' in row 0 .* Set missing = "):
        load_case("08-marker-column-dropped", tmp_path)
    assert load_case("08-marker-column-dropped", tmp_path, missing=["."], impute="median").samples.x.shape[1] == 2


def test_an_index_column_is_left_out(tmp_path: Path) -> None:
    domain = load_case("09-index-column-is-a-feature", tmp_path)
    assert domain.samples.x.shape[1] == 2 and "Unnamed: 0" in domain.notes[0]


def test_labels_are_read_as_written(tmp_path: Path) -> None:
    classes = ["007", "7", "1E1", "10"]
    assert load_case("11-labels-retyped", tmp_path, classes=classes).classes == tuple(classes)


def test_text_lines_end_at_newlines(tmp_path: Path) -> None:
    domain = load_case("13-text-lines", tmp_path)
    assert domain.classes == ("neg", "pos") and domain.samples.y.bincount().tolist() == [2, 3]


def test_an_empty_label_is_refused(tmp_path: Path) -> None:
    keys = {"path": "d.csv"}
    with pytest.raises(TlbenchError, match=r"column 'y' lacks a label in 1 of \d+ rows"):
        load_case("14-text-table-empty-label", tmp_path, **keys)


def test_targets_that_single_precision_merges_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TlbenchError, match="Single precision can't tell the targets 'y' apart: of 20 distinct values"):
        load_case("15-targets-collapse-in-float32", tmp_path)


def test_a_class_without_samples_has_a_way_out(tmp_path: Path) -> None:
    with pytest.raises(TlbenchError, match=r"No sample has the class 'c'.* by keep"):
        load_case("24-way-out-missing", tmp_path, "north")
    assert load_case("24-way-out-missing", tmp_path, "north", keep=["a", "b"]).classes == ("a", "b", "c")
