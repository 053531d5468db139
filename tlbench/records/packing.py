"""Packing the predictions and facts of a suite, one pack a method entry, and unpacking them.

Runs write loose files; packing folds them in. A loose file is removed when all packs that are to have it are on the disk: a
stop at any moment loses nothing, and packing again goes on.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from filelock import Timeout

from tlbench.errors import TlbenchError
from tlbench.records.candidates import MAX_FACTS_BYTES, are_facts
from tlbench.records.packs import KINDS, RESTORE, members, pack_file, packs_in, read_content, read_member, zip_of
from tlbench.records.predictions import MAX_FILE_BYTES, are_predictions
from tlbench.records.reading import read, suite_files
from tlbench.records.writing import lock, replace
from tlbench.terms import Record

LOCK_SECONDS = 10.0
"""A run holds the lock of a suite for as long as it writes one record."""


@dataclass(frozen=True)
class PackResult:
    """The outcome of packing a suite: loose files that were packed, packs that have them, and files that stay loose."""

    files: int
    packs: int
    damaged: tuple[Path, ...]
    """Files whose content is another than their name states."""
    unnamed: int
    """Files that no record names."""


def pack(results: Path, suite: str) -> PackResult:
    """Fold the loose files of predictions and facts of a suite into a pack for each method entry.

    A file that two entries name is in the packs of both. Packs of the same files have the same bytes.

    Raises:
        TlbenchError: a run writes to the suite at this moment, a results file or a pack is damaged, or a file can't be written.
    """
    folder = results / suite
    with _locked(folder):
        on_file = {file.stem: read(file) for file in suite_files(folder)}
        outcomes = [_pack_folder(results, suite, kind, on_file) for kind in KINDS]
    return PackResult(
        sum(outcome.files for outcome in outcomes),
        sum(outcome.packs for outcome in outcomes),
        tuple(file for outcome in outcomes for file in outcome.damaged),
        sum(outcome.unnamed for outcome in outcomes),
    )


def unpack(results: Path, suite: str) -> int:
    """Write the members of the packs of a suite as loose files, and remove the packs; the number of members.

    Raises:
        TlbenchError: a run writes to the suite at this moment, a pack is damaged, or a file can't be written.
    """
    folder, count = results / suite, 0
    with _locked(folder):
        for kind in KINDS:
            for file in packs_in(folder / kind):
                contents = _whole_members(file, ())
                for name, content in contents.items():
                    if _loose(file.with_name(name)) is None:
                        replace(file.with_name(name), content)
                file.unlink()
                count += len(contents)
    return count


def pack_errors(results: Path, suite: str, entry: str) -> Iterator[str]:
    """A sentence for each pack of a method entry that is damaged, or has a member of another content than its name states."""
    for kind in KINDS:
        try:
            _whole_members(pack_file(results, suite, kind, entry), ())
        except FileNotFoundError:
            continue
        except TlbenchError as error:
            yield str(error)


def retain_members(file: Path, names: Collection[str]) -> None:
    """Remove the members of a pack that are not named; the pack itself when none is left.

    Raises:
        TlbenchError: the pack is damaged.
    """
    present = members(file)
    remaining = [name for name in present if name in names]
    if not remaining:
        file.unlink()
    elif len(remaining) < len(present):
        replace(file, zip_of({name: read_member(file, name, _limit_bytes(file)) for name in remaining}))


def _pack_folder(results: Path, suite: str, kind: str, on_file: dict[str, list[Record]]) -> PackResult:
    """Fold the loose files of one kind into the packs of the entries that name them."""
    folder = results / suite / kind
    loose = {file.name for file in folder.glob("*.npz") if not file.name.startswith(".")}
    packed, damaged, packs = set[str](), set[str](), 0
    for entry, of_entry in on_file.items():
        names = {f"{name}.npz" for record in of_entry for name in _named(record, kind)}
        file = pack_file(results, suite, kind, entry)
        if names & loose or names - _names_in(file):
            present = _add_members(file, names)
            packs += bool(names & loose & present)
            packed |= names & loose
            damaged |= names & loose - present
    packed -= damaged
    for name in sorted(packed):
        (folder / name).unlink()
    return PackResult(len(packed), packs, tuple(folder / name for name in sorted(damaged)), len(loose - packed - damaged))


def _names_in(file: Path) -> set[str]:
    """The names of the members of a pack; none where there is no pack.

    Raises:
        TlbenchError: the pack is damaged.
    """
    try:
        return {*members(file)}
    except FileNotFoundError:
        return set()


def _add_members(file: Path, names: set[str]) -> set[str]:
    """Add files that are loose or in other packs to a pack; the names of all that it has then. Damaged files are left out.

    Raises:
        TlbenchError: the pack is damaged, and the files do not mend it.
    """
    try:
        present = _whole_members(file, names)
    except FileNotFoundError:
        present = {}
    added = {name: content for name in sorted(names - {*present}) if (content := _stored(file.with_name(name))) is not None}
    if added:
        replace(file, zip_of({**present, **added}))
    return {*present, *added}


def _whole_members(file: Path, replaceable: Collection[str]) -> dict[str, bytes]:
    """The members of a pack, by name.

    Args:
        file: the pack.
        replaceable: members that are left out where they are damaged, for there is a whole loose file of the name.

    Raises:
        FileNotFoundError: there is no such pack.
        TlbenchError: it is damaged.
    """
    contents = {}
    for name in members(file):
        content = read_member(file, name, _limit_bytes(file))
        if _is_whole(file.with_name(name), content):
            contents[name] = content
        elif name not in replaceable or _loose(file.with_name(name)) is None:
            raise TlbenchError(f"{file}: The member {name} has another content than its name states. {RESTORE}")
    return contents


def _loose(file: Path) -> bytes | None:
    """The bytes of a loose file; None where there is none, or its content is another than its name states."""
    return _stored(file) if file.is_file() else None


def _stored(file: Path) -> bytes | None:
    """The bytes of a file that is loose or in a pack; None where it is missing, damaged or too large."""
    try:
        _, content = read_content(file, _limit_bytes(file))
    except (FileNotFoundError, TlbenchError):
        return None
    return content if _is_whole(file, content) else None


def _is_whole(file: Path, content: bytes) -> bool:
    """Whether bytes are those that the name of a file of predictions or facts states."""
    return (are_facts if file.parent.name == "facts" else are_predictions)(content, file.stem)


def _limit_bytes(file: Path) -> int:
    """The most bytes of a file of predictions or facts."""
    return MAX_FACTS_BYTES if file.parent.name == "facts" else MAX_FILE_BYTES


def _named(record: Record, kind: str) -> list[str]:
    """The names of the files of a kind that a record states."""
    scores = record.scores
    names = (scores.label_free_facts, scores.sealed_facts) if kind == "facts" else (scores.predictions,)
    return [name for name in names if name is not None]


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """The lock of a suite's folder, for the time that packs are written.

    Raises:
        TlbenchError: another process keeps it, or a file can't be written.
    """
    try:
        with lock(folder).acquire(timeout=LOCK_SECONDS):
            yield
    except Timeout as error:
        raise TlbenchError(f"{folder}: Another process writes to this suite. Pack it when that has ended.") from error
    except OSError as error:
        raise TlbenchError(f"{folder}: {error.strerror}. No file was lost; correct that and pack again.") from error
