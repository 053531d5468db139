"""`tlbench list`, and the help of all commands."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import typer
from command_line import fresh_tlbench, tlbench

import tlbench as package
from tlbench import cli


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("methods", ["dann ", "DANN: features", "source_only", "fine_tune"]),
        ("suites", ["quickstart", "mnist_usps", "office_caltech10_surf"]),
        ("domains", ["quickstart", "upright", "scikit_learn", "idx"]),
        ("backbones", ["lenet", "mlp", "torchvision", "auto"]),
    ],
)
def test_lists(tmp_path, kind, words):
    done = tlbench("list", kind, cwd=tmp_path)
    assert done.returncode == 0 and done.stderr == ""
    assert all(word in done.stdout for word in words)
    assert all(line.strip() and len(line.split()) > 1 for line in done.stdout.splitlines())


def test_domains_of_one_suite_file(first_run):
    done = tlbench("list", "domains", "--suite", "tiny.toml", cwd=first_run[0])
    assert [line.split() for line in done.stdout.splitlines()] == [["tiny", "a", "npz"], ["tiny", "b", "npz"]]


def commands(group: typer.core.TyperGroup, names: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The words of every command, those of groups among them."""
    for name, command in group.commands.items():
        yield (*names, name)
        if isinstance(command, typer.core.TyperGroup):
            yield from commands(command, (*names, name))


COMMANDS = sorted(commands(typer.main.get_command(cli.app)))


def test_no_words_show_the_help(tmp_path):
    """As a user starts it: before, an empty command line was a traceback."""
    done = fresh_tlbench(cwd=tmp_path)
    assert done.returncode in {0, 2} and "Traceback" not in done.stderr
    assert "Usage: tlbench" in done.stdout + done.stderr
    assert all(word in done.stdout + done.stderr for word in ("run", "report", "list", "check", "new"))


@pytest.mark.parametrize("group", ["data", "new", "results"])
def test_a_group_without_words_shows_its_help(tmp_path, group):
    done = tlbench(group, cwd=tmp_path)
    assert done.returncode in {0, 2} and f"tlbench {group}" in done.stdout + done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize("words", [(), *COMMANDS], ids=" ".join)
def test_both_help_options_of_every_command(words, capsys, monkeypatch):
    shown = {}
    for option in ("-h", "--help"):
        monkeypatch.setattr("sys.argv", ["tlbench", *words, option])
        with pytest.raises(SystemExit) as end:
            cli.main()
        assert not end.value.code
        shown[option] = capsys.readouterr().out
    assert shown["-h"] == shown["--help"] and "Usage: tlbench" in shown["-h"]


def test_every_command_and_option_has_a_help_text():
    for words in COMMANDS:
        command = typer.main.get_command(cli.app)
        for word in words:
            command = command.commands[word]
        summary = command.get_short_help_str(limit=1000)
        assert summary and summary[0].isupper(), words
        assert all(getattr(parameter, "help", None) for parameter in command.params), words


def test_the_version(tmp_path):
    done = tlbench("--version", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, f"tlbench {package.__version__}\n")


def test_the_shell_completes_commands_and_suites(tmp_path):
    expected = {"tlbench ver": "verify", "tlbench run quickst": "quickstart", "tlbench run --chec": "--checkpoint"}
    for line, completion in expected.items():
        environment = {"_TLBENCH_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(len(line.split()) - 1)}
        assert fresh_tlbench(cwd=tmp_path, **environment).stdout.split() == [completion], line
    named = {"_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}  # the shell is the word, not the parent of this process
    assert "_TLBENCH_COMPLETE" in tlbench("--show-completion", "bash", cwd=tmp_path, **named).stdout


def test_without_an_address_ray_is_auto():
    assert cli.expand_optional_values([]) == []
    assert cli.expand_optional_values(["--ray"]) == ["--ray", "auto"]
