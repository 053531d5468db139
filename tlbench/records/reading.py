"""The files of a results directory: where records and predictions lie, and reading them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tlbench.errors import TlbenchError
from tlbench.records.json_lines import parse_lines, read_lines
from tlbench.terms import Record


def file_of(results: Path, suite: str, entry: str) -> Path:
    """The results file of a method entry."""
    return results / suite / f"{entry}.jsonl"


def read(file: Path) -> list[Record]:
    """All records of a results file.

    Raises:
        TlbenchError: the file can't be read, or lines of it are no records; the error names each.
    """
    return parse_lines(file, content_of(file))


def content_of(file: Path) -> bytes:
    """The bytes of a results file, which are UTF-8.

    Raises:
        TlbenchError: there is no such file, it is no plain file, or it can't be read.
    """
    try:
        content = read_lines(file)
        content.decode()
    except FileNotFoundError as error:
        raise TlbenchError(f"There is no results file {file}.") from error
    except UnicodeDecodeError as error:
        raise TlbenchError(f"{file}: The file can't be read: {error}") from error
    return content


def read_all(results: Path, suites: tuple[str, ...] = ()) -> list[Record]:
    """All records of a results directory; `suites` restricts them to some suites."""
    return list(iterate_records(results, suites))


def iterate_records(results: Path, suites: tuple[str, ...] = ()) -> Iterator[Record]:
    """The same, one file at a time, for readers that need not have all records in memory."""
    for file in files(results, suites):
        yield from read(file)


def files(results: Path, suites: tuple[str, ...] = ()) -> Iterator[Path]:
    """The results files of a directory, sorted by suite and method entry; `suites` restricts them to some suites."""
    for folder in suite_folders(results):
        if not suites or folder.name in suites:
            yield from suite_files(folder)


def suite_folders(results: Path) -> list[Path]:
    """The folders of suites in a results directory, sorted. Hidden ones are of other programs: `.ipynb_checkpoints`."""
    folders = sorted(results.iterdir()) if results.is_dir() else []
    return [folder for folder in folders if not folder.name.startswith(".") and folder.is_dir()]


def suite_files(folder: Path) -> list[Path]:
    """The results files in the folder of a suite, sorted. Hidden ones are of other programs: `._coral.jsonl`."""
    return [file for file in sorted(folder.glob("*.jsonl")) if not file.name.startswith(".")]
