"""What a method leaves changed in its process is put back, and named."""

from __future__ import annotations

import gc
import logging
import os
import signal
import sys
import warnings
from pathlib import Path

import pytest
import torch

from tlbench.process_state import restored_state

CHANGES = {
    "the working directory": lambda folder: os.chdir(folder),
    "environment variables": lambda folder: os.environ.update(A_VARIABLE="1"),
    "sys.path": lambda folder: sys.path.append(str(folder)),
    "the garbage collector": lambda folder: gc.disable(),
    "the recursion limit": lambda folder: sys.setrecursionlimit(sys.getrecursionlimit() + 7),
    "logging": lambda folder: logging.disable(logging.CRITICAL),
    "signal handlers": lambda folder: signal.signal(signal.SIGTERM, signal.SIG_IGN),
    "torch's default dtype": lambda folder: torch.set_default_dtype(torch.float64),
    "torch's default device": lambda folder: torch.set_default_device("meta"),
    "torch's gradient mode": lambda folder: torch.set_grad_enabled(False),
    "torch's number of threads": lambda folder: torch.set_num_threads(torch.get_num_threads() + 1),
    "torch's deterministic mode": lambda folder: torch.use_deterministic_algorithms(True),
    "torch's precision": lambda folder: torch.set_float32_matmul_precision("medium"),
}


def state() -> tuple[object, ...]:
    """What the changes change."""
    return (
        Path.cwd(),
        dict(os.environ),
        list(sys.path),
        gc.isenabled(),
        sys.getrecursionlimit(),
        logging.root.manager.disable,
        signal.getsignal(signal.SIGTERM),
        torch.get_default_dtype(),
        torch.get_default_device(),
        torch.is_grad_enabled(),
        torch.get_num_threads(),
        torch.are_deterministic_algorithms_enabled(),
        torch.get_float32_matmul_precision(),
    )


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_is_undone_and_named(name, tmp_path):
    torch.use_deterministic_algorithms(torch.are_deterministic_algorithms_enabled())  # its first call sets a variable
    before = state()
    with restored_state() as changed:
        CHANGES[name](tmp_path)
        assert state() != before
    assert state() == before
    assert changed == [name]


def test_nothing_is_named_where_nothing_was_changed():
    with restored_state() as changed:
        torch.zeros(3).sum()
    assert changed == []


def test_a_change_is_undone_after_an_error(tmp_path):
    before = state()
    with pytest.raises(BaseException, match="odd"), restored_state() as changed:
        os.chdir(tmp_path)
        raise KeyboardInterrupt("odd")
    assert state() == before and changed == ["the working directory"]


def test_a_working_directory_that_is_gone_is_left(tmp_path):
    before = Path.cwd()
    (tmp_path / "gone").mkdir()
    with restored_state():
        os.chdir(tmp_path / "gone")
        (tmp_path / "gone").rmdir()
    assert Path.cwd() == before


def test_an_import_may_change_the_environment(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delenv("A_VARIABLE", raising=False)
    monkeypatch.setenv("A_VARIABLE", "0")
    with restored_state(environment=False) as changed:
        CHANGES["environment variables"](tmp_path)
        CHANGES["sys.path"](tmp_path)
    assert os.environ["A_VARIABLE"] == "1" and sys.path[-1] == str(tmp_path) and changed == []


def test_filters_of_warnings_are_undone():
    with restored_state():
        warnings.simplefilter("ignore")
    with pytest.warns(UserWarning, match="heard"):
        warnings.warn("heard", UserWarning, stacklevel=1)


def test_closed_and_replaced_streams_are_restored(tmp_path, capfd):
    with restored_state() as changed:
        os.close(2)
        file = os.open(tmp_path / "file", os.O_WRONLY | os.O_CREAT)
        os.dup2(file, 1)
        os.write(1, b"into the file")
        os.close(file)
        sys.stdout = None  # type: ignore[assignment]
    os.write(1, b"to stdout")
    os.write(2, b"to stderr")
    assert tuple(capfd.readouterr()) == ("to stdout", "to stderr")
    assert (tmp_path / "file").read_text() == "into the file"
    assert changed == ["the standard streams"] and sys.stdout is not None


def test_a_closed_stream_is_opened_again(capfd):
    with capfd.disabled():
        before = sys.stdin
        sys.stdin = os.fdopen(os.dup(0))
        try:
            with restored_state() as changed:
                sys.stdin.close()
            assert not sys.stdin.closed and changed == ["the standard streams"]
        finally:
            sys.stdin = before
