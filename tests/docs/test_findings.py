"""docs/findings.md quotes lines of commands: each is run on results/, and prints the lines as they stand on the page.

`python tests/docs/test_findings.py DATA` writes the lines of today into the page; sentences stay, and the tests say which of
them have numbers that the lines lack.
"""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

import pytest
from command_line import tlbench

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "findings.md"
QUOTED = re.compile(r"^```sh\n(tlbench [^\n]+)\n```\n\n```text\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NUMBER = re.compile(r"\d+(?:\.\d+)?(?: ± \d+(?:\.\d+)?)?")
FINDINGS = 12


def quotes() -> list[tuple[str, list[str]]]:
    """The commands of the page, each with the lines that it prints."""
    return [(command, lines.splitlines()) for command, lines in QUOTED.findall(PAGE.read_text(encoding="utf-8"))]


def printed(command: str, data: Path | None) -> list[str]:
    """The lines that a command prints where its output is no terminal."""
    words = [str(data) if word == "DIR" else word for word in shlex.split(command)[1:]]
    done = tlbench(*words, cwd=ROOT, COLUMNS="")
    assert done.returncode == 0, f"{command}\n{done.stderr}"
    return done.stdout.splitlines()


def missing_lines(lines: list[str], output: list[str]) -> list[str]:
    """The quoted lines that the output lacks, whatever the widths of columns."""
    words = {" ".join(line.split()) for line in output}
    return [line for line in lines if " ".join(line.split()) not in words]


def check(commands: dict[str, list[str]], data: Path | None) -> None:
    if not (ROOT / "results").is_dir():
        pytest.skip("no results/: not a checkout")
    stale = {command: missing_lines(lines, printed(command, data)) for command, lines in commands.items()}
    assert not any(stale.values()), f"stale: run `python tests/docs/test_findings.py DATA`, then read the sentences\n{stale}"


def by_command(*, with_data: bool) -> dict[str, list[str]]:
    """The lines of all quotes of a command together."""
    lines: dict[str, list[str]] = {}
    for command, quoted in quotes():
        if ("--data" in command) == with_data:
            lines.setdefault(command, []).extend(quoted)
    return lines


@pytest.mark.slow
def test_the_commands_print_the_lines_that_the_page_quotes():
    check(by_command(with_data=False), None)


@pytest.mark.slow
@pytest.mark.data
def test_the_commands_that_read_data_print_the_lines_that_the_page_quotes(data_root):
    check(by_command(with_data=True), data_root)


def test_the_numbers_of_each_finding_are_in_the_lines_below_it():
    sections = re.split(r"^## ", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    assert [section.split(".")[0] for section in sections] == [str(number) for number in range(1, FINDINGS + 1)]
    for section in sections:
        bold = re.search(r"\n\n\*\*(.+?)\*\*", section, flags=re.DOTALL)
        quoted = "\n".join(lines for _, lines in QUOTED.findall(section))
        assert bold and quoted and "\nLimit: " in section, section[:40]
        numbers = NUMBER.findall(" ".join(bold[1].split()))
        assert any(" ± " in number or " to " in bold[1] for number in numbers), f"{section[:40]}: no interval"
        absent = [number for number in numbers if re.search(rf"(?<![\d.]){re.escape(number)}(?![\d.])", quoted) is None]
        assert not absent, f"{section[:40]}: {absent}"


def test_every_command_of_the_page_is_quoted_with_its_output():
    text = PAGE.read_text(encoding="utf-8")
    assert len(quotes()) == text.count("```sh\n") >= FINDINGS
    assert text.count("```") == 4 * len(quotes())


def test_a_line_that_is_not_printed_is_seen():
    assert missing_lines(["a  +1.0", "b  +2.0"], ["a     +1.0", "b     +2.1"]) == ["b  +2.0"]


def rewrite(data: Path) -> None:
    """Write into the page, for each quoted line that is stale, the printed line that starts with the same name."""

    def of_today(match: re.Match[str]) -> str:
        output, lines = printed(match[1], data), match[2].splitlines()
        for number, line in enumerate(lines):
            same = [other for other in output if other.split("  ")[0] == line.split("  ")[0]]
            if line not in output and len(same) == 1:
                lines[number] = same[0]
            elif line not in output:
                sys.stderr.write(f"{match[1]}: {len(same)} lines could stand for {line!r}\n")
        return match[0].replace(match[2], "".join(f"{line}\n" for line in lines))

    PAGE.write_text(QUOTED.sub(of_today, PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    rewrite(Path(sys.argv[1]))
