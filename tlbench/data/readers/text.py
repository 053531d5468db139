"""Texts as counts of their words: plain or pseudo-XML files, one or more a class, or a text column of a csv or jsonl file.

Hashed n-grams (the default) learn nothing. tf-idf learns its words and their weights from the source rows of each pair anew,
or from the files that `fit` names. Both give sparse rows of unit length. A sentence encoder (extra `text`) is a folder of a
trained one; it learns nothing either.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import BeforeValidator, Field, model_validator

from tlbench.data import sample_selection
from tlbench.data.decoding import feature_encoders, files, sentence_encoders, tables
from tlbench.data.decoding.arrays import ReaderResult
from tlbench.errors import TlbenchError
from tlbench.terms import Strict


def _each_several(given: Any) -> Any:
    return {k: [v] if isinstance(v, str) else v for k, v in given.items()} if isinstance(given, dict) else given


Files = Annotated[dict[str, list[str]], BeforeValidator(_each_several), Field(min_length=1)]


class Options(Strict, strict=True):
    """Where the texts are (files by class, or a table with a column of texts), and how they become numbers."""

    files: Annotated[Files, Field(description="class = file or list of files, relative to the data root")] | None = None
    tag: Annotated[str, Field(pattern=r"^[\w.:-]+$", description="the tag around each text; without: a line")] | None = None
    path: Annotated[tables.Paths, Field(description="a table (.csv, .tsv, .jsonl, also .gz), or a list")] | None = None
    column: Annotated[str, Field(description="the column of the texts in the table")] | None = None
    label: Annotated[tables.Labels, Field(description="the column of the labels in the table, or targets")] | None = None
    group: Annotated[tables.Column, Field(description="the column of the groups in the table")] | None = None
    where: Annotated[sample_selection.Where, Field(description="rows of the table to keep")] = Field(default_factory=dict)
    encoding: Annotated[str, Field(description="of the text")] = "utf-8"
    features: Annotated[
        Literal["hashed", "tfidf", "encoder"], Field(description="counts of hashed n-grams, tf-idf, or a sentence encoder")
    ] = "hashed"
    encoder: Annotated[str, Field(description="the folder of the sentence encoder, relative to the data root")] | None = None
    size: Annotated[int, Field(gt=0, le=2**22, description="features of a row: hashes, or at most so many words")] = 2**12
    ngrams: Annotated[int, Field(ge=1, le=5, description="the longest run of words that is a feature")] = 1
    fit: Annotated[
        Literal["source"] | Files, Field(description="what tf-idf learns from: the source, or files by class as `files`")
    ] = "source"

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.files is None) == (self.path is None):
            raise ValueError("give either files = { class = file } or path = a table")
        if self.path is not None and (
            self.column is None or self.label is None or self.tag is not None or self.fit != "source"
        ):
            raise ValueError("a table needs column and label, and takes neither tag nor fit")
        if self.files is not None and (self.column or self.label or self.group or self.where):
            raise ValueError("column, label, group and where are for a table, not for files")
        if self.fit != "source" and self.features != "tfidf":
            raise ValueError("fit is for features = 'tfidf'; nothing else learns")
        if (self.encoder is None) == (self.features == "encoder"):
            raise ValueError("features = 'encoder' and encoder = a folder belong together")
        return self


def read(options: Options, root: Path) -> ReaderResult:
    """Sparse rows (N, size) float32 (of an encoder: rows (N, D)), or texts that are still to be learned from; and labels (N,).

    Raises:
        TlbenchError: no such file or column, text of another encoding, a tag that is not there or not closed, no words.
    """
    if options.files is not None:
        texts, y = _by_class(options.files, options, root)
        group = None
    else:
        texts, y, group = _column(options, root)
    held = tuple(options.label or ())
    learned = None if options.fit == "source" else _by_class(options.fit, options, root)[0]
    x = rows(texts, options.features, options.size, options.ngrams, options.encoder, root, learned)
    return ReaderResult(x, y, group, targets=held)


def rows(
    texts: list[str],
    features: Literal["hashed", "tfidf", "encoder"],
    size: int,
    ngrams: int,
    encoder: str | None,
    root: Path,
    learned: list[str] | None = None,
) -> Any:
    """Texts as rows, or as `TextCells` where tf-idf is to learn from the source of a pair; here it learns from `learned`."""
    if features == "hashed":
        return feature_encoders.hashed_counts(texts, size, ngrams)
    if features == "encoder":
        return sentence_encoders.encode(texts, files.find_folder(root, encoder or ""))
    cells = feature_encoders.UnencodedTexts(np.array([*texts, None], dtype=object)[:-1], size, ngrams)
    return (
        cells
        if learned is None
        else cells.encode([feature_encoders.UnencodedTexts(np.array([*learned, None])[:-1], size, ngrams)])
    )


def _by_class(of: Mapping[str, list[str]], options: Options, root: Path) -> tuple[list[str], Any]:
    texts: list[str] = []
    labels: list[str] = []
    for label, paths in of.items():
        for given in paths:
            found = _texts(files.find(root, given), options)
            texts += found
            labels += [label] * len(found)
    return texts, np.array(labels)


def _texts(path: Path, options: Options) -> list[str]:
    with files.guarded_reading(path, "text"), files.open_unzipped(path) as stream:
        try:
            held = stream.read().decode(options.encoding)
        except (UnicodeError, LookupError) as error:
            raise TlbenchError(f"{path}: {error}; set encoding, as in encoding = 'latin-1'") from error
    if options.tag is None:
        found = [line.strip() for line in held.splitlines() if line.strip()]
    else:
        opened, closed = held.count(f"<{options.tag}>"), held.count(f"</{options.tag}>")
        found = [
            text.strip() for text in re.findall(rf"<{re.escape(options.tag)}>(.*?)</{re.escape(options.tag)}>", held, re.S)
        ]
        if opened != closed or len(found) != opened:
            raise TlbenchError(f"{path}: <{options.tag}> is opened {opened} times and closed {closed} times; truncated?")
    if not found:
        raise TlbenchError(f"{path}: holds no text" + (f" in <{options.tag}>" if options.tag else ""))
    return found


def _column(options: Options, root: Path) -> tuple[list[str], Any, Any]:
    from tlbench.data.readers import csv, jsonl

    assert options.column is not None and options.label is not None and options.path is not None
    shared: dict[str, Any] = {"path": options.path, "label": options.label, "encoding": options.encoding}
    needed = list(dict.fromkeys([options.column, *options.label, *([options.group] if options.group else []), *options.where]))
    kinds = {Path(path.removesuffix(".gz")).suffix for path in options.path}
    if kinds <= {".csv", ".tsv"}:
        frame = csv.frames(csv.Options(**shared, separator="\t" if ".tsv" in kinds else ",", missing=[]))
    elif kinds == {".jsonl"}:
        frame = jsonl.frames(jsonl.Options(**shared))
    else:
        raise TlbenchError(f"path must name .csv, .tsv or .jsonl files (also .gz) of one kind, not {', '.join(options.path)}")
    kept = sample_selection.select(tables.concatenated_frames(options.path, root, frame, needed), options.where)
    texts = kept[options.column].tolist()
    if odd := [i for i, text in enumerate(texts) if not isinstance(text, str)]:
        raise TlbenchError(f"column {options.column!r} holds no text in {len(odd)} rows, first in row {odd[0]}")
    group = None if options.group is None else tables.label_columns(kept, [options.group], "group")
    return texts, tables.label_columns(kept, options.label), group
