"""Texts in plain or pseudo-XML files: by class, or in one file whose lines have their labels in another file."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from tlbench.data.decoding import archives, files
from tlbench.data.decoding.arrays import Array
from tlbench.errors import TlbenchError

NEWLINE = re.compile(r"\r\n|\n|\r")
"""splitlines() would split within a line, at form feeds, U+0085, U+2028 and others."""


def texts_by_class(
    files_of: Mapping[str, Sequence[str]], root: Path, encoding: str, tag: str | None
) -> tuple[list[str], Array]:
    """The texts (N,) of files by class, and their labels (N,).

    Args:
        files_of: class -> its files, relative to the data root.
        root: the data root.
        encoding: the encoding of the text.
        tag: the tag around each text; None: each line that is not blank is a text.

    Raises:
        TlbenchError: a file that is not there, text of another encoding, a tag that is not there or not closed, or no text.
    """
    texts: list[str] = []
    labels: list[str] = []
    for label, paths in files_of.items():
        for path in paths:
            file_texts = _texts_of_file(files.find(root, path), encoding, tag)
            texts += file_texts
            labels += [label] * len(file_texts)
    return texts, np.array(labels)


def labelled_lines(
    text_names: Sequence[str], label_names: Sequence[str], root: Path, encoding: str, archive: str | None
) -> tuple[list[str], Array]:
    """The lines (N,) of text files, and the lines (N,) of label files: line i of one belongs to line i of the other.

    Args:
        text_names: the files of the texts, relative to the data root, or members of the archive.
        label_names: the file of the labels for each of them.
        root: the data root.
        encoding: the encoding of the text.
        archive: the tar archive that holds the files, relative to the data root.

    Raises:
        TlbenchError: a file or member that is not there, files of unequal numbers of lines, or a label that is blank.
    """
    names = [*text_names, *label_names]
    if archive is None:
        lines = {name: _lines(unzipped(files.find(root, name)), name, encoding) for name in names}
    else:
        path = files.find(root, archive)
        contents = archives.read_members(path, names)
        lines = {name: _lines(content, f"{path}: {name}", encoding) for name, content in contents.items()}
    texts: list[str] = []
    labels: list[str] = []
    for text_name, label_name in zip(text_names, label_names, strict=True):
        counts = len(lines[text_name]), len(lines[label_name])
        if counts[0] != counts[1]:
            raise TlbenchError(
                f"The file {text_name!r} has {counts[0]:,} lines and {label_name!r} has {counts[1]:,}. Line i of one belongs "
                "to line i of the other: one of them may be truncated, or belong to another file."
            )
        if blank := [number for number, label in enumerate(lines[label_name], 1) if not label]:
            raise TlbenchError(f"The file {label_name!r} lacks a label in {len(blank)} lines, first in line {blank[0]}.")
        texts += lines[text_name]
        labels += lines[label_name]
    if not texts:
        raise TlbenchError(f"The files {', '.join(text_names)} hold no text.")
    return texts, np.array(labels)


def unzipped(path: Path) -> bytes:
    """The content of a file, plain or gzip.

    Raises:
        TlbenchError: it can't be read.
    """
    with files.guarded_reading(path, "text"), files.open_unzipped(path) as stream:
        return stream.read()


def decoded(content: bytes, where: str, encoding: str) -> str:
    """The text of a content; errors begin with `where`.

    Raises:
        TlbenchError: it is text of another encoding.
    """
    try:
        return content.decode(encoding)
    except (UnicodeError, LookupError) as error:
        raise TlbenchError(f"{where}: {error}. Set encoding, as in encoding = 'latin-1'.") from error


def _lines(content: bytes, where: str, encoding: str) -> list[str]:
    """The lines of a file without blanks around them; what follows the last newline is a line only if it is not empty."""
    lines = NEWLINE.split(decoded(content, where, encoding))
    return [line.strip() for line in (lines if lines[-1] else lines[:-1])]


def _texts_of_file(path: Path, encoding: str, tag: str | None) -> list[str]:
    """The texts of a file: its lines that are not blank, or the contents of a tag."""
    content = decoded(unzipped(path), str(path), encoding)
    if tag is None:
        texts = [line.strip() for line in NEWLINE.split(content) if line.strip()]
    else:
        opened, closed = content.count(f"<{tag}>"), content.count(f"</{tag}>")
        texts = _texts_in_tag(content, tag)
        if opened != closed or len(texts) != opened:
            raise TlbenchError(
                f"{path}: <{tag}> is opened {opened} times and closed {closed} times. The file may be truncated."
            )
    if not texts:
        raise TlbenchError(f"{path}: The file holds no text" + (f" in <{tag}>." if tag else "."))
    return texts


def _texts_in_tag(content: str, tag: str) -> list[str]:
    """The contents of all elements of a tag, in one pass: a regular expression would try each opening tag to the end."""
    texts, end = [], 0
    while (start := content.find(f"<{tag}>", end)) >= 0:
        start += len(tag) + 2
        if (end := content.find(f"</{tag}>", start)) < 0:
            break
        texts.append(content[start:end].strip())
    return texts
