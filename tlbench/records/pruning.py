"""Removing records, and the files and members of packs that no record names any more."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from tlbench.errors import TlbenchError
from tlbench.records.json_lines import parse_lines, read_lines
from tlbench.records.packing import retain_members
from tlbench.records.packs import KINDS, packs_in
from tlbench.records.reading import suite_files
from tlbench.records.writing import lock, replace
from tlbench.terms import Record


def prune_records(
    results: Path, suite: str, select: Callable[[Sequence[Record]], Collection[int]], *, only_count: bool = False
) -> int:
    """Remove records from the files of a suite, and the predictions, facts and models that no record names any more.

    Args:
        results: the results directory.
        suite: the name of the suite.
        select: given the records of one file, returns the indices of those to remove.
        only_count: remove nothing.

    Returns:
        The number of records that are selected.

    Raises:
        TlbenchError: a file can't be read or written, or a pack is damaged.
    """
    folder, removed_count, named = results / suite, 0, set()
    try:
        with lock(folder):
            for file in suite_files(folder):
                lines = [line for line in read_lines(file).split(b"\n") if line.strip()]
                records = parse_lines(file, b"\n".join(lines))
                removed = set(select(records))
                if removed and not only_count:
                    replace(file, b"".join(line + b"\n" for index, line in enumerate(lines) if index not in removed))
                removed_count += len(removed)
                named |= {name for index, record in enumerate(records) if index not in removed for name in _named(record)}
            if not only_count:
                _remove_unnamed(folder, named)
    except OSError as error:
        raise TlbenchError(f"{folder}: {error.strerror}. Nothing more was removed.") from error
    return removed_count


def _remove_unnamed(folder: Path, named: Collection[str | None]) -> None:
    """Remove the files beside records, and the members of packs, that are not named."""
    for file in (*folder.glob("predictions/*.npz"), *folder.glob("facts/*.npz"), *folder.glob("models/*.pt")):
        if file.stem not in named:
            file.unlink()
    for kind in KINDS:
        for pack in packs_in(folder / kind):
            retain_members(pack, {f"{name}.npz" for name in named})


def _named(record: Record) -> tuple[str | None, ...]:
    """The names of the files that a record states."""
    return record.scores.predictions, record.scores.label_free_facts, record.scores.sealed_facts, record.model
