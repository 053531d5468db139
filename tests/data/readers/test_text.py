"""Texts by class, from files of texts and of labels, and from tables, as counts and as tf-idf."""

from __future__ import annotations

import gzip
import json
import tarfile
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
        ({"path": "t.csv"}, "Give either files = { class = file }, path = a table, or texts = a file"),
        ({"texts": "t", "labels": "l"}, "Give either files = { class = file }, path = a table, or texts = a file"),
        ({"files": None}, "Give either files = { class = file }, path = a table, or texts = a file"),
        ({"files": None, "texts": ["t", "u"], "labels": "l"}, "give two lists of equal length"),
        ({"files": None, "texts": "t"}, "Each file of texts needs its file of labels"),
        ({"files": None, "texts": "t", "labels": "l", "tag": "a"}, "tag is for files by class"),
        ({"archive": "a.tar"}, "archive is for texts and labels"),
        ({"split": "train"}, "so are separator and split"),
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


# --- texts in one file, labels in another ---


LINES = {"reader": "text", "texts": "s/text.txt", "labels": "s/labels.txt", "size": 64}


def lines_below(root: Path, texts: str = "fine\n\ndull one\n", labels: str = "0\n1\n0\n") -> Path:
    """The two files below a folder, and archives of them, plain and gzip."""
    (root / "s").mkdir(exist_ok=True)
    (root / "s" / "text.txt").write_text(texts, newline="")
    (root / "s" / "labels.txt").write_text(labels, newline="")
    for name, mode in (("s.tar", "w:"), ("s.tar.gz", "w:gz")):
        with tarfile.open(root / name, mode) as archive:  # type: ignore[call-overload]
            archive.add(root / "s", "s")
    return root


@pytest.mark.parametrize("archive", [{}, {"archive": "s.tar"}, {"archive": "s.tar.gz"}])
def test_each_line_has_its_label_in_the_other_file(tmp_path: Path, archive: dict[str, Any]) -> None:
    lines_below(tmp_path)
    domain = load_domain(LINES | archive | {"label_map": {"0": "none", "1": "against"}}, tmp_path)
    assert domain.classes == ("against", "none") and domain.samples.y.tolist() == [1, 0, 1]
    assert domain.samples.x[1].norm() == 0 and "1 of 3 texts are empty; they have no words as features." in domain.notes
    twice = {"texts": ["s/text.txt"] * 2, "labels": ["./s/labels.txt", "s/labels.txt"]}
    assert load_domain(LINES | archive | twice, tmp_path).samples.y.tolist() == [0, 1, 0] * 2
    own = load_domain(LINES | archive | {"test": {"texts": "s/labels.txt", "labels": "s/labels.txt"}}, tmp_path)
    assert own.test is not None and own.test.y.tolist() == [0, 1, 0]


@pytest.mark.parametrize("archive", [{}, {"archive": "s.tar"}, {"archive": "s.tar.gz"}])
def test_errors_in_files_of_texts_and_labels(tmp_path: Path, archive: dict[str, Any]) -> None:
    table = LINES | archive
    lines_below(tmp_path, labels="0\n1\n")
    assert "'s/text.txt' has 3 lines and 's/labels.txt' has 2." in refused_domain(table, tmp_path)
    lines_below(tmp_path, labels="0\n\n1\n")
    assert "'s/labels.txt' lacks a label in 1 lines, first in line 2" in refused_domain(table, tmp_path)
    lines_below(tmp_path, labels="0\n1\n7")
    message = refused_domain(table | {"label_map": {"0": "none", "1": "against"}, "classes": ["none", "against"]}, tmp_path)
    assert "Label '7' (1 samples) is not among the 2 classes" in message
    lines_below(tmp_path, "", "")
    assert "hold no text" in refused_domain(table, tmp_path)
    (tmp_path / "t").mkdir()
    lines_below(tmp_path / "t", "fine\n", "0\n")
    message = refused_domain(table | {"encoding": "utf-16"}, tmp_path / "t")
    assert "s/text.txt" in message and "Set encoding, as in encoding = 'latin-1'." in message
    lines_below(tmp_path, "fine\n", "0\n")
    message = refused_domain(table | {"texts": "s/txt.txt"}, tmp_path)
    assert "'s/txt.txt'" in message and "Did you mean 's/text.txt'?" in message
    for path in ("../s/text.txt", "/s/text.txt"):
        assert "leaves" in refused_domain(table | {"texts": path}, tmp_path)


@pytest.mark.parametrize("kind", ["link", "outside", "absolute"])
def test_an_archive_with_links_or_names_outside_is_refused(tmp_path: Path, kind: str) -> None:
    lines_below(tmp_path)
    member = tarfile.TarInfo({"link": "s/link.txt", "outside": "../a.txt", "absolute": "/a.txt"}[kind])
    if kind == "link":
        member.type, member.linkname = tarfile.SYMTYPE, "/etc/hostname"
    with tarfile.open(tmp_path / "s.tar", "a") as archive:
        archive.addfile(member)
    assert "is a link, a device or leaves the archive" in refused_domain(LINES | {"archive": "s.tar"}, tmp_path)


# --- texts in JSON ---


JSON = {"reader": "text", "path": "t.json.gz", "column": "0", "label": "1", "size": 64}


def write_json(root: Path, value: Any) -> Path:
    (root / "t.json.gz").write_bytes(gzip.compress(json.dumps(value).encode()))
    return root


def test_lists_of_texts_and_labels_by_split(tmp_path: Path) -> None:
    write_json(tmp_path, {"train": [["fine book", "good"], ["dull", "bad"]], "oos": [["noise", "oos"]], "n": 1})
    both = load_domain(JSON | {"split": ["train", "oos"]}, tmp_path)
    assert both.classes == ("bad", "good", "oos") and both.samples.y.tolist() == [1, 0, 2]
    assert len(load_domain(JSON | {"split": "train", "where": {"1": ["good"]}}, tmp_path).samples) == 1
    assert "There is no split 'trian'. Did you mean 'train'?" in refused_domain(JSON | {"split": "trian"}, tmp_path)
    assert "The split 'n' is a int, not a list" in refused_domain(JSON | {"split": "n"}, tmp_path)
    assert "an object of train, oos, n. Name lists in it by split" in refused_domain(JSON, tmp_path)
    assert "There is no column '2'" in refused_domain(JSON | {"split": "train", "label": "2"}, tmp_path)


def test_one_list_of_lists_or_of_objects(tmp_path: Path) -> None:
    assert load_domain(JSON, write_json(tmp_path, [["fine", 1], ["dull", 0]])).samples.y.tolist() == [1, 0]
    assert "it has no splits. Leave out split." in refused_domain(JSON | {"split": "a"}, tmp_path)
    named = JSON | {"column": "words", "label": "y"}
    assert load_domain(named, write_json(tmp_path, [{"words": "fine", "y": 7}, {"y": 8, "words": "dull"}])).classes == (
        "7",
        "8",
    )
    assert "holds no text in 1 rows, first in row 0" in refused_domain(named, write_json(tmp_path, [{"y": 1}, {"words": "a"}]))
    assert "The item 1 (counted from 0) is a str" in refused_domain(JSON, write_json(tmp_path, [["fine", 1], "dull"]))
    assert "it must hold a list, or lists by split" in refused_domain(JSON, write_json(tmp_path, 3))
    assert "labels must be numbers or texts" in refused_domain(JSON, write_json(tmp_path, [["fine", [1]], ["dull", {}]]))
    (tmp_path / "t.json.gz").write_bytes(b'[["caf\xe9", 1]]')
    assert "Set encoding, as in encoding = 'latin-1'." in refused_domain(JSON, tmp_path)
    assert len(load_domain(JSON | {"encoding": "latin-1"}, tmp_path).samples) == 1
    (tmp_path / "t.csv").write_text("words,y\nfine book,1\n")
    table = JSON | {"path": "t.csv", "column": "words", "label": "y", "split": "train"}
    assert "split names lists in a .json file" in refused_domain(table, tmp_path)


@pytest.mark.data
def test_tweets_and_intents_as_published(data_root: Path) -> None:
    for file in ("tweeteval_stance/stance.tar.gz", "clinc150/data_full.json.gz"):
        if not (data_root / file).is_file():
            pytest.skip(f"no {file} in {data_root}")
    tweets = {"reader": "text", "archive": "tweeteval_stance/stance.tar.gz", "size": 64}
    names = {kind: f"stance/climate/train_{name}.txt" for kind, name in (("texts", "text"), ("labels", "labels"))}
    assert load_domain(tweets | names, data_root).samples.y.bincount().tolist() == [151, 13, 191]
    intents = {"reader": "text", "path": "clinc150/data_full.json.gz", "column": "0", "label": "1", "size": 64}
    train = load_domain(intents | {"split": ["train", "oos_train"]}, data_root)
    assert len(train.classes) == 151 and train.samples.y.bincount().tolist() == [100] * 151


@pytest.mark.data
def test_amazon_reviews_as_text(data_root: Path) -> None:
    files = {name: f"amazon_reviews/raw_text/kitchen/{name}.review.gz" for name in ("positive", "negative")}
    table = {"reader": "text", "files": files, "tag": "review_text", "encoding": "latin-1", "size": 256}
    assert load_domain(table, data_root).samples.y.bincount().tolist() == [1000, 1000]
