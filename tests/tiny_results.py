"""Results of the tiny suite, run for a test, and copies of them to change."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tiny_suite import SUITE, write_domains

from tlbench import api

THREE_SEEDS = SUITE.replace("seeds = [0]", "seeds = [0, 1, 2]").replace('list = ["a:b"]', 'list = ["a:b", "b:a"]')


def run_tiny_suite(folder: Path) -> Path:
    """The folder, with the tiny suite on two pairs and three seeds, its data and its results."""
    write_domains(folder)
    (folder / "tiny.toml").write_text(THREE_SEEDS)
    api.run(folder / "tiny.toml", results=folder / "results", device="cpu")
    return folder


def results_file_of(ran: Path, folder: Path) -> Path:
    """A copy of coral's results with a clean commit, and source_only's results beside it."""
    file = folder / "results" / "tiny" / "coral.jsonl"
    shutil.copytree(ran / "results" / "tiny", file.parent, ignore=lambda path, names: [n for n in names if n.endswith(".lock")])
    rewrite(file, lambda number, facts: facts["code"].update(commit="abc", dirty=False))
    return file


def rewrite(file: Path, change: Callable[[int, dict[str, Any]], object]) -> None:
    """Change the facts of every line of a results file; a line whose change returns False is left out."""
    lines = []
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines()):
        facts = json.loads(line)
        if change(number, facts) is not False:
            lines.append(json.dumps(facts))
    file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
