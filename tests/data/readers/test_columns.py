"""Columns of tables: none is lost, retyped or taken for a measurement without a word."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from domain_tables import declare_domain, load_domain, refused_domain

from tlbench.data import preview
from tlbench.data.decoding.number_texts import NumberFormat

CSV = {"reader": "csv", "path": "d.csv", "label": "y"}
PARQUET = {"reader": "parquet", "path": "d.parquet", "label": "y"}
JSONL = {"reader": "jsonl", "path": "d.jsonl", "label": "y"}
VALUES = np.random.default_rng(0).uniform(-3000, 3000, 40).round(2).tolist()


def write_column(root: Path, cells: list[Any], separator: str = ";") -> None:
    """A column `x` of some cells beside numbers `z` and labels `y`, as csv, JSON lines and Parquet."""
    labels = ["ab"[i % 2] for i in range(len(cells))]
    lines = [f"{x}{separator}{i % 3}{separator}{y}\n" for i, (x, y) in enumerate(zip(cells, labels, strict=True))]
    (root / "d.csv").write_text(f"x{separator}z{separator}y\n" + "".join(lines), encoding="utf-8")
    rows = [{"x": x, "z": i % 3, "y": y} for i, (x, y) in enumerate(zip(cells, labels, strict=True))]
    (root / "d.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    pd.DataFrame(rows).to_parquet(root / "d.parquet")


def german(value: float) -> str:
    return f"{value:,.2f}".translate(str.maketrans(",.", ".,"))


WRITTEN: list[tuple[Any, dict[str, Any]]] = [
    (lambda v: f"{v}".replace(".", ","), {"decimal": ","}),
    (german, {"decimal": ",", "thousands": "."}),
    (lambda v: f"{v:,.2f}", {"thousands": ","}),
    (lambda v: f"{v:,.2f}".replace(",", "\N{NARROW NO-BREAK SPACE}").replace(".", ","), {"decimal": ",", "thousands": " "}),
    (lambda v: f"{v:,.2f}".replace(",", "'"), {"thousands": "'"}),
    (lambda v: f"{v} %", {"units": ["%"]}),
    (lambda v: f"{'-' if v < 0 else ''}${abs(v):,.2f}", {"thousands": ",", "units": ["$"]}),
    (lambda v: f"{german(v)} \N{EURO SIGN}", {"decimal": ",", "thousands": ".", "units": ["\N{EURO SIGN}"]}),
]


@pytest.mark.parametrize("reader", [CSV | {"separator": ";"}, JSONL, PARQUET], ids=lambda table: table["reader"])
@pytest.mark.parametrize(("write", "keys"), WRITTEN)
def test_numbers_of_another_spelling_are_refused_and_read_by_keys(
    tmp_path: Path, reader: dict[str, Any], write: Any, keys: dict[str, Any]
) -> None:
    write_column(tmp_path, [write(value) for value in VALUES])
    for encode in ({}, {"encode": "onehot"}):
        message = refused_domain(reader | encode, tmp_path)
        assert "column 'x' holds numbers, and" in message and "in row " in message
        assert all(key in message for key in keys), message
    x = load_domain(reader | keys, tmp_path).samples.x
    assert x[:, 0].tolist() == np.float32(VALUES).tolist() and x[:, 1].tolist() == [i % 3 for i in range(40)]
    categories = load_domain(reader | {"categories": {"x": []}}, tmp_path)
    assert categories.samples.x.shape == (40, 1 + len(set(VALUES)))  # declared categories stay as they are


@pytest.mark.parametrize("reader", [CSV | {"separator": ";"}, JSONL, PARQUET], ids=lambda table: table["reader"])
@pytest.mark.parametrize("every", [3, 5, 30])
@pytest.mark.parametrize("marker", [".", "-", "n/a", "None", "NULL", "#N/A", "<0.1", "k. A.", "nicht erhoben"])
def test_a_marker_of_no_value_in_any_share_is_refused_and_read_by_missing(
    tmp_path: Path, reader: dict[str, Any], every: int, marker: str
) -> None:
    cells = [marker if i % every == 1 else repr(value) for i, value in enumerate(VALUES)]
    write_column(tmp_path, cells)
    message = refused_domain(reader, tmp_path)
    assert f"column 'x' holds numbers, and {marker!r} in row 1 (counted from 0)" in message and "missing" in message
    domain = load_domain(reader | {"missing": ["", marker], "impute": "mean"}, tmp_path)
    assert domain.samples.x[0].tolist() == [np.float32(VALUES[0]), 0] and domain.samples.x.shape == (40, 2)


@pytest.mark.parametrize("cells", [["1", "2", "3+"], ["<5", "5-10", ">10"], ["12A", "12", "14"], ["p", "q", "7"]])
def test_texts_and_categories_stay_what_they_are(tmp_path: Path, cells: list[str]) -> None:
    write_column(tmp_path, cells * 10)
    table = CSV | {"separator": ";"}
    assert load_domain(table | {"encode": "onehot"}, tmp_path).samples.x.shape == (30, 4)
    domain = load_domain(table, tmp_path)
    assert domain.samples.x.shape == (30, 1) and "Left out: 1 column of texts" in domain.notes[0] and "x" in domain.notes[0]


def test_a_number_is_never_read_in_the_wrong_format(tmp_path: Path) -> None:
    form = NumberFormat(",", ".")
    assert [form.plain_text(text) for text in ("1.234,5", "1.234", "12.345.678", "-0,5", ",5", "1e3")] == [
        "1234.5", "1234", "12345678", "-0.5", ".5", "1e3"
    ]  # fmt: skip
    assert [form.plain_text(text) for text in ("1.5", "1.23", "12.34.567", "0.123", "1,2,3", "x", "", ".", "1_0")] == [None] * 9
    write_column(tmp_path, ["1,5", "1.5", "2"])
    assert "holds '1.5', which is no number with decimal" in refused_domain(CSV | {"separator": ";", "decimal": ","}, tmp_path)


@pytest.mark.parametrize("name", ["", "Unnamed: 0", "id", "Row ID", "index"])
def test_an_index_is_no_feature(tmp_path: Path, name: str) -> None:
    rows = "".join(f"{i},{(i * 7) % 5},{'ab'[i >= 10]}\n" for i in range(20))
    (tmp_path / "d.csv").write_text(f"{name},x,y\n" + rows)
    domain = load_domain(CSV, tmp_path)
    assert domain.samples.x[:, 0].tolist() == [(i * 7) % 5 for i in range(20)] and domain.samples.x.shape == (20, 1)
    assert domain.notes == (
        f"Left out: 1 column of names or numbers of the rows: {name or 'Unnamed: 0'}. Name in features what is to be used.",
    )
    named = load_domain(CSV | {"features": [name or "Unnamed: 0", "x"]}, tmp_path)
    assert named.samples.x.shape == (20, 2) and named.notes == ()


@pytest.mark.parametrize("index", [None, "patient"])
def test_an_index_that_parquet_stores_is_no_feature(tmp_path: Path, index: str | None) -> None:
    frame = pd.DataFrame({"x": [0.5, 0.1, 0.2], "y": ["a", "b", "a"]}, index=pd.Index([4, 7, 2], name=index))
    frame.to_parquet(tmp_path / "d.parquet")
    domain = load_domain(PARQUET, tmp_path)
    assert domain.samples.x.shape == (3, 1) and (index or "__index_level_0__") in domain.notes[0]


def test_a_column_that_counts_the_rows_is_remarked_upon(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text("k,x,y\n" + "".join(f"{i},{i * i % 7},{i % 2}\n" for i in range(30)))
    domain = load_domain(CSV, tmp_path)
    assert domain.samples.x.shape == (30, 2) and domain.notes[0].startswith("Columns among the features count the rows: k.")


def test_columns_of_lists_and_texts_are_noted_and_shown(tmp_path: Path) -> None:
    rows = [{"x": 0.5 * i * i, "v": [i, 1], "t": f"word{i}", "y": "ab"[i % 2], "g": "s"} for i in range(4)]
    (tmp_path / "d.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    table = JSONL | {"where": {"g": "s"}}
    domain = load_domain(table, tmp_path)
    assert [note.split(":")[1].strip() for note in domain.notes] == [
        "1 column of lists beside other features",
        "1 column of texts (encode = 'onehot' makes features of texts)",
    ]
    text = preview.summary_text(declare_domain(table), domain)
    assert "read         1 column of features: x\n" in text and "read         label y; where g\n" in text
    assert "read         4 of 4 rows" in text and "note         Left out: 1 column of lists" in text


@pytest.mark.parametrize(
    ("reader", "names"),
    [
        ("csv", ["007", "7", "1E1", "10", "TRUE", "True", "1.0", "1", "0x1", "1_0"]),
        ("datasets", ["007", "7", "1E1", "10"]),
        ("datasets", ["TRUE", "True", "1.0", "1"]),
    ],
)
def test_labels_groups_and_domains_are_texts_as_written(tmp_path: Path, reader: str, names: list[str]) -> None:
    (tmp_path / "d.csv").write_text("x,y,g,s\n" + "".join(f"{i / 2},{name},{name},{name}\n" for i, name in enumerate(names)))
    table = CSV | {"reader": reader, "features": ["x"], "group": "g"}
    domain = load_domain(table, tmp_path)
    assert set(domain.classes) == set(names) == set(domain.groups)
    assert load_domain(table | {"classes": names}, tmp_path).samples.y.tolist() == [*range(len(names))]
    for i, name in enumerate(names):
        assert load_domain(table | {"where": {"s": name}}, tmp_path).samples.x.tolist() == [[i / 2]]
    if "007" in names:  # a number means the number
        assert load_domain(table | {"where": {"s": 7}}, tmp_path).classes == ("007", "7")
    if "TRUE" in names:
        assert set(load_domain(table | {"where": {"s": True}}, tmp_path).classes) >= {"TRUE", "True"}


@pytest.mark.parametrize("reader", [CSV, JSONL, PARQUET], ids=lambda table: table["reader"])
@pytest.mark.parametrize("null", [False, True])
def test_whole_numbers_beyond_2_to_53_are_told_apart_in_where(tmp_path: Path, reader: dict[str, Any], null: bool) -> None:
    numbers: list[Any] = [2**53, 2**53 + 1, 2**53 + 2, None if null else 5]
    frame = pd.DataFrame({"x": [0.5, 1.5, 2.5, 3.5], "y": [0, 1, 0, 1], "k": pd.array(numbers, dtype="Int64")})
    frame.to_csv(tmp_path / "d.csv", index=False)
    frame.to_parquet(tmp_path / "d.parquet")
    rows = [{"x": i + 0.5, "y": i % 2, "k": number} for i, number in enumerate(numbers)]
    (tmp_path / "d.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    for condition in (2**53 + 1, [2**53 + 1], str(2**53 + 1), {"min": 2**53 + 1, "max": 2**53 + 1}):
        assert load_domain(reader | {"where": {"k": condition}}, tmp_path).samples.x.tolist() == [[1.5]]


def test_the_way_out_of_a_missing_label_is_named(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text("x,y\n0.5,a\n0.7,NA\n")
    message = refused_domain(CSV, tmp_path)
    assert "lacks a label in 1 of 2 rows, first in row 1" in message and "set missing = [] if one of" in message
    assert load_domain(CSV | {"missing": []}, tmp_path).classes == ("NA", "a")


def test_features_that_single_precision_merges_are_noted(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text("t,x,y\n" + "".join(f"{1_700_000_000 + i * i},{i % 4},{i % 2}\n" for i in range(9)))
    assert "Single precision can't tell the values of 1 features apart" in load_domain(CSV, tmp_path).notes[0]
    assert load_domain(CSV | {"prepare": ["zscore"]}, tmp_path).notes == ()
