"""Sentences with a tag for each word (task = "tokens"): CoNLL columns or tsv, a word a line, a blank line between sentences.

Tjong Kim Sang and De Meulder, Introduction to the CoNLL-2003 shared task, CoNLL 2003. https://aclanthology.org/W03-0419. A word
may be several tokens of a tokenizer: the first one carries its tag, the others count nowhere.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from tlbench.data.decoding import files, table_options
from tlbench.data.decoding.arrays import ReaderResult
from tlbench.data.texts import tagged_sentences, word_pieces
from tlbench.terms import Strict

PATH_KEYS = ("path", "archive", "vocabulary")
LIBRARIES = ("transformers",)


class Options(Strict, strict=True):
    """The files, their columns, and how words become tokens."""

    path: Annotated[table_options.Paths, Field(description="a file of tagged words, or a list; with archive, members of it")]
    archive: Annotated[str, Field(description="the tar archive (also .gz) that holds the files of path")] | None = None
    word: Annotated[int, Field(ge=0, description="the column of the words, from 0")] = 0
    label: Annotated[int, Field(ge=0, description="the column of the tags, from 0")] = 1
    separator: (
        Annotated[str, Field(min_length=1, description="what separates two columns; without it a tabulator, or blanks")] | None
    ) = None
    comment: Annotated[str, Field(min_length=1, description="lines that begin with it are left out")] | None = None
    scheme: Annotated[
        Literal["labels", "bio"],
        Field(description="labels stand alone; bio: O, B-TYPE and I-TYPE, and label_map and classes name the types"),
    ] = "labels"
    encoding: Annotated[str, Field(description="the encoding of the text")] = "utf-8"
    vocabulary: Annotated[
        str, Field(description="the folder of a tokenizer, or an npz file of word vectors, relative to the data root")
    ]
    length: Annotated[
        int, Field(gt=1, le=8192, description="tokens of a sample; longer sentences are cut, shorter ones padded")
    ] = 64


def read(options: Options, root: Path) -> ReaderResult:
    """Token ids (N, length) int32, and the tag of each token (N, length), "" where a token carries none.

    Raises:
        TlbenchError: a file that is not there, ragged columns, or a tag that breaks the scheme.
    """
    columns = tagged_sentences.Columns(options.word, options.label, options.separator, options.comment)
    is_bio = options.scheme == "bio"
    sentences = tagged_sentences.read_sentences(options.path, root, options.encoding, options.archive, columns, bio=is_bio)
    folder = (root / options.vocabulary).is_dir()
    vocabulary = files.find_folder(root, options.vocabulary) if folder else files.find(root, options.vocabulary)
    tokens = word_pieces.encode_words([sentence.words for sentence in sentences], vocabulary, options.length)
    longest = max(len(tag) for sentence in sentences for tag in sentence.tags)
    tags = np.full(tokens.word.shape, "", dtype=f"<U{longest}")
    for number, sentence in enumerate(sentences):
        carries = tokens.word[number] >= 0
        tags[number, carries] = np.array(sentence.tags)[tokens.word[number, carries]]
    words = sum(len(sentence.words) for sentence in sentences)
    reading = (f"{len(sentences):,} sentences of {words:,} words from {', '.join(options.path)}",)
    return ReaderResult(tokens.ids, tags, left_out=tokens.notes, reading=reading, tokens=True)
