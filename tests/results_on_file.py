"""What a results directory of the tiny suite holds."""

from __future__ import annotations

from pathlib import Path

from tlbench import records


def statuses(folder: Path) -> dict[str, list[str]]:
    """The statuses of the records on file, by method entry."""
    on_file = records.read_all(folder / "results")
    return {entry: [r.status for r in on_file if r.entry == entry] for entry in dict.fromkeys(r.entry for r in on_file)}


def contents(folder: Path) -> dict[str, bytes]:
    """The bytes of the results files, by name."""
    return {p.name: p.read_bytes() for p in sorted((folder / "results" / "tiny").glob("*.jsonl*"))}
