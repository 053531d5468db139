"""Record <-> one JSON line; append, read, validate. A line that was once written is never changed.

Files are `<results>/<suite>/<row>.jsonl`. A line is written in one piece and flushed to the disk before the next case starts.
"""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock
from pydantic import ValidationError

from tlbench.terms import SCHEMA, Record, TlbenchError

if TYPE_CHECKING:
    import numpy as np

Say = Callable[[str], None]


def to_line(record: Record) -> str:
    """One line of JSON, without the line end; keys in the order of the schema."""
    facts = record.model_dump(mode="json", by_alias=True)
    return json.dumps(facts, ensure_ascii=False, separators=(", ", ": "), allow_nan=False)


def from_line(line: str) -> Record:
    """The record of a line of any schema so far.

    Raises:
        TlbenchError: not JSON, not a record, or of a schema of the future.
    """
    try:
        facts = json.loads(line)
    except json.JSONDecodeError as error:
        raise TlbenchError(f"not JSON: {error}") from error
    if not isinstance(facts, dict) or not isinstance(facts.get("schema"), int):
        raise TlbenchError("not a record: it has no schema number")
    if facts["schema"] > SCHEMA:
        raise TlbenchError(f"schema {facts['schema']} is of a later tlbench; this one reads up to {SCHEMA}")
    try:
        return Record.model_validate(facts)
    except ValidationError as error:
        said = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise TlbenchError(f"not a record: {said}") from error


def file_of(results: Path, suite: str, row: str) -> Path:
    """Where the records of a method row stand."""
    return results / suite / f"{row}.jsonl"


def read(file: Path) -> list[Record]:
    """All records of a file.

    Raises:
        TlbenchError: naming each line that is no record.
    """
    records, wrong = [], []
    try:
        lines = file.read_text(encoding="utf-8").split("\n")  # not splitlines: JSON text may hold other line ends
    except FileNotFoundError as error:
        raise TlbenchError(f"no results file {file}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise TlbenchError(f"{file}: cannot be read: {error}") from error
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                records.append(from_line(line))
            except TlbenchError as error:
                wrong.append(f"line {number}: {error}")
    if wrong:
        shown = [*wrong[:20], *([f"and {len(wrong) - 20} more"] if len(wrong) > 20 else [])]
        raise TlbenchError(f"{file}:\n  " + "\n  ".join(shown))
    return records


def read_all(results: Path, suites: tuple[str, ...] = ()) -> list[Record]:
    """The records of a results directory, of all its suites or of some."""
    return [record for file in files(results, suites) for record in read(file)]


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
    import numpy as np

    name = record.scores.predictions
    if name is None or not name.isalnum():
        return None
    try:
        with predictions_file(results, record.suite, name).open("rb") as file, np.load(file, allow_pickle=False) as held:
            predicted, packed = held["predicted"], held["right"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
        return None
    if (
        hashlib.sha256(f"{predicted.dtype}{len(predicted)}".encode() + predicted.tobytes() + packed.tobytes()).hexdigest()[:16]
        != name
    ):
        return None
    return predicted, np.unpackbits(packed, count=len(predicted)).astype(bool)


def append(results: Path, record: Record) -> None:
    """Write a record at the end of its file; it is on the disk when this returns, its predictions before it.

    Raises:
        TlbenchError: the directory can't be written to.
    """
    file = file_of(results, record.suite, record.row)
    line = (to_line(record) + "\n").encode()
    try:
        with lock(file.parent):
            if record.attached is not None and record.scores.predictions is not None:
                _keep(predictions_file(results, record.suite, record.scores.predictions), record.attached)
            handle = os.open(file, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
            try:
                end = os.fstat(handle).st_size
                if end and os.pread(handle, 1, end - 1) != b"\n":
                    line = b"\n" + line  # another process died within its line: keep off it
                try:
                    written = os.write(handle, line)
                    if written < len(line):
                        raise OSError(28, "No space left on device")  # a short write to a file is a full disk
                    os.fsync(handle)
                except OSError:
                    os.ftruncate(handle, end)  # never leave half a line behind
                    raise
            finally:
                os.close(handle)
    except OSError as error:
        raise TlbenchError(f"{file}: the record can't be written: {error.strerror}; mend that and run again") from error


def prepare(results: Path, suite: str, say: Say = lambda text: None) -> None:
    """Make a suite's folder ready: it must take files, and broken last lines are set aside in a file beside.

    Raises:
        TlbenchError: the directory can't be made or written to.
    """
    folder = results / suite
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with lock(folder):
            for file in sorted(folder.glob("*.jsonl")):
                _set_aside(file, say)
    except OSError as error:
        raise TlbenchError(f"results directory {folder}: {error.strerror}; choose another with --results DIR") from error


def lock(folder: Path) -> FileLock:
    """The lock of a suite's folder, held while a file in it is written."""
    return FileLock(folder / ".lock")


def _set_aside(file: Path, say: Say) -> None:
    """A last line that is not whole (a write that was cut off) moves to `<file>.broken-<n>`."""
    content = file.read_bytes()
    head, newline, tail = content.rstrip(b"\n").rpartition(b"\n")
    if not tail:
        return
    try:
        from_line(tail.decode())
    except (TlbenchError, UnicodeDecodeError):
        number = next(n for n in range(1, 1_000_000) if not file.with_name(f"{file.name}.broken-{n}").exists())
        aside = file.with_name(f"{file.name}.broken-{number}")
        aside.write_bytes(tail)
        _rewrite(file, head + newline)
        say(f"{file}: the last line is broken; it is set aside in {aside.name}, and its case runs again")
        return
    if not content.endswith(b"\n"):
        _rewrite(file, content + b"\n")


def _keep(file: Path, content: bytes) -> None:
    """Write a file whose name follows from its content, unless it is there."""
    if not file.is_file():
        file.parent.mkdir(exist_ok=True)
        _rewrite(file, content)


def _rewrite(file: Path, content: bytes) -> None:
    """Replace a file in one step."""
    new = file.with_name(f".{file.name}.new")
    with new.open("wb") as handle:
        handle.write(content)
        handle.flush()
        os.fsync(handle.fileno())
    new.replace(file)
