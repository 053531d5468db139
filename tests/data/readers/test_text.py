"""Texts by class and from tables, as counts and as tf-idf."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from domain_tables import declaration_errors, load_domain, refused_domain

TEXT = {"reader": "text", "files": {"good": "good.txt", "bad": "bad.txt.gz"}, "size": 64}


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    (tmp_path / "good.txt").write_text("a fine book\n\na good read\n")
    (tmp_path / "bad.txt.gz").write_bytes(gzip.compress(b"a dull book\n"))
    (tmp_path / "good.xml").write_bytes("<r><t>\nfine caf\xe9\n</t></r><r><t>good</t></r>".encode("latin-1"))
    (tmp_path / "t.csv").write_text("words,y,k\nfine book,1,a\ndull book,0,b\n")
    (tmp_path / "t.jsonl").write_text('{"words": "fine book", "y": 1, "k": "a"}\n{"words": "dull book", "y": 0, "k": "b"}\n')
    return tmp_path


def test_texts_by_class_are_counted(texts: Path) -> None:
    domain = load_domain(TEXT, texts)
    assert domain.samples.x.shape == (3, 64) and domain.classes == ("bad", "good") and domain.samples.y.tolist() == [1, 1, 0]
    assert torch.allclose(domain.samples.x.norm(dim=1), torch.ones(3))
    xml = {"reader": "text", "files": {"g": ["good.xml", "good.xml"]}, "tag": "t", "encoding": "latin-1", "features": "tfidf"}
    assert load_domain(xml, texts).samples.x.shape == (4, 3)
    assert "Set encoding, as in encoding = 'latin-1'." in refused_domain(xml | {"encoding": "utf-8"}, texts)
    assert "holds no text in <u>" in refused_domain(xml | {"tag": "u"}, texts)
    (texts / "good.xml").write_text("<t>a</t><t>b")
    assert "<t> is opened 2 times and closed 1 times. The file may be truncated." in refused_domain(xml, texts)


@pytest.mark.parametrize("path", ["t.csv", "t.jsonl"])
def test_texts_of_a_table(texts: Path, path: str) -> None:
    table = {"reader": "text", "path": path, "column": "words", "label": "y", "group": "k", "size": 64}
    domain = load_domain(table, texts)
    assert domain.samples.y.tolist() == [1, 0] and domain.samples.group is not None and domain.samples.group.tolist() == [0, 1]
    assert len(load_domain(table | {"where": {"k": "b"}}, texts).samples) == 1
    assert "There is no column 'word'. Did you mean 'words'?" in refused_domain(table | {"column": "word"}, texts)


def test_tfidf_is_fitted_on_the_files_that_fit_names(texts: Path) -> None:
    table = TEXT | {"features": "tfidf", "files": {"bad": "bad.txt.gz"}}
    assert load_domain(table, texts).samples.x.shape == (1, 2)
    assert load_domain(table | {"fit": {"good": "good.txt"}}, texts).samples.x.shape == (1, 4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"path": "t.csv"}, "Give either files = { class = file } or path = a table"),
        ({"column": "words"}, "column, label, group and where are for a table"),
        ({"fit": {"a": "b"}}, "fit is for features = 'tfidf'"),
        ({"tag": "a b"}, "tag = 'a b' "),
        ({"files": {}}, "files = {} "),
    ],
)
def test_errors_in_the_keys_of_texts(change: dict[str, Any], message: str) -> None:
    assert any(message in sentence for sentence in declaration_errors(TEXT | change)), declaration_errors(TEXT | change)


@pytest.mark.parametrize("character", "\v\f\x1c\x1d\x1e\x85\u2028\u2029")
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_end_at_newlines_only(tmp_path: Path, character: str, end: str) -> None:
    (tmp_path / "a.txt").write_bytes(end.join([f"one{character}two", "three", "", f"four {character} five"]).encode())
    domain = load_domain({"reader": "text", "files": {"a": "a.txt"}, "size": 64}, tmp_path)
    assert len(domain.samples) == 3


@pytest.mark.parametrize("path", ["t.csv", "t.jsonl"])
def test_an_empty_label_is_no_class_and_an_empty_text_is_noted(tmp_path: Path, path: str) -> None:
    rows = [("fine", "007"), ("12", "7"), (" ", "7"), ("dull", " ")]
    (tmp_path / "t.csv").write_text("words,y\n" + "".join(f"{text},{label}\n" for text, label in rows))
    (tmp_path / "t.jsonl").write_text("".join(json.dumps({"words": text, "y": label}) + "\n" for text, label in rows))
    table = {"reader": "text", "path": path, "column": "words", "label": "y", "size": 64}
    assert "column 'y' lacks a label in 1 of 4 rows, first in row 3" in refused_domain(table, tmp_path)
    assert "lacks a group in 1 of 4 rows" in refused_domain(table | {"label": "words", "group": "y", "column": "y"}, tmp_path)
    domain = load_domain(table | {"where": {"y": ["007", "7"]}}, tmp_path)
    assert domain.classes == ("007", "7") and domain.samples.y.tolist() == [0, 1, 1]
    assert domain.notes == ("1 of 3 texts are empty; they have no words as features.",)


def test_the_separator_of_a_table_of_texts(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("words;y\nfine book;1\ndull, book;0\n")
    table = {"reader": "text", "path": "t.csv", "column": "words", "label": "y", "size": 64}
    assert 'Set separator = ";"' in refused_domain(table, tmp_path)
    assert load_domain(table | {"separator": ";"}, tmp_path).samples.y.tolist() == [1, 0]


@pytest.mark.data
def test_amazon_reviews_as_text(data_root: Path) -> None:
    files = {name: f"amazon_reviews/raw_text/kitchen/{name}.review.gz" for name in ("positive", "negative")}
    table = {"reader": "text", "files": files, "tag": "review_text", "encoding": "latin-1", "size": 256}
    assert load_domain(table, data_root).samples.y.bincount().tolist() == [1000, 1000]
