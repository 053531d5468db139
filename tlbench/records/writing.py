"""Appending records so that none is lost, duplicated or cut off, whatever happens to the process that writes."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from filelock import FileLock

from tlbench.errors import TlbenchError
from tlbench.records.candidates import facts_file
from tlbench.records.json_lines import is_torn, parse_lines, read_lines, to_line
from tlbench.records.models import model_file
from tlbench.records.predictions import predictions_file
from tlbench.records.reading import file_of, suite_files
from tlbench.terms import Record

Warn = Callable[[str], None]
"""Called with a warning for the user."""
MAX_TORN_LINES = 8
"""So many lines at the end of a file may be writes that were cut off, one after the other."""


def append(results: Path, record: Record) -> None:
    """Append a record to its file; it is on the disk when this returns, and its predictions before it.

    Raises:
        TlbenchError: the directory can't be written to.
    """
    file = file_of(results, record.suite, record.entry)
    with _write_errors(file), lock(file.parent):
        _append_locked(results, file, record)


class ResultsLog:
    """The results files of a suite as several runs append to them: no line is read twice, and no case gets a second record.

    A run appends through its log: where another run on the same directory has written a record of the same case since the file
    was last read, that record stands.

    Args:
        results: the results directory.
        suite: the name of the suite.
    """

    def __init__(self, results: Path, suite: str) -> None:
        self._results, self._suite = results, suite
        self._positions: dict[Path, tuple[int, int]] = {}
        """The byte up to which each file is read, and its inode: a file that was replaced is read again from its start."""
        self._line_hashes: dict[Path, set[int]] = {}
        self._records_of_other_runs: dict[tuple[str, str], Record] = {}
        """By method entry and identity, the records that were appended after the first reading."""

    def record_of_other_run(self, entry: str, identity: str) -> Record | None:
        """The record of a case that another run has written since the entry was first read, if there is one."""
        self.read_new(entry)
        return self._records_of_other_runs.get((entry, identity))

    def read_new(self, entry: str) -> list[Record]:
        """The records of a method entry that were appended since the last call, in whole lines; at first all on file.

        Raises:
            TlbenchError: naming each line that is no record, or why the file can't be read.
        """
        file = file_of(self._results, self._suite, entry)
        try:
            status = file.stat()
            first_reading = file not in self._positions
            position, inode = self._positions.setdefault(file, (0, status.st_ino))
            if (status.st_size, status.st_ino) == (position, inode):
                return []
            content = read_lines(file, position if status.st_ino == inode else 0)
        except FileNotFoundError:
            self._positions.setdefault(file, (0, -1))
            return []
        except OSError as error:
            raise TlbenchError(f"{file}: The file can't be read: {error.strerror}.") from error
        whole_bytes = content.rfind(b"\n") + 1
        line_hashes = self._line_hashes.setdefault(file, set())
        lines = content[:whole_bytes].split(b"\n")
        if status.st_ino != inode:
            position, lines = 0, [line for line in lines if hash(line) not in line_hashes]
        records = parse_lines(file, b"\n".join(lines))
        line_hashes.update(map(hash, lines))
        self._positions[file] = position + whole_bytes, status.st_ino
        if not first_reading:
            self._records_of_other_runs |= {(entry, record.identity): record for record in records}
        return records

    def append(self, record: Record) -> Record:
        """Append a record as `append` does, unless its case has one from another run; return the record that is on file.

        Raises:
            TlbenchError: the directory can't be written to.
        """
        file = file_of(self._results, self._suite, record.entry)
        with _write_errors(file), lock(file.parent):
            if (other := self.record_of_other_run(record.entry, record.identity)) is not None:
                return other
            _append_locked(self._results, file, record)
            self.read_new(record.entry)
        return record


@contextlib.contextmanager
def _write_errors(file: Path) -> Iterator[None]:
    """Turn an OSError inside the block into the error that a record can't be written to the file."""
    try:
        yield
    except OSError as error:
        raise TlbenchError(f"{file}: The record can't be written: {error.strerror}. Correct that and run again.") from error


def _append_locked(results: Path, file: Path, record: Record) -> None:
    """Write a record and its predictions; the folder is locked."""
    line = (to_line(record) + "\n").encode()
    if record.attached is not None and record.scores.predictions is not None:
        write_once(predictions_file(results, record.suite, record.scores.predictions), record.attached)
    for name, content in record.attached_facts.items():
        write_once(facts_file(results, record.suite, name), content)
    if record.model is not None and record.attached_model is not None:
        write_once(model_file(results, record.suite, record.model), record.attached_model)
    is_new = not file.exists()
    if not is_new and not _ends_with_newline(file):
        _set_aside(file)  # another process died while it wrote its line
    handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        end = os.fstat(handle).st_size
        try:
            written = os.write(handle, line)
            if written < len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # a short write to a file is a full disk
            os.fsync(handle)
        except OSError:
            os.ftruncate(handle, end)  # leave no part of the line behind
            raise
    finally:
        os.close(handle)
    if is_new:
        _sync(file.parent)


def prepare(results: Path, suite: str, warn: Warn = lambda text: None) -> None:
    """Create a suite's folder, check that it can be written to, and move broken last lines to a file beside.

    Args:
        results: the results directory.
        suite: the name of the suite.
        warn: called with a message for each broken line.

    Raises:
        TlbenchError: the directory can't be created or written to.
    """
    folder = results / suite
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with lock(folder):
            for file in suite_files(folder):
                _set_aside(file, warn)
            for leftover in (*folder.glob(".*.new"), *folder.glob("*/.*.new")):  # of a process that was killed
                leftover.unlink(missing_ok=True)
    except OSError as error:
        raise TlbenchError(f"results directory {folder}: {error.strerror}. Choose another with --results DIR.") from error


def lock(folder: Path) -> FileLock:
    """The lock of a suite's folder, to be held while a file in it is written."""
    return FileLock(folder / ".lock")


def _ends_with_newline(file: Path) -> bool:
    """Whether a file ends with a line end, or is empty."""
    return read_lines(file, max(file.stat().st_size - 1, 0)) in (b"", b"\n")


def _set_aside(file: Path, warn: Warn = lambda text: None) -> None:
    """Move last lines that are not whole (writes that were cut off) to `<file>.broken-<n>`, one file each.

    Raises:
        TlbenchError: there are more of them than writers leave, so that it is no results file; or it is no plain file.
    """
    whole = content = read_lines(file)
    lines = [line for line in content.rsplit(b"\n", MAX_TORN_LINES + 2)[1:] if line]
    if len(lines) > MAX_TORN_LINES and all(map(is_torn, lines)):
        raise TlbenchError(
            f"{file}: The last {len(lines)} lines are no records, nor writes that were cut off. Remove the file."
        )
    while (tail := whole.rstrip(b"\n").rpartition(b"\n")[2]) and is_torn(tail):
        whole = whole.rstrip(b"\n")[: -len(tail)]
        number = next(n for n in range(1, 1_000_000) if not file.with_name(f"{file.name}.broken-{n}").exists())
        broken = file.with_name(f"{file.name}.broken-{number}")
        broken.write_bytes(tail)
        warn(f"{file}: The last line is broken. It is moved to {broken.name}, and its case runs again.")
    if whole and not whole.endswith(b"\n"):
        whole += b"\n"
    if whole != content:
        replace(file, whole)


def write_once(file: Path, content: bytes) -> None:
    """Write a file that is named by its content, unless it exists."""
    if not file.is_file():
        file.parent.mkdir(exist_ok=True)
        replace(file, content)


def replace(file: Path, content: bytes) -> None:
    """Replace the content of a file in one atomic step."""
    new = file.with_name(f".{file.name}.new")
    try:
        with new.open("wb") as handle:
            handle.write(content)
            handle.flush()
            os.fsync(handle.fileno())
        new.replace(file)
    except BaseException:  # Ctrl-C too: no incomplete file is left behind
        new.unlink(missing_ok=True)
        raise
    _sync(file.parent)


def _sync(folder: Path) -> None:
    """Flush the names of a folder's files to the disk, where the system can open folders."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
