"""Texts as features: plain or pseudo-XML files by class, files of texts and of labels, or the text column of a table.

Hashed n-grams (the default) need no fit. tf-idf is fitted on the source samples of each pair anew, or on the files that `fit`
names. Both give sparse features of Euclidean norm 1. A sentence encoder (extra `text`) is a folder with a pre-trained model; it
needs no fit either. Token ids are for backbones that read texts, such as `hf` and `word_vectors`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import BeforeValidator, Field, model_validator

from tlbench.data import sample_selection, tokenization
from tlbench.data.decoding import feature_encoders, files, table_options, tables
from tlbench.data.decoding.arrays import ReaderResult
from tlbench.data.texts import json_tables, sentence_encoders, text_files
from tlbench.errors import TlbenchError
from tlbench.terms import Strict

PATH_KEYS = ("files", "path", "archive", "texts", "labels", "encoder", "vocabulary", "fit.*")
LIBRARIES = ("pandas", "scikit-learn", "transformers", "torch")


def _lists_of_files(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return {label: [paths] if isinstance(paths, str) else paths for label, paths in value.items()}


Files = Annotated[dict[str, list[str]], BeforeValidator(_lists_of_files), Field(min_length=1)]
"""Class -> its file or files."""


class Options(Strict, strict=True):
    """The texts (files by class, or a table with a column of texts), and how they become features."""

    files: Annotated[Files, Field(description="class = file or list of files, relative to the data root")] | None = None
    tag: (
        Annotated[str, Field(pattern=r"^[\w.:-]+$", description="the tag around each text; without one, each line is a text")]
        | None
    ) = None
    texts: (
        Annotated[
            table_options.Paths, Field(description="a file with a text in each line, or a list; its labels are in labels")
        ]
        | None
    ) = None
    labels: Annotated[table_options.Paths, Field(description="the file with the labels of each file of texts")] | None = None
    archive: Annotated[str, Field(description="the tar archive (also .gz) that holds the files of texts and labels")] | None = (
        None
    )
    path: (
        Annotated[table_options.Paths, Field(description="a table (.csv, .tsv, .jsonl, .json, also .gz), or a list")] | None
    ) = None
    split: Annotated[table_options.Paths, Field(description="the lists to read in a .json file that holds several")] | None = (
        None
    )
    column: Annotated[str, Field(description="the column of the texts in the table")] | None = None
    label: Annotated[table_options.Labels, Field(description="the column of the labels in the table, or targets")] | None = None
    group: Annotated[table_options.Column, Field(description="the column of the groups in the table")] | None = None
    separator: (
        Annotated[str, Field(min_length=1, max_length=1, description="the character between two cells of a .csv table")] | None
    ) = None
    """None: a tabulator for .tsv, else a comma."""
    where: Annotated[sample_selection.Where, Field(description="rows of the table to select")] = Field(default_factory=dict)
    encoding: Annotated[str, Field(description="the encoding of the text")] = "utf-8"
    features: Annotated[
        Literal["hashed", "tfidf", "encoder", "tokens"],
        Field(description="counts of hashed n-grams, tf-idf, a sentence encoder, or token ids for a backbone that reads texts"),
    ] = "hashed"
    encoder: Annotated[str, Field(description="the folder of the sentence encoder, relative to the data root")] | None = None
    vocabulary: (
        Annotated[
            str,
            Field(
                description="of tokens: the folder of a tokenizer, or an npz file of word vectors, relative to the data root"
            ),
        ]
        | None
    ) = None
    length: Annotated[
        int, Field(gt=1, le=8192, description="tokens of a sample; longer texts are cut, shorter ones padded")
    ] = 128
    size: Annotated[int, Field(gt=0, le=2**22, description="the number of hashed features, or at most so many words")] = 2**12
    ngrams: Annotated[int, Field(ge=1, le=5, description="the longest n-gram of words that is a feature")] = 1
    fit: Annotated[
        Literal["source"] | Files, Field(description="what tf-idf is fitted on: the source, or files by class as in `files`")
    ] = "source"

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        if [self.files, self.path, self.texts].count(None) != 2:
            raise ValueError("Give either files = { class = file }, path = a table, or texts = a file with labels = another.")
        if self.path is not None and (
            self.column is None or self.label is None or self.tag is not None or self.fit != "source"
        ):
            raise ValueError("A table needs column and label, and takes neither tag nor fit.")
        if self.path is None and (self.column or self.label or self.group or self.where or self.separator or self.split):
            raise ValueError("column, label, group and where are for a table, not for files; so are separator and split.")
        if (self.texts is None) != (self.labels is None) or len(self.texts or ()) != len(self.labels or ()):
            raise ValueError("Each file of texts needs its file of labels: give two lists of equal length.")
        if self.texts is None and self.archive is not None:
            raise ValueError("archive is for texts and labels. Name the files in it by these keys.")
        if self.texts is not None and self.tag is not None:
            raise ValueError("tag is for files by class; each line of a file of texts is a text.")
        if self.fit != "source" and self.features != "tfidf":
            raise ValueError("fit is for features = 'tfidf'; no other features are fitted.")
        if (self.encoder is None) == (self.features == "encoder"):
            raise ValueError("features = 'encoder' needs encoder = a folder, and the other way round.")
        if (self.vocabulary is None) == (self.features == "tokens"):
            raise ValueError("features = 'tokens' needs vocabulary = a folder or file, and the other way round.")
        return self


def read(options: Options, root: Path) -> ReaderResult:
    """Sparse samples (N, size) float32 (of an encoder: (N, D)), or texts whose features are yet to be fitted; and labels (N,).

    Raises:
        TlbenchError: a file or column that is not there, text of another encoding, a tag that is not there or not closed, or no
            words.
    """
    if options.files is not None:
        texts, y = text_files.texts_by_class(options.files, root, options.encoding, options.tag)
        result = ReaderResult(
            None, y, reading=(f"{len(texts):,} texts of {len(options.files)} classes; blank lines are no texts",)
        )
    elif options.texts is not None:
        texts, y = text_files.labelled_lines(options.texts, options.labels or [], root, options.encoding, options.archive)
        names = f"{', '.join(options.texts)} with labels from {', '.join(options.labels or [])}"
        result = ReaderResult(None, y, left_out=blank_texts(texts), reading=(f"{len(texts):,} lines of {names}",))
    else:
        texts, result = _texts_of_table(options, root)
    if options.features == "tokens":
        encoded = tokenization.encode(texts, _vocabulary(options.vocabulary or "", root), options.length)
        return replace(result, x=encoded.ids, left_out=(*result.left_out, *encoded.notes), tokens=True)
    fit_on = None
    if options.fit != "source":
        fit_on = text_files.texts_by_class(options.fit, root, options.encoding, options.tag)[0]
    x = text_features(texts, options.features, options.size, options.ngrams, options.encoder, root, fit_on)
    return replace(result, x=x)


def _vocabulary(path: str, root: Path) -> Path:
    """The folder of a tokenizer, or the file of word vectors."""
    return files.find_folder(root, path) if (root / path).is_dir() else files.find(root, path)


def text_features(
    texts: list[str],
    features: Literal["hashed", "tfidf", "encoder"],
    size: int,
    ngrams: int,
    encoder: str | None,
    root: Path,
    fit_on: list[str] | None = None,
) -> Any:
    """The features of texts, or `UnencodedTexts` where tf-idf is to be fitted on the source of a pair.

    Args:
        texts: N texts.
        features: the kind of features.
        size: the number of hashed features, or the largest number of tf-idf words.
        ngrams: the longest n-gram of words that is a feature.
        encoder: the folder of the sentence encoder, relative to the data root.
        root: the data root.
        fit_on: texts that tf-idf is fitted on; None: it is fitted on the source of a pair later.

    Returns:
        Sparse features (N, size) float32, features (N, D) of a sentence encoder, or unencoded texts (N,).
    """
    if features == "hashed":
        return feature_encoders.hashed_counts(texts, size, ngrams)
    if features == "encoder":
        return sentence_encoders.encode(texts, files.find_folder(root, encoder or ""))
    samples = _unencoded(texts, size, ngrams)
    return samples if fit_on is None else samples.encode([_unencoded(fit_on, size, ngrams)])


def checked_texts(cells: list[Any], column: str) -> list[str]:
    """The cells of a text column.

    Raises:
        TlbenchError: a cell holds no text.
    """
    if bad := [row for row, cell in enumerate(cells) if not isinstance(cell, str)]:
        raise TlbenchError(
            f"The column {column!r} holds no text in {len(bad)} rows, first in row {bad[0]}. Leave them out by `where`."
        )
    return cells


def blank_texts(texts: Sequence[str]) -> tuple[str, ...]:
    """A note on texts without any character but blanks, if there are any."""
    count = sum(not text.strip() for text in texts)
    return (f"{count:,} of {len(texts):,} texts are empty; they have no words as features.",) if count else ()


def _unencoded(texts: list[str], size: int, ngrams: int) -> feature_encoders.UnencodedTexts:
    return feature_encoders.UnencodedTexts(np.array(texts, dtype=object), size, ngrams)


def _texts_of_table(options: Options, root: Path) -> tuple[list[str], ReaderResult]:
    """The texts (N,) of a table's column, and the labels (N,) or targets (N, K) and groups (N,) without samples."""
    from tlbench.data.readers import csv, jsonl

    assert options.column is not None and options.label is not None and options.path is not None
    settings: dict[str, Any] = {"path": options.path, "label": options.label, "encoding": options.encoding}
    group_column = [] if options.group is None else [options.group]
    needed = list(dict.fromkeys([options.column, *options.label, *group_column, *options.where]))
    suffixes = {Path(path.removesuffix(".gz")).suffix for path in options.path}
    if suffixes <= {".csv", ".tsv"}:
        separator = options.separator or ("\t" if ".tsv" in suffixes else ",")
        read_frame = csv.frame_reader(csv.Options(**settings, separator=separator, missing=[]), needed)
    elif suffixes == {".jsonl"}:
        read_frame = jsonl.frame_reader(jsonl.Options(**settings), needed)
    elif suffixes == {".json"}:
        read_frame = json_tables.frame_reader(options.split or (), options.encoding)
    else:
        raise TlbenchError(
            f"path must name .csv, .tsv, .jsonl or .json files (also .gz) of one kind, not {', '.join(options.path)}."
        )
    if options.split is not None and suffixes != {".json"}:
        raise TlbenchError(f"split names lists in a .json file, and path is {', '.join(options.path)}. Leave it out.")
    frame = tables.concatenated_frames(options.path, root, read_frame, needed).frame
    selected = sample_selection.select(frame, options.where)
    texts = checked_texts(selected[options.column].tolist(), options.column)
    group = None if options.group is None else tables.label_columns(selected, group_column, "group")
    return texts, ReaderResult(
        None,
        tables.label_columns(selected, options.label),
        group,
        targets=tuple(options.label),
        left_out=blank_texts(texts),
        reading=(f"the texts are the column {options.column}", f"{len(selected):,} of {len(frame):,} rows"),
    )
