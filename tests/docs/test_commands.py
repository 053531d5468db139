"""Every command of the README and of the guides runs on a tiny suite, or says in a comment of the page why it does not.

A block that is not run follows a line such as `<!-- not run: needs a GPU -->`. Tutorials are run by test_tutorials.py,
and docs/findings.md by test_findings.py.
"""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest
from command_line import tlbench
from tiny_suite import SUITE, write_domains

ROOT = Path(__file__).parents[2]
OF_RESULTS = "findings.md"
"""The page whose commands are run on results/, by test_findings.py."""
PAGES = [
    ROOT / "README.md",
    *(page for page in sorted((ROOT / "docs").glob("*.md")) if page.name != OF_RESULTS),
    *sorted((ROOT / "docs" / "api").glob("*.md")),
]
NOT_RUN = re.compile(r"<!-- not run: [a-z][^>]+ -->")
PROGRAMS = {"tlbench", "python", "pip", "make", "git", "ray", "srun", "sbatch"}
WORDS = (
    ("results/SUITE/ENTRY.jsonl", "results/tiny/coral.jsonl --suite tiny.toml"),  # the suite does not ship
    ("SUITE.toml", "mine.toml"),
    ("mine/SUITE", "mine/tiny"),
    ("quickstart", "tiny.toml"),
    ("SUITE", "tiny.toml"),
)
"""Names of a page, and those of the tiny suite that stand for them."""
UNCOMMITTED = "uncommitted code"
"""The one reason for which `check` may refuse the results of this checkout."""


def commands(text: str, *, exempt: bool = False) -> list[str]:
    """The commands of a page in their order, without comments: those that are run, or those that are exempt."""
    commands, fence, in_block, is_exempt, last = [], None, False, False, ""
    for line in text.splitlines():
        if line.startswith("```"):
            fence, is_exempt = (line.strip("`") if fence is None else None), bool(NOT_RUN.fullmatch(last))
        elif fence in {"", "sh", "bash"} or (fence is None and line.startswith("    ")):
            if fence is None and not in_block:
                is_exempt = bool(NOT_RUN.fullmatch(last))
            command = re.sub(r"\s+# .*", "", line.strip().removeprefix("$ "))
            if command.split(" ")[0] in PROGRAMS and is_exempt == exempt:
                commands.append(command)
        in_block = line.startswith("    ") and fence is None
        last = line if line.strip() else last
    return commands


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A folder with the tiny suite, a method file, and results of both."""
    folder = tmp_path_factory.mktemp("commands")
    write_domains(folder)
    text = SUITE.replace("seeds = [0]", "seeds = [0, 1, 2]").replace("[train]", "[selection]\ncheckpoints = 2\n[train]")
    (folder / "tiny.toml").write_text(text, encoding="utf-8")
    (folder / "mine.toml").write_text(f"{text}\n[methods.my_method]\n", encoding="utf-8")
    for words in (("new", "method", "my_method"), ("run", "tiny.toml")):
        done = tlbench(*words, cwd=folder)
        assert done.returncode == 0, done.stderr
    for copy in ("before", "after"):
        shutil.copytree(folder / "results", folder / copy)
    bench = next((ROOT / "results" / "bench").glob("bench-*.json"))
    for copy in ("old.json", "new.json"):
        shutil.copy(bench, folder / copy)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(
    "page", [page for page in PAGES if commands(page.read_text(encoding="utf-8"))], ids=lambda page: page.stem
)
def test_the_commands_of_a_page_run(page, folder):
    for line in commands(page.read_text(encoding="utf-8")):
        for name, own in WORDS:
            line = line.replace(name, own)
        program, *words = shlex.split(line)
        assert program == "tlbench", f"{line}: a block that is not run says why, as in <!-- not run: needs a GPU -->"
        done = tlbench(*words, cwd=folder)
        refused = words[0] == "check" and UNCOMMITTED in done.stderr and "\n  " not in done.stderr.partition(UNCOMMITTED)[2]
        assert done.returncode == 0 or refused, f"{line}\n{done.stdout}\n{done.stderr}"


def test_blocks_are_read_and_exempt_ones_are_told_apart():
    indented = "x\n\n    tlbench list suites   # all\n\n<!-- not run: needs a GPU -->\n\n    tlbench bench\n    make x\n\n"
    page = indented + "<!-- not run: is slow -->\n```\ntlbench run B\n```\n\n```\n$ tlbench run A\nout\n```\n"
    assert commands(page) == ["tlbench list suites", "tlbench run A"]
    assert commands(page, exempt=True) == ["tlbench bench", "make x", "tlbench run B"]
    texts = [page.read_text(encoding="utf-8") for page in PAGES]
    assert sum(len(commands(text)) for text in texts) >= 20 and sum(bool(commands(text, exempt=True)) for text in texts) >= 5
