"""The files of a results directory: where records and predictions lie, and reading them."""

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
    """The results file of a method entry."""
    return results / suite / f"{entry}.jsonl"


def read(file: Path) -> list[Record]:
    """All records of a results file.

    Raises:
        TlbenchError: the file can't be read, or lines of it are no records; the error names each.
    """
    try:
        content = file.read_bytes()
        content.decode()
    except FileNotFoundError as error:
        raise TlbenchError(f"There is no results file {file}.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise TlbenchError(f"{file}: The file can't be read: {error}") from error
    return parse_lines(file, content)


def read_all(results: Path, suites: tuple[str, ...] = ()) -> list[Record]:
    """All records of a results directory; `suites` restricts them to some suites."""
    return list(iterate_records(results, suites))


def iterate_records(results: Path, suites: tuple[str, ...] = ()) -> Iterator[Record]:
    """The same, one file at a time, for readers that need not have all records in memory."""
    for file in files(results, suites):
        yield from read(file)


def files(results: Path, suites: tuple[str, ...] = ()) -> Iterator[Path]:
    """The results files of a directory, sorted by suite and method entry; `suites` restricts them to some suites."""
    for folder in sorted(p for p in results.iterdir() if p.is_dir()) if results.is_dir() else ():
        if not suites or folder.name in suites:
            yield from sorted(folder.glob("*.jsonl"))


def predictions_file(results: Path, suite: str, name: str) -> Path:
    """The file of the predictions that a record names."""
    return results / suite / "predictions" / f"{name}.npz"


def predictions(results: Path, record: Record) -> tuple[np.ndarray, np.ndarray] | None:
    """The predicted class indices (N,) of a record's scored samples, and whether each is correct (N,) bool.

    None where the record names no file, or the file is missing or has other content than its name states.
    """
    return None if record.scores.predictions is None else predictions_named(results, record.suite, record.scores.predictions)


def predictions_named(results: Path, suite: str, name: str) -> tuple[np.ndarray, np.ndarray] | None:
    """The same by the name that a record of the suite states: a hash of the file's content."""
    if not name.isalnum():
        return None
    import numpy as np

    try:
        with predictions_file(results, suite, name).open("rb") as file, np.load(file, allow_pickle=False) as archive:
            predicted, packed = archive["predicted"], archive["right"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
        return None
    content = f"{predicted.dtype}{len(predicted)}".encode() + predicted.tobytes() + packed.tobytes()
    if hashlib.sha256(content).hexdigest()[:16] != name:
        return None
    return predicted, np.unpackbits(packed, count=len(predicted)).astype(bool)
