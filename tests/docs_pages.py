"""Pages whose commands run: files that a page shows are written, its commands run in a folder of their own, output compared.

`python tests/docs_pages.py docs/tutorials/my-csv.md` runs a page and writes the output of today into it.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
TUTORIALS = ROOT / "docs" / "tutorials"
BLOCK = re.compile(r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```$', re.MULTILINE | re.DOTALL)
DEPENDS = re.compile(r"\d|^-+$|^~+$")
VERDICTS = {"better", "worse", "n.s.", "equal", "ms", "s", "min", "h", "\N{PLUS-MINUS SIGN}", "same", "within", "noise", "*"}
"""Words of outputs that differ from machine to machine."""


@dataclass(frozen=True)
class Step:
    """A command of a page, and the output that the page shows below it."""

    command: list[str]
    output: re.Match[str] | None


def write_files(text: str, folder: Path) -> None:
    """Write the titled blocks of a page as files."""
    for block in BLOCK.finditer(text):
        if block[2]:
            (folder / block[2]).write_text(block[3], encoding="utf-8")


def steps(text: str) -> Iterator[Step]:
    """The commands of a page in their order: blocks of sh and of Python without a title."""
    blocks = list(BLOCK.finditer(text))
    for number, block in enumerate(blocks):
        if block[1] not in {"sh", "python"} or block[2]:
            continue
        following = blocks[number + 1] if number + 1 < len(blocks) else None
        output = following if following is not None and following[1] == "text" else None
        yield Step(["bash", "-ec", block[3]] if block[1] == "sh" else [sys.executable, "-c", block[3]], output)


def run_step(step: Step, folder: Path) -> str:
    """The standard output of a command that must succeed; progress is on standard error."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "TLBENCH_CACHE": "off", "COLUMNS": "80", "OMP_NUM_THREADS": "1"}
    environment.pop("TLBENCH_DATA", None)
    process = subprocess.run(
        step.command, cwd=folder, env=environment, capture_output=True, text=True, timeout=500, check=False
    )
    assert process.returncode == 0, f"{step.command[-1]}\n{process.stdout}\n{process.stderr}"
    return process.stdout


def without_numbers(output: str) -> list[str]:
    """The words of each line in alphabetical order of the lines: numbers, verdicts and ranks depend on the machine."""
    lines = [[word for word in line.split() if not _depends_on_machine(word)] for line in output.splitlines()]
    return sorted(" ".join(words) for words in lines if words)


def _depends_on_machine(word: str) -> bool:
    return DEPENDS.search(word) is not None or word.strip(",") in VERDICTS


def rewrite(page: Path) -> None:
    """Run a page, and write the output of today into it."""
    text = page.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder:
        write_files(text, Path(folder))
        outputs = [(step.output, run_step(step, Path(folder))) for step in steps(text)]
    for block, output in reversed(outputs):
        if block is not None:
            text = f"{text[: block.start(3)]}{output.rstrip()}\n{text[block.end(3) :]}"
    page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    for name in sys.argv[1:]:
        rewrite(Path(name))
