"""Suite and plugin files of strangers: a pipe, a device, gigabytes, nesting without end, no text: one sentence each."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import tlbench

from tlbench import methods, session
from tlbench.errors import TlbenchError

Write = Callable[[Path], object]


def sparse(path: Path) -> None:
    """A file of a gigabyte that takes no space on the disk."""
    with path.open("wb") as file:
        file.truncate(2**30)


def content(data: bytes) -> Write:
    return lambda path: path.write_bytes(data)


ANY_FILE: dict[str, tuple[Write, str]] = {
    "a FIFO": (os.mkfifo, "This is a FIFO, and not a plain file"),
    "a device": (lambda path: path.symlink_to("/dev/zero"), "This is a device, and not a plain file"),
    "a gigabyte": (sparse, "bytes, and is not read"),
}
SUITES = ANY_FILE | {
    "no UTF-8": (content(b"name = '\xff'\n"), "The file cannot be read as UTF-8 text"),
    "a NUL": (content(b"name = 'a\0b'\n"), "The file is not valid TOML"),
    "nested arrays": (content(b"x = " + b"[" * 10_000 + b"]" * 10_000), "Arrays or tables are nested without end"),
    "nested tables": (content(b"x = " + b"{a=" * 10_000 + b"1" + b"}" * 10_000), "Arrays or tables are nested without end"),
    "a number of 5,000 digits": (content(b"version = " + b"9" * 5000), "A number has thousands of digits"),
    "a folder": (Path.mkdir, "This is a folder, and not a plain file"),
}
PLUGINS = ANY_FILE | {
    "no UTF-8": (content(b'"""\xff"""\n'), "The file cannot be imported: UnicodeDecodeError"),
    "a NUL": (content(b"x = 1\0\n"), "The file cannot be imported: SyntaxError"),
    "nested parentheses": (content(b"(" * 10_000 + b")" * 10_000), "The file cannot be imported: SyntaxError"),
    "nested signs": (content(b"x = " + b"-" * 100_000 + b"1"), "The file cannot be imported: "),
}


@pytest.mark.parametrize("kind", SUITES)
def test_a_suite_file_that_is_none_is_one_sentence(kind, tmp_path):
    write, words = SUITES[kind]
    write(tmp_path / "odd.toml")
    with pytest.raises(TlbenchError, match=words) as caught:
        session.load_suite(tmp_path / "odd.toml")
    assert "\n" not in str(caught.value) and "odd.toml" in str(caught.value)


@pytest.mark.parametrize("kind", PLUGINS)
def test_a_plugin_file_that_is_none_is_one_sentence(kind, tmp_path):
    write, words = PLUGINS[kind]
    write(tmp_path / "odd_plugin.py")
    with pytest.raises(TlbenchError, match=words) as caught:
        methods.register_file(tmp_path / "odd_plugin.py")
    assert "\n" not in str(caught.value) and "odd_plugin.py" in str(caught.value)
    assert "odd_plugin" not in methods.method_names()


def test_a_command_ends_with_one_sentence(tmp_path):
    os.mkfifo(tmp_path / "odd.toml")
    os.mkfifo(tmp_path / "odd.py")
    for words in (("run", "odd.toml"), ("check", "odd.toml"), ("check", "odd.py"), ("list", "methods", "--plugin", "odd.py")):
        done = tlbench(*words, cwd=tmp_path)
        assert done.returncode == 2 and "This is a FIFO" in done.stderr and done.stderr.count("\n") == 1, words
