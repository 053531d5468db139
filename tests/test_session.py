"""A session: device, resources, limits and data root are set up in one place, and all errors are raised before a run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tiny_suite import SUITE, suite, write_domains

from tlbench import session
from tlbench.errors import TlbenchError
from tlbench.progress import Style


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("TLBENCH_CACHE", "off")
    monkeypatch.delenv("TLBENCH_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
    write_domains(tmp_path)
    (tmp_path / "tiny.toml").write_text(SUITE)
    return tmp_path


def test_the_parts_of_a_session_come_from_its_arguments(folder):
    opened = session.open_session(device="cpu", workers=2, threads=3, timeout=60.0, checkpoint=5.0, results=Path("out"))
    assert str(opened.device) == "cpu" and opened.resources.workers == 2 and opened.style is Style.auto
    limits = opened.limits
    assert (limits.threads, limits.timeout_seconds, limits.checkpoint_seconds) == (3, 60.0, 5.0)
    assert opened.data_root(session.load_suite("tiny.toml")) == Path()
    assert session.open_session(data=folder / "data").data_root(session.load_suite("tiny.toml")) == folder / "data"


def test_plans_raise_all_errors_of_all_suites_and_resources(folder):
    opened = session.open_session(device="cpu", workers=2, devices=2)
    (folder / "b.npz").unlink()
    with pytest.raises(TlbenchError) as error:
        opened.plan([session.load_suite("tiny.toml"), suite()], methods=["coral"])
    message = str(error.value)
    assert "--workers and --devices can't be combined" in message and "domains.b" in message
    with pytest.raises(TlbenchError, match="can't be combined"):
        opened.check_resources()


def test_a_plan_that_is_not_run_writes_nothing(folder):
    opened = session.open_session(device="cpu", style=Style.silent)
    (plan,) = opened.plan([session.load_suite("tiny.toml")], write=False)
    assert len(plan.pending) == 2 and not (folder / "results").exists()
    (plan,) = opened.plan([session.load_suite("tiny.toml")])
    assert [record.status for record in opened.run(plan)] == ["done", "done"]
    elsewhere = opened.run(plan, folder / "elsewhere")
    assert [record.status for record in elsewhere] == ["done", "done"] and (folder / "elsewhere" / "tiny").is_dir()


def test_suites_are_loaded_with_all_their_errors(folder):
    (folder / "bad.toml").write_text(SUITE.replace("coral", "corral"))
    with pytest.raises(TlbenchError) as error:
        session.load_suites(["tiny.toml", "bad.toml", "nosuch"])
    assert "corral" in str(error.value) and "nosuch" in str(error.value)
    assert [loaded.name for loaded in session.load_suites(["tiny.toml"])] == ["tiny"]


def test_a_stopped_run_raises(folder):
    opened = session.open_session(device="cpu", style=Style.silent)
    (plan,) = opened.plan([session.load_suite("tiny.toml")])
    opened.stop.asked = True
    with pytest.raises(KeyboardInterrupt):
        opened.run(plan)


def test_importing_it_imports_no_torch():
    code = "import sys, tlbench.session\nprint([m for m in ('torch', 'pandas') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout == "[]\n"
