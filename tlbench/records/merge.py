"""Merging results directories: lines are copied byte by byte, and nothing is overwritten or left out.

Two different records of one case are both kept, and are returned as a `Conflict`; tables count the one that finished last,
unless it is dated in the future.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tlbench import records
from tlbench.errors import TlbenchError
from tlbench.records.candidates import MAX_FACTS_BYTES, facts_file
from tlbench.records.json_lines import parse_lines
from tlbench.records.models import MAX_FILE_BYTES as MAX_MODEL_BYTES
from tlbench.records.models import model_file
from tlbench.records.packing import pack_errors
from tlbench.records.packs import is_stored, read_content
from tlbench.records.predictions import MAX_FILE_BYTES
from tlbench.records.reading import content_of
from tlbench.suite.hashing import hashed_keys
from tlbench.terms import SCHEMA, Record

MAX_VALUE_CHARACTERS = 40
"""A value in a text about differences is cut to this length."""


@dataclass(frozen=True)
class Conflict:
    """Two records of one case whose results differ, and the files that they are from."""

    first: Record
    second: Record
    origins: tuple[Path, Path]

    def __str__(self) -> str:
        case = f"{self.first.suite} v{self.first.suite_version} {self.first.entry} {self.first.pair} seed {self.first.seed}"
        return f"{case}: {differences(self.first, self.second)} ({self.origins[0]}, {self.origins[1]})"


@dataclass(frozen=True)
class MergeResult:
    """The outcome of a merge: how many lines were written, how many were there already, and the conflicts."""

    written: int
    already_present: int
    conflicts: tuple[Conflict, ...]


def merge(folders: Sequence[Path], out: Path) -> MergeResult:
    """Append all records of some results directories to those in `out`.

    A record that is there already, as the same line or with the same content, is not written again; a line of an earlier
    schema has the same content as today's line of the same record. Predictions files and members of packs are copied too, as
    loose files. All sources are read before the first line is written.

    Raises:
        TlbenchError: a directory is missing, lines are no records, a file holds records of another method entry, a pack is
            damaged, or a directory can't be written to; all errors of the sources are in one message.
    """
    errors = [f"There is no results directory {folder}." for folder in folders if not folder.is_dir()]
    incoming: list[tuple[Path, list[tuple[str, Record]]]] = []
    for file in (file for folder in folders if folder.is_dir() for file in records.files(folder)):
        try:
            lines = _lines(file)
            errors += _misplaced(file, lines)
            errors += pack_errors(file.parent.parent, file.parent.name, file.stem)
            incoming.append((file, lines))
        except TlbenchError as error:
            errors.append(str(error))
    if errors:
        raise TlbenchError("\n".join(errors))
    written = already_present = 0
    conflicts: list[Conflict] = []
    for file, lines in incoming:
        suite = file.parent.name
        destination = records.file_of(out, suite, file.stem)
        if destination.absolute() == file.absolute():
            continue
        records.prepare(out, suite)
        with records.lock(destination.parent):
            present = _Present(destination)
            new_lines: list[str] = []
            for line, record in lines:
                if present.has(record):
                    already_present += 1
                    continue
                conflicts += present.add(record, file)
                new_lines.append(line)
                _copy_predictions(file.parent.parent, out, record)
            _append(destination, new_lines)
            written += len(new_lines)
    return MergeResult(written, already_present, tuple(conflicts))


class _Present:
    """The records of a results file, by content and by case."""

    def __init__(self, file: Path) -> None:
        self._contents: set[str] = set()
        self._by_case: dict[tuple[object, ...], list[tuple[Record, Path]]] = defaultdict(list)
        for _, record in _lines(file) if file.is_file() else ():
            self._contents.add(_content(record))
            self._by_case[_case(record)].append((record, file))

    def has(self, record: Record) -> bool:
        """Whether a record of the same content is there."""
        return _content(record) in self._contents

    def add(self, record: Record, origin: Path) -> list[Conflict]:
        """Add a record that came from a file; its conflicts with the records of the same case."""
        others = self._by_case[_case(record)]
        conflicts = [Conflict(other, record, (where, origin)) for other, where in others if _differ(other, record)]
        self._contents.add(_content(record))
        others.append((record, origin))
        return conflicts


def _content(record: Record) -> str:
    """What a record states, as today's line of it, whatever the schema of the line that it was read from.

    Options are compared under the names that identities are hashed with, for some have been renamed since.
    """
    options = dict(sorted(hashed_keys(record.options).items()))
    return records.to_line(record.model_copy(update={"schema_": SCHEMA, "options": options}))


def conflicts(records: Iterable[Record]) -> list[tuple[Record, Record]]:
    """Each record whose results differ from an earlier one of its case, behind the first such record."""
    by_case: dict[tuple[object, ...], list[Record]] = defaultdict(list)
    pairs = []
    for record in records:
        others = by_case[_case(record)]
        pairs += [(other, record) for other in others if _differ(other, record)][:1]
        others.append(record)
    return pairs


def differences(first: Record, second: Record) -> str:
    """The facts in which two records of one case differ, as text; scores come first."""
    texts = []
    if first.status != second.status:
        texts.append(f"{first.status} and {second.status}")
    one, two = first.scores.model_dump(exclude={"trace"}), second.scores.model_dump(exclude={"trace"})
    texts += [f"{key} {_short(one[key])} and {_short(two[key])}" for key in one if one[key] != two[key]]
    if first.identity != second.identity:
        texts.append("different identities: data, options, protocol or method version differ")
    one, two = first.machine.model_dump(), second.machine.model_dump()
    texts += [f"{key} {one[key]} and {two[key]}" for key in one if one[key] != two[key]]
    if first.code != second.code:
        texts.append(f"commit {_short(first.code.commit)} and {_short(second.code.commit)}")
    return "; ".join(texts) or f"run at {first.started} and {second.started}, with the same scores"


def _differ(first: Record, second: Record) -> bool:
    """Whether two records of one case have different results. The same results from two runs or machines do not differ."""
    if "failed" in (first.status, second.status):
        return False  # a failed case is tried again: the later record stands for it
    one, two = ((r.status, r.identity, r.scores.model_dump(exclude={"trace"})) for r in (first, second))
    return one != two


def _case(record: Record) -> tuple[object, ...]:
    return record.suite, record.suite_version, record.entry, record.pair, record.seed


def _lines(file: Path) -> list[tuple[str, Record]]:
    """Every line of a file, unchanged and as a record."""
    content = content_of(file)
    parsed = parse_lines(file, content)  # its error names all lines that are no records
    lines = [line for line in content.decode().split("\n") if line.strip()]
    return list(zip(lines, parsed, strict=True))


def _misplaced(file: Path, lines: list[tuple[str, Record]]) -> Iterator[str]:
    expected = file.parent.name, file.stem
    others = dict.fromkeys((record.suite, record.entry) for _, record in lines)
    yield from (
        f"{file}: The file holds records of method entry {entry!r} of suite {suite!r}, which belong in another file."
        for suite, entry in others
        if (suite, entry) != expected
    )


def _append(file: Path, lines: list[str]) -> None:
    if not lines:
        return
    try:
        with file.open("ab") as handle:
            handle.write("".join(f"{line}\n" for line in lines).encode())
            handle.flush()
            os.fsync(handle.fileno())
    except OSError as error:
        raise TlbenchError(f"{file}: The file can't be written: {error.strerror}. Choose another --out DIR.") from error


def _copy_predictions(source: Path, out: Path, record: Record) -> None:
    """Copy the files that a record names, where the source has them, loose or in packs; they are named by their content."""
    if (name := record.scores.predictions) is not None and records.has_predictions(source, record):
        file = records.predictions_file(source, record.suite, name)
        _copy(file, records.predictions_file(out, record.suite, name), MAX_FILE_BYTES)
    for name in (record.scores.label_free_facts, record.scores.sealed_facts):
        if name is not None and is_stored(file := facts_file(source, record.suite, name)):
            _copy(file, facts_file(out, record.suite, name), MAX_FACTS_BYTES)
    if record.model is not None and (file := model_file(source, record.suite, record.model)).is_file():
        _copy(file, model_file(out, record.suite, record.model), MAX_MODEL_BYTES)


def _copy(source: Path, file: Path, limit_bytes: int) -> None:
    """Copy a file that is named by its content, unless it is there.

    Raises:
        TlbenchError: it can't be read or written.
    """
    if is_stored(file):
        return
    _, content = read_content(source, limit_bytes)
    try:
        file.parent.mkdir(exist_ok=True)
        incomplete = file.with_name(f".{file.name}.{os.getpid()}.part")
        incomplete.write_bytes(content)
        incomplete.replace(file)
    except OSError as error:
        raise TlbenchError(f"{file}: The file can't be written: {error.strerror}. Choose another --out DIR.") from error


def _short(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    text = str(value)
    return text if len(text) <= MAX_VALUE_CHARACTERS else f"{text[: MAX_VALUE_CHARACTERS - 1]}…"
