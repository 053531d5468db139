"""Files with a word and its tag in each line (CoNLL columns, tsv), and a blank line between two sentences."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tlbench.data.decoding import archives, files
from tlbench.data.texts import text_files
from tlbench.errors import TlbenchError

BIO_TAG = re.compile(r"O|[BI]-.+")


@dataclass(frozen=True)
class Columns:
    """Where a line holds the word and its tag, each counted from 0, and what separates two columns."""

    word: int
    tag: int
    separator: str | None
    """None: a tabulator where the line has one, else blanks."""
    comment: str | None
    """Lines that begin with it are left out."""

    def of(self, line: str) -> list[str]:
        """The columns of a line."""
        separator = self.separator or ("\t" if "\t" in line else None)
        return line.split(separator)


@dataclass(frozen=True)
class TaggedSentence:
    """The words of a sentence and the tag of each."""

    words: tuple[str, ...]
    tags: tuple[str, ...]


def read_sentences(
    names: Sequence[str], root: Path, encoding: str, archive: str | None, columns: Columns, *, bio: bool
) -> list[TaggedSentence]:
    """The sentences of files, in their order.

    Args:
        names: the files, relative to the data root, or members of the archive.
        root: the data root.
        encoding: the encoding of the text.
        archive: the tar archive that holds the files, relative to the data root.
        columns: where words and tags are.
        bio: whether tags must be O, B-TYPE and I-TYPE, where I-TYPE goes on with an entity of its type.

    Raises:
        TlbenchError: a file or member that is not there, no sentence, a line with other columns than the first, or a tag that
            breaks the scheme; file and line are given.
    """
    if archive is None:
        contents = {name: text_files.unzipped(files.find(root, name)) for name in names}
    else:
        contents = dict(archives.read_members(files.find(root, archive), names))
    sentences: list[TaggedSentence] = []
    for name in names:
        lines = text_files.NEWLINE.split(text_files.decoded(contents[name], name, encoding))
        of_file = _sentences_of(lines, name, columns, bio=bio)
        if not of_file:
            raise TlbenchError(f"{name}: The file holds no sentence.")
        sentences += of_file
    return sentences


def _sentences_of(lines: Sequence[str], name: str, columns: Columns, *, bio: bool) -> list[TaggedSentence]:
    sentences: list[TaggedSentence] = []
    words: list[str] = []
    tags: list[str] = []
    width, first = 0, 0
    for number, line in enumerate([*lines, ""], 1):
        if columns.comment and line.startswith(columns.comment):
            continue
        if not line.strip():
            if words:
                sentences.append(TaggedSentence(tuple(words), tuple(tags)))
            words, tags = [], []
            continue
        cells = columns.of(line)
        if not width:
            width, first = len(cells), number
        if len(cells) != width:
            raise TlbenchError(
                f"{name}: Line {number} has {len(cells)} columns, and line {first} has {width}. Each line holds a word and its "
                "tag in the same columns; set separator, or correct the file."
            )
        if max(columns.word, columns.tag) >= width:
            raise TlbenchError(
                f"{name}: A line has {width} columns, and word = {columns.word}, label = {columns.tag} (from 0). Set "
                "separator, or name other columns."
            )
        word, tag = cells[columns.word].strip(), cells[columns.tag].strip()
        if not word or not tag:
            raise TlbenchError(f"{name}: Line {number} lacks its {'tag' if word else 'word'}. Correct the file.")
        if bio:
            _check_bio(tag, tags[-1] if tags else "O", f"{name}: Line {number}")
        words.append(word)
        tags.append(tag)
    return sentences


def _check_bio(tag: str, before: str, where: str) -> None:
    """Check a tag and the one before it in its sentence.

    Raises:
        TlbenchError: the tag is none of the scheme, or goes on with an entity that has not begun.
    """
    if not BIO_TAG.fullmatch(tag):
        raise TlbenchError(f"{where} has the tag {tag!r}. With scheme = 'bio' tags are O, B-TYPE and I-TYPE.")
    if tag.startswith("I-") and before not in (f"B-{tag[2:]}", tag):
        raise TlbenchError(
            f"{where} has the tag {tag!r} after {before!r}, so that no entity of the type {tag[2:]!r} has begun. In BIO an "
            f"entity begins with 'B-{tag[2:]}': convert the file, which may be in IOB1."
        )
