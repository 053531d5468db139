"""Several results directories -> one: lines are carried over byte by byte, and nothing is overwritten or left out.

Two differing records of one case are both kept, and given out as a `Conflict`; the tables count the one finished last.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tlbench import records
from tlbench.errors import TlbenchError
from tlbench.terms import Record


@dataclass(frozen=True)
class Conflict:
    """Two records of one case that do not say the same, and where each is from."""

    first: Record
    second: Record
    origins: tuple[Path, Path]

    def __str__(self) -> str:
        where = f"{self.first.suite} v{self.first.suite_version} {self.first.entry} {self.first.pair} seed {self.first.seed}"
        return f"{where}: {differences(self.first, self.second)} ({self.origins[0]}, {self.origins[1]})"


@dataclass(frozen=True)
class MergeResult:
    """What a merge did: lines written, lines that were there already, and the conflicts."""

    written: int
    known: int
    conflicts: tuple[Conflict, ...]


def merge(folders: Sequence[Path], out: Path) -> MergeResult:
    """Write all records of some results directories to `out`, after those that are there already.

    A record that is there already, as the same line or with the same content, is not written again. Predictions files come
    along. All sources are read before the first line is written.

    Raises:
        TlbenchError: no such directory, a line that is no record, predictions that are not what their name says, or a
            directory that can't be written to; all that is wrong in the sources in one text.
    """
    wrong = [f"no results directory {folder}" for folder in folders if not folder.is_dir()]
    incoming: list[tuple[Path, list[tuple[str, Record]]]] = []
    for file in (file for folder in folders if folder.is_dir() for file in records.files(folder)):
        try:
            held = _lines(file)
            wrong += _misplaced(file, held)
            incoming.append((file, held))
        except TlbenchError as error:
            wrong.append(str(error))
    if wrong:
        raise TlbenchError("\n".join(wrong))
    written = known = 0
    conflicts: list[Conflict] = []
    for file, held in incoming:
        suite, row = file.parent.name, file.stem
        to = records.file_of(out, suite, row)
        if to.absolute() == file.absolute():
            continue
        records.prepare(out, suite)
        with records.lock(to.parent):
            seen: set[str] = set()
            there: dict[tuple[object, ...], list[tuple[Record, Path]]] = defaultdict(list)
            for _, record in _lines(to) if to.is_file() else ():
                seen.add(records.to_line(record))
                there[_case(record)].append((record, to))
            fresh: list[str] = []
            for line, record in held:
                if (content := records.to_line(record)) in seen:
                    known += 1
                    continue
                alike = there[_case(record)]
                conflicts += [Conflict(other, record, (origin, file)) for other, origin in alike if _differ(other, record)]
                seen.add(content)
                alike.append((record, file))
                fresh.append(line)
                _carry(file.parent.parent, out, record)
            _append(to, fresh)
            written += len(fresh)
    return MergeResult(written, known, tuple(conflicts))


def conflicts(records: Iterable[Record]) -> list[tuple[Record, Record]]:
    """Each record that differs from an earlier one of its case, with that one: the first such."""
    of_case: dict[tuple[object, ...], list[Record]] = defaultdict(list)
    pairs = []
    for record in records:
        alike = of_case[_case(record)]
        pairs += [(other, record) for other in alike if _differ(other, record)][:1]
        alike.append(record)
    return pairs


def differences(first: Record, second: Record) -> str:
    """In what two records of one case differ, in words; scores first."""
    said = []
    if first.status != second.status:
        said.append(f"{first.status} and {second.status}")
    one, two = first.scores.model_dump(exclude={"trace"}), second.scores.model_dump(exclude={"trace"})
    said += [f"{key} {_short(one[key])} and {_short(two[key])}" for key in one if one[key] != two[key]]
    if first.identity != second.identity:
        said.append("asked in another way: data, options, protocol or method version")
    machines = first.machine.model_dump(), second.machine.model_dump()
    said += [f"{key} {machines[0][key]} and {machines[1][key]}" for key in machines[0] if machines[0][key] != machines[1][key]]
    if first.code != second.code:
        said.append(f"commit {_short(first.code.commit)} and {_short(second.code.commit)}")
    return "; ".join(said) or f"run at {first.started} and {second.started}, with the same scores"


def _differ(first: Record, second: Record) -> bool:
    """Other findings of one case. The same findings run twice, or on two machines, are no conflict."""
    if "failed" in (first.status, second.status):
        return False  # a failed case is tried again: the later record stands for it
    found = [(r.status, r.identity, r.scores.model_dump(exclude={"trace"})) for r in (first, second)]
    return found[0] != found[1]


def _case(record: Record) -> tuple[object, ...]:
    return record.suite, record.suite_version, record.entry, record.pair, record.seed


def _lines(file: Path) -> list[tuple[str, Record]]:
    """Every line of a file, as it stands and as a record."""
    found = records.read(file)  # says all that is wrong with it
    lines = [line for line in file.read_text(encoding="utf-8").split("\n") if line.strip()]
    return list(zip(lines, found, strict=True))


def _misplaced(file: Path, held: list[tuple[str, Record]]) -> Iterator[str]:
    strange = dict.fromkeys((r.suite, r.entry) for _, r in held if (r.suite, r.entry) != (file.parent.name, file.stem))
    yield from (
        f"{file}: holds records of row {row!r} of suite {suite!r}, which belong in another file" for suite, row in strange
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
        raise TlbenchError(f"{file}: can't be written: {error.strerror}; choose another --out DIR") from error


def _carry(source: Path, out: Path, record: Record) -> None:
    """The predictions of a record, where its directory has them; their name follows from their content."""
    if (name := record.scores.predictions) is None or records.predictions(source, record) is None:
        return
    to = records.predictions_file(out, record.suite, name)
    if to.is_file():
        return
    try:
        to.parent.mkdir(exist_ok=True)
        part = to.with_name(f".{to.name}.{os.getpid()}.part")
        part.write_bytes(records.predictions_file(source, record.suite, name).read_bytes())
        part.replace(to)
    except OSError as error:
        raise TlbenchError(f"{to}: can't be written: {error.strerror}; choose another --out DIR") from error


def _short(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    text = str(value)
    return text if len(text) <= 40 else f"{text[:39]}…"
