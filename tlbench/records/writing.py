"""Writing records so that none is lost, doubled or half there, whatever happens to whoever writes."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path

from filelock import FileLock

from tlbench.errors import TlbenchError
from tlbench.records.json_lines import from_line, parse_lines, to_line
from tlbench.records.reading import file_of, predictions_file
from tlbench.terms import Record

Say = Callable[[str], None]


def append(results: Path, record: Record) -> None:
    """Write a record at the end of its file; it is on the disk when this returns, its predictions before it.

    Raises:
        TlbenchError: the directory can't be written to.
    """
    file = file_of(results, record.suite, record.entry)
    with _said(file), lock(file.parent):
        _write(results, file, record)


class ResultsLog:
    """The results files of a suite as they grow, by whomever: no line is read twice, and no case gets a second record.

    What a run appends goes through its log: where another run on the same directory has written a record of the same case
    since the file was last read, that one stands.
    """

    def __init__(self, results: Path, suite: str) -> None:
        self._results, self._suite = results, suite
        self._ends: dict[Path, tuple[int, int]] = {}
        """How far each file is read, and which file that was: one that is replaced is read from its start."""
        self._seen: dict[Path, set[int]] = {}
        self._since: dict[tuple[str, str], Record] = {}

    def since(self, row: str, identity: str) -> Record | None:
        """The record of a case that another run has written since the row was first read, if there is one."""
        self.new(row)
        return self._since.get((row, identity))

    def new(self, row: str) -> list[Record]:
        """The records of a row that were not given out before, in whole lines; all that are on file at the first call.

        Raises:
            TlbenchError: naming each line that is no record, or why the file can't be read.
        """
        file = file_of(self._results, self._suite, row)
        try:
            facts = file.stat()
            first = file not in self._ends
            end, known = self._ends.get(file, (0, facts.st_ino))
            if (facts.st_size, facts.st_ino) == (end, known):
                return []
            with file.open("rb") as handle:
                handle.seek(end if facts.st_ino == known else 0)
                content = handle.read()
        except FileNotFoundError:
            self._ends.setdefault(file, (0, -1))
            return []
        except OSError as error:
            raise TlbenchError(f"{file}: cannot be read: {error.strerror}") from error
        whole = content.rfind(b"\n") + 1
        seen = self._seen.setdefault(file, set())
        lines = content[:whole].split(b"\n")
        if facts.st_ino != known:
            end, lines = 0, [line for line in lines if hash(line) not in seen]
        found = parse_lines(file, b"\n".join(lines))
        seen.update(map(hash, lines))
        self._ends[file] = end + whole, facts.st_ino
        if not first:
            self._since |= {(row, record.identity): record for record in found}
        return found

    def append(self, record: Record) -> Record:
        """Write a record as `append` does, unless its case has got one meanwhile; the one that stands in the file.

        Raises:
            TlbenchError: the directory can't be written to.
        """
        file = file_of(self._results, self._suite, record.entry)
        with _said(file), lock(file.parent):
            if (other := self.since(record.entry, record.identity)) is not None:
                return other
            _write(self._results, file, record)
            self.new(record.entry)
        return record


def prune_records(results: Path, suite: str, select: Callable[[Sequence[Record]], Collection[int]]) -> int:
    """Remove records from the files of a suite, and the predictions that no record names any more.

    Args:
        results: the results directory.
        suite: whose files.
        chosen: told the records of one file, it gives the positions of those that go.

    Returns:
        How many records went.

    Raises:
        TlbenchError: a file can't be read or written.
    """
    folder, gone, named = results / suite, 0, set()
    try:
        with lock(folder):
            for file in sorted(folder.glob("*.jsonl")):
                lines = [line for line in file.read_bytes().split(b"\n") if line.strip()]
                found = parse_lines(file, b"\n".join(lines))
                going = set(select(found))
                if going:
                    replace(file, b"".join(line + b"\n" for at, line in enumerate(lines) if at not in going))
                gone += len(going)
                named |= {record.scores.predictions for at, record in enumerate(found) if at not in going}
            for file in folder.glob("predictions/*.npz"):
                if file.stem not in named:
                    file.unlink()
    except OSError as error:
        raise TlbenchError(f"results directory {folder}: {error.strerror}; nothing more was removed") from error
    return gone


@contextlib.contextmanager
def _said(file: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise TlbenchError(f"{file}: the record can't be written: {error.strerror}; mend that and run again") from error


def _write(results: Path, file: Path, record: Record) -> None:
    """A record and its predictions, in a folder that is locked."""
    line = (to_line(record) + "\n").encode()
    if record.attached is not None and record.scores.predictions is not None:
        _keep(predictions_file(results, record.suite, record.scores.predictions), record.attached)
    new = not file.exists()
    if not new and not _ends_whole(file):
        _set_aside(file)  # another process died within its line
    handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        end = os.fstat(handle).st_size
        try:
            written = os.write(handle, line)
            if written < len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # a short write to a file is a full disk
            os.fsync(handle)
        except OSError:
            os.ftruncate(handle, end)  # never leave half a line behind
            raise
    finally:
        os.close(handle)
    if new:
        _sync(file.parent)


def prepare(results: Path, suite: str, warn: Say = lambda text: None) -> None:
    """Make a suite's folder ready: it must take files, and broken last lines are set aside in a file beside.

    Raises:
        TlbenchError: the directory can't be made or written to.
    """
    folder = results / suite
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with lock(folder):
            for file in sorted(folder.glob("*.jsonl")):
                _set_aside(file, warn)
            for left in (*folder.glob(".*.new"), *folder.glob("predictions/.*.new")):  # of a process that was killed
                left.unlink(missing_ok=True)
    except OSError as error:
        raise TlbenchError(f"results directory {folder}: {error.strerror}; choose another with --results DIR") from error


def lock(folder: Path) -> FileLock:
    """The lock of a suite's folder, held while a file in it is written."""
    return FileLock(folder / ".lock")


def _ends_whole(file: Path) -> bool:
    """Whether a file ends with a line end, or is empty."""
    with file.open("rb") as handle:
        if not handle.seek(0, os.SEEK_END):
            return True
        handle.seek(-1, os.SEEK_END)
        return handle.read(1) == b"\n"


def _set_aside(file: Path, say: Say = lambda text: None) -> None:
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
        replace(file, head + newline)
        say(f"{file}: the last line is broken; it is set aside in {aside.name}, and its case runs again")
        return
    if not content.endswith(b"\n"):
        replace(file, content + b"\n")


def _keep(file: Path, content: bytes) -> None:
    """Write a file whose name follows from its content, unless it is there."""
    if not file.is_file():
        file.parent.mkdir(exist_ok=True)
        replace(file, content)


def replace(file: Path, content: bytes) -> None:
    """Replace a file in one step."""
    new = file.with_name(f".{file.name}.new")
    try:
        with new.open("wb") as handle:
            handle.write(content)
            handle.flush()
            os.fsync(handle.fileno())
        new.replace(file)
    except BaseException:  # Ctrl-C too: nothing half made is left behind
        new.unlink(missing_ok=True)
        raise
    _sync(file.parent)


def _sync(folder: Path) -> None:
    """Bring the names of a folder's files to the disk, where a system lets folders be opened."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
