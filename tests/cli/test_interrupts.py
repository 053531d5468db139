"""Ctrl-C and SIGTERM: running cases end first or at once, no worker is left, and the next run goes on."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest
from command_line import command_server, tlbench
from plugin_files import HEADER
from results_on_file import statuses
from tiny_suite import SUITE, write_domains

SLOW = HEADER + (
    "import os, pathlib, time\n"
    "class Slow(DeepMethod):\n    reads = frozenset({{'source'}})\n"
    "    def loss(self, step: Step) -> Tensor:\n"
    "        if 'SLOW' in os.environ:\n            pathlib.Path(f'pid-{{os.getpid()}}').touch()\n"
    "        time.sleep(float(os.environ.get('SLOW', 0)))\n        return self.supervised(step)\n"
)


@pytest.mark.parametrize(
    ("signals", "slow", "workers", "finished", "code", "options"),
    [
        ([signal.SIGINT], "0.01", 1, ["nearest_neighbor", "slow"], 130, ()),
        ([signal.SIGINT, signal.SIGINT], "0.5", 1, ["nearest_neighbor"], 130, ()),
        ([signal.SIGTERM], "0.5", 1, ["nearest_neighbor"], 143, ()),
        pytest.param([signal.SIGINT], "0.015", 2, ["nearest_neighbor", "slow", "slower"], 130, (), marks=pytest.mark.slow),
        ([signal.SIGINT, signal.SIGINT], "0.5", 2, ["nearest_neighbor"], 130, ()),
        ([signal.SIGINT], "0.015", 2, ["nearest_neighbor", "slow", "slower"], 130, ("--isolated",)),
        pytest.param(
            [signal.SIGINT, signal.SIGINT], "0.5", 1, ["nearest_neighbor"], 130, ("--isolated",), marks=pytest.mark.slow
        ),
    ],
    ids=["once", "twice", "SIGTERM", "workers once", "workers twice", "isolated once", "isolated twice"],
)
def test_a_run_that_is_stopped_keeps_what_is_finished(tmp_path, signals, slow, workers, finished, code, options):
    """Ctrl-C once: the running cases end first; twice, or SIGTERM: at once. No worker is left, and the next run goes on."""
    write_domains(tmp_path)
    (tmp_path / "slow.py").write_text(SLOW.format(name="slow"))
    text = SUITE.replace("steps = 5", "steps = 200").partition("[methods.source_only]")[0]
    (tmp_path / "tiny.toml").write_text(
        text.replace("seeds = [0]", 'seeds = [0]\nbaseline = "slow"')
        + "[methods.nearest_neighbor]\n[methods.slow]\n"
        + '[methods.slower]\nmethod = "slow"\n' * (workers > 1)
        + "[methods.coral]\n"
    )
    words = ("run", "tiny.toml", "--plugin", "slow.py", "--no-tables", "--workers", str(workers), *options)
    first = tmp_path / "results" / "tiny" / "nearest_neighbor.jsonl"
    with command_server().started(*words, cwd=tmp_path, SLOW=slow) as (process, end):
        for _ in range(600):
            if first.is_file() and first.read_bytes().endswith(b"\n") and len([*tmp_path.glob("pid-*")]) == workers:
                break
            time.sleep(0.1)
        for one in signals:
            time.sleep(0.7)  # well inside the slow cases
            os.kill(process, one)
        done = end()
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr and done.stdout == ""
    last = done.stderr.splitlines()[-1]
    assert last == "stopped; every finished case is on file, and the same command goes on from there"
    assert ("press Ctrl-C again to stop at once" in done.stderr) == (signal.SIGINT in signals)
    assert statuses(tmp_path) == {row: ["done"] for row in finished}
    clean = {f"{row}.jsonl" for row in finished} | {".lock", "predictions"}
    assert {p.name for p in first.parent.iterdir()} == clean
    assert len(pids := [int(p.name.removeprefix("pid-")) for p in tmp_path.glob("pid-*")]) == workers
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]
    if len(signals) == 2 and workers == 1:
        kept = first.read_bytes()
        done = tlbench(*words, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert "2 cases to run on cpu, 1 on file" in done.stderr
        assert statuses(tmp_path) == {"coral": ["done"], "nearest_neighbor": ["done"], "slow": ["done"]}
        assert first.read_bytes() == kept
