"""Results directories of strangers: no line and no file ends a command in a traceback, hangs it, or speaks to the terminal."""

from __future__ import annotations

import json
import re
import sys
import warnings
from pathlib import Path

import pytest
from hostile_lines import ESCAPES, ODD_FILES, ODD_PREDICTIONS, REFUSED_LINES, SHOWN_LINES
from tiny_suite import SUITE, record, write_domains
from typer.testing import CliRunner

from tlbench import cli, records
from tlbench.errors import TlbenchError
from tlbench.records import json_lines
from tlbench.terms import Scores

COMMANDS = {
    "check": ("check", "results/tiny/source_only.jsonl", "--suite", "tiny.toml"),
    "report": ("report", "--results", "results", "--table", "all"),
    "merge": ("merge", "results", "--out", "merged"),
    "site": ("site", "--results", "results", "--out", "site"),
    "status": ("status", "results", "--suite", "tiny.toml"),
    "run": ("run", "tiny.toml", "--plan", "--results", "results"),
}
WORST_LINES = (
    *("seed 5,000 digits", "seed 20 digits", "nested options", "nested without end", "no fingerprint of the target"),
    *("half a surrogate pair in why", "a line of 20 MB", "scores.target_accuracy -1e308", "NUL"),
)
"""Of the refused lines, those that ended commands in tracebacks, and one of each kind."""
MARKS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]")


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """The working folder, with the tiny suite and its data; its results have one entry, whose file the test changes."""
    write_domains(tmp_path)
    (tmp_path / "tiny.toml").write_text(SUITE)
    (tmp_path / "results" / "tiny").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(name: str) -> tuple[int, str]:
    """The exit code of a command and all that it prints; only errors with a sentence are caught, as in `main`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of plots, on names that no font has
        done = CliRunner().invoke(cli.app, [str(word) for word in COMMANDS[name]])
    if isinstance(done.exception, TlbenchError):
        cli.console.warn(f"tlbench: {done.exception}")
        return 2, done.output + str(done.exception)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.output


def facts(number: int = 0) -> dict[str, object]:
    scores = Scores(target_accuracy=0.5, macro_f1=0.5, per_class_accuracy={"0": 0.5}, scored_samples=2)
    cost = {"train_seconds": 0.5, "train_samples_per_second": 10.0, "peak_memory_bytes": 5, "steps": 5, "batch": 8}
    one = record(number, scores=scores, kind="deep", reads=("source",), baseline="source_only", cost=cost)
    return json.loads(records.to_line(one))


def write_lines(folder: Path, line: str) -> Path:
    file = folder / "results" / "tiny" / "source_only.jsonl"
    file.write_text("\n".join([json.dumps(facts(5)), line, json.dumps(facts(6))]) + "\n", encoding="utf-8")
    return file


@pytest.mark.parametrize("name", REFUSED_LINES)
def test_a_line_that_is_no_record_is_refused_in_a_sentence(folder, name):
    file = write_lines(folder, REFUSED_LINES[name](facts()))
    with pytest.raises(TlbenchError, match="line 2: "):
        records.read(file)


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("name", WORST_LINES)
def test_every_command_names_the_line_and_ends_with_2(folder, command, name):
    write_lines(folder, REFUSED_LINES[name](facts()))
    code, output = run(command)
    assert code == 2 and "line 2: " in output, output[-500:]


def assert_survived(folder: Path, command: str, line: str, capsys) -> None:
    """A command ends with an exit code, and prints nothing that a terminal obeys."""
    write_lines(folder, line)
    code, output = run(command)
    assert code in (0, 1, 2)
    shown = capsys.readouterr().err if code == 2 else output  # an error is printed by `main`, escaped as here
    assert not MARKS.search(shown), (MARKS.search(shown), shown[-300:])
    assert ESCAPES not in shown


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_survives_records_that_no_run_writes(folder, command, capsys):
    assert_survived(folder, command, "\n".join(line(facts()) for line in SHOWN_LINES.values()), capsys)


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("name", SHOWN_LINES)
def test_every_command_survives_each_of_them_alone(folder, command, name, capsys):
    assert_survived(folder, command, SHOWN_LINES[name](facts()), capsys)


@pytest.mark.skipif(sys.platform == "win32", reason="no FIFOs and devices")
@pytest.mark.parametrize("name", ODD_FILES)
def test_only_plain_files_are_results(folder, name):
    write_lines(folder, json.dumps(facts()))
    path = folder / "results" / "tiny" / "coral.jsonl"
    ODD_FILES[name](path)
    for command in COMMANDS.keys() - {"check"}:
        code, output = run(command)
        missing = name == "a link to nowhere"
        assert code == (0 if missing and command == "run" else 2) or missing, (command, output[-300:])
        assert missing or "coral.jsonl" in output
    with pytest.raises(TlbenchError, match=r"coral\.jsonl"):
        records.read(path)
    if name != "a link to nowhere":
        with pytest.raises(TlbenchError, match=r"coral\.jsonl"):
            records.append(folder / "results", record(entry="coral"))
        with pytest.raises(TlbenchError, match=r"coral\.jsonl"):
            records.prepare(folder / "results", "tiny")


@pytest.mark.parametrize("name", ODD_PREDICTIONS)
def test_a_predictions_file_without_predictions_is_no_file(folder, name, monkeypatch):
    monkeypatch.setattr(sys.modules["tlbench.records.predictions"], "MAX_ARRAY_BYTES", 2**20)
    file = records.predictions_file(folder / "results", "tiny", "0123456789abcdef")
    file.parent.mkdir()
    file.write_bytes(ODD_PREDICTIONS[name]())
    assert records.predictions_named(folder / "results", "tiny", "0123456789abcdef") is None


@pytest.mark.parametrize("name", ["../x", "a/b", "", "x" * 300, "\u0661" * 16, "a\0b", "."])
def test_a_name_of_predictions_is_letters_and_digits(folder, name):
    assert records.predictions_named(folder / "results", "tiny", name) is None


def test_hidden_files_and_folders_are_no_results(folder):
    write_lines(folder, json.dumps(facts()))
    for hidden in ("tiny/._source_only.jsonl", "tiny/.ipynb_checkpoints/source_only.jsonl", ".trash/x.jsonl"):
        path = folder / "results" / hidden
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"\x00\x05\x16\x07")
    for command in COMMANDS.keys() - {"check"}:
        code, output = run(command)
        assert code == 0, (command, output)
    assert [file.name for file in records.files(folder / "results")] == ["source_only.jsonl"]
    assert sorted(path.name for path in (folder / "merged").iterdir()) == ["tiny"]


def test_torn_last_lines_are_all_set_aside(folder):
    file = write_lines(folder, json.dumps(facts()))
    whole = file.read_bytes()
    line = json.dumps(facts(7))
    file.write_bytes(whole + line[:100].encode() + b"\n" + line[:50].encode() + b"\n" + b"\0" * 30)
    messages: list[str] = []
    records.prepare(folder / "results", "tiny", messages.append)
    assert file.read_bytes() == whole and len(messages) == 3
    torn = [file.with_name(f"{file.name}.broken-{number}").read_bytes() for number in (1, 2, 3)]
    assert torn == [b"\0" * 30, line[:50].encode(), line[:100].encode()]
    assert run("run")[0] == 0


def test_a_last_line_of_a_later_tlbench_is_not_set_aside(folder):
    file = write_lines(folder, json.dumps(facts()))
    with file.open("a", encoding="utf-8") as handle:
        handle.write(json.dumps(facts(7) | {"schema": 99}) + "\n")
    before = file.read_bytes()
    records.prepare(folder / "results", "tiny")
    assert file.read_bytes() == before
    with pytest.raises(TlbenchError, match="of a later tlbench"):
        records.read(file)


def test_a_line_has_a_limit_and_a_file_has_one(folder, monkeypatch):
    file = write_lines(folder, json.dumps(facts()))
    monkeypatch.setattr(json_lines, "MAX_FILE_BYTES", 100)
    with pytest.raises(TlbenchError, match="more than 100 bytes, and is not read"):
        records.read(file)


def test_commands_print_through_the_console():
    """Text of strangers reaches a terminal through `console.echo` and `console.warn`, or through the formats of reports."""
    texts = {file.name: file.read_text(encoding="utf-8") for file in Path(cli.__file__).parent.glob("*.py")}
    direct = {name for name, text in texts.items() if "typer.echo(" in text}
    assert direct == {"console.py", "report.py", "bench.py", "__init__.py"}
