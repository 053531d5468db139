"""Where records and their predictions stand, and what is in the files."""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from tlbench.errors import TlbenchError
from tlbench.records.json_lines import parse_lines
from tlbench.terms import Record

if TYPE_CHECKING:
    import numpy as np


def file_of(results: Path, suite: str, entry: str) -> Path:
    """Where the records of a method row stand."""
    return results / suite / f"{entry}.jsonl"


def read(file: Path) -> list[Record]:
    """All records of a file.

    Raises:
        TlbenchError: naming each line that is no record.
    """
    try:
        content = file.read_bytes()
        content.decode()
    except FileNotFoundError as error:
        raise TlbenchError(f"no results file {file}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise TlbenchError(f"{file}: cannot be read: {error}") from error
    return parse_lines(file, content)


def read_all(results: Path, suites: tuple[str, ...] = ()) -> list[Record]:
    """The records of a results directory, of all its suites or of some."""
    return [record for file in files(results, suites) for record in read(file)]


def iterate_records(results: Path, suites: tuple[str, ...] = ()) -> Iterator[Record]:
    """The same one file at a time, for readers that need not hold them all."""
    for file in files(results, suites):
        yield from read(file)


def files(results: Path, suites: tuple[str, ...] = ()) -> Iterator[Path]:
    """The results files of a directory, in order."""
    for folder in sorted(p for p in results.iterdir() if p.is_dir()) if results.is_dir() else ():
        if not suites or folder.name in suites:
            yield from sorted(folder.glob("*.jsonl"))


def predictions_file(results: Path, suite: str, name: str) -> Path:
    """Where the predictions that a record names stand."""
    return results / suite / "predictions" / f"{name}.npz"


def predictions(results: Path, record: Record) -> tuple[np.ndarray, np.ndarray] | None:
    """The predicted class numbers (N,) of a record's scored rows and whether each was right (N,) bool.

    None where the record names no file, the file is not there, or it does not hold what the record says.
    """
    return None if record.scores.predictions is None else predictions_named(results, record.suite, record.scores.predictions)


def predictions_named(results: Path, suite: str, name: str) -> tuple[np.ndarray, np.ndarray] | None:
    """The same by the name that a record of the suite gives."""
    if not name.isalnum():
        return None
    import numpy as np

    try:
        with predictions_file(results, suite, name).open("rb") as file, np.load(file, allow_pickle=False) as held:
            predicted, packed = held["predicted"], held["right"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
        return None
    if (
        hashlib.sha256(f"{predicted.dtype}{len(predicted)}".encode() + predicted.tobytes() + packed.tobytes()).hexdigest()[:16]
        != name
    ):
        return None
    return predicted, np.unpackbits(packed, count=len(predicted)).astype(bool)
