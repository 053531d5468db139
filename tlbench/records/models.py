"""Model files, `<results>/<suite>/models/<sha256>.pt`: which file a record names, and whether it is unchanged."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from tlbench.errors import TlbenchError
from tlbench.plain_files import read_plain
from tlbench.terms import Record

MAX_FILE_BYTES = 2**32
"""Larger model files are not read."""
SAVE_AGAIN = "`tlbench run SUITE --save-models --fresh` runs the case again and saves its model."


def model_file(results: Path, suite: str, sha256: str) -> Path:
    """The model file that a record names."""
    return results / suite / "models" / f"{sha256}.pt"


def read_model_file(file: Path, sha256: str) -> bytes:
    """The bytes of a model file.

    Raises:
        TlbenchError: there is no such file, or its content is another.
    """
    try:
        content = read_plain(file, MAX_FILE_BYTES)
    except FileNotFoundError as error:
        raise TlbenchError(f"There is no model file {file}. {SAVE_AGAIN}") from error
    if (here := hashlib.sha256(content).hexdigest()) != sha256:
        raise TlbenchError(f"{file}: The model file has the sha256 {here}, and its record names {sha256}. {SAVE_AGAIN}")
    return content


def model_errors(results: Path, on_file: Iterable[Record]) -> Iterator[str]:
    """A sentence for each model file that records name and that is missing or has another content."""
    for sha256, suite in dict.fromkeys((record.model, record.suite) for record in on_file if record.model is not None):
        try:
            read_model_file(model_file(results, suite, sha256), sha256)
        except TlbenchError as error:
            yield str(error)
