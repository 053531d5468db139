"""Cases in worker processes: the same records as in this process, and no worker or case that goes wrong ends a run."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from pathlib import Path

import torch
from command_line import command_server
from planned_runs import ONE_THREAD, SHALLOW, facts, planned
from plugin_files import plugged
from tiny_suite import CPU, SUITE, write_domains

from tlbench import records
from tlbench.runner import local, scheduler
from tlbench.runner.pools.process_pool import ProcessPool
from tlbench.runner.worker import Limits


def test_workers_give_the_same_numbers_and_are_replaced_when_they_die(tmp_path):
    """Record by record those of this process; a worker that dies is replaced, and its case tried again up to a limit."""
    marker = tmp_path / "died"
    once = SHALLOW + (
        "    def fit(self, task):\n        import os, pathlib\n"
        f"        marker = pathlib.Path({str(marker)!r})\n"
        "        if not marker.exists():\n            marker.touch()\n            os.kill(os.getpid(), 9)\n"
        "        return lambda x: torch.eye(3)[torch.arange(len(x)) % 3]\n"
    )
    always = SHALLOW + "    def fit(self, task):\n        import os\n        os._exit(7)\n"
    healthy = "[methods.source_only]\n[methods.coral]\n[methods.nearest_neighbor]\n"
    torch.set_num_threads(1)
    plan, results = planned(tmp_path, healthy, seeds=2)
    alone = facts(local.run(plan, results, CPU, limits=ONE_THREAD))
    with plugged(tmp_path, "once", once, "import torch\n"), plugged(tmp_path, "always", always, ""):
        plan, results = planned(tmp_path, healthy + "[methods.once]\n[methods.always]\n", seeds=2, fresh=True)
        limits = Limits(threads=1, attempts=2)
        events: list[scheduler.Event] = []
        pool = ProcessPool(plan.worker_setup(limits, 2), ["cpu"] * 2)
        with_workers = facts(scheduler.run_plan(plan, results, pool, limits=limits, on_event=events.append))
    assert {key: value for key, value in with_workers.items() if key[0] not in {"once", "always"}} == alone
    assert [value[1] for key, value in with_workers.items() if key[0] == "once"] == ["done", "done"]
    for seed in (0, 1):
        _, status, reason, *_ = with_workers["always", "a:b", seed]
        assert status == "failed" and reason == "The worker process exited with code 7. The case was tried 2 times."
    retried = Counter(event.case.entry for event in events if isinstance(event, scheduler.Retried))
    assert retried == {"once": 1, "always": 2}
    assert any("killed by signal 9" in event.reason for event in events if isinstance(event, scheduler.Retried))
    assert len(records.read_all(results)) == 6 + 10
    assert {r.machine.concurrent_cases for r in records.read_all(results) if r.entry == "once"} == {2}


def test_a_worker_that_hangs_is_killed_and_the_rest_goes_on(tmp_path, monkeypatch):
    """A case that Python can interrupt ends by itself; one that it can't ends with its process."""
    monkeypatch.setattr(scheduler, "GRACE_SECONDS", 0.5)
    slow = SHALLOW + "    def fit(self, task):\n        import time\n        time.sleep(60)\n"
    stuck = SHALLOW + (
        "    def fit(self, task):\n        import signal, time\n"
        "        signal.signal(signal.SIGALRM, signal.SIG_IGN)\n        time.sleep(60)\n"
    )
    with plugged(tmp_path, "slow", slow, ""), plugged(tmp_path, "stuck", stuck, ""):
        plan, results = planned(tmp_path, "[methods.slow]\n[methods.stuck]\n")
        limits = Limits(threads=1, timeout_seconds=0.5)
        pool = ProcessPool(plan.worker_setup(limits, 2), ["cpu"] * 2)
        ended = {r.entry: r for r in scheduler.run_plan(plan, results, pool, limits=limits)}
    assert {r.status for r in ended.values()} == {"failed"}
    assert ended["slow"].reason == "The case ran longer than --timeout 0.5 s."
    assert ended["stuck"].reason == "The case ran longer than --timeout 0.5 s, and its worker was killed."


def test_workers_exit_with_their_parent(tmp_path):
    """The scheduler's process is killed during a case: within seconds none of its workers is left."""
    write_domains(tmp_path)
    (tmp_path / "sleepy.py").write_text(
        SHALLOW + f"    def fit(self, task):\n        import os, pathlib, time\n"
        f"        pathlib.Path({str(tmp_path)!r}, f'pid-{{os.getpid()}}').touch()\n        time.sleep(60)\n"
    )
    text = SUITE.partition("[methods.source_only]")[0].replace("seeds = [0]", 'seeds = [0, 1]\nbaseline = "sleepy"')
    (tmp_path / "tiny.toml").write_text(text + "[methods.sleepy]\n")
    words = ("run", "tiny.toml", "--plugin", "sleepy.py", "--workers", "2")
    with command_server().started(*words, cwd=tmp_path) as (process, end):
        workers = until(lambda: [*tmp_path.glob("pid-*")], 2)
        os.kill(process, signal.SIGKILL)
        end()
    for worker in workers:
        number = int(worker.name.removeprefix("pid-"))
        assert until(lambda number=number: [1] if gone(number) else [], 1)
    assert records.read_all(tmp_path / "results") == []


def gone(process: int) -> bool:
    """Whether a process has ended (one that nobody has waited for yet is a zombie)."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def until(look, count: int) -> list:
    """What `look` gives, as soon as it gives enough."""
    for _ in range(600):
        if len(found := look()) >= count:
            return found
        time.sleep(0.1)
    raise AssertionError("it did not happen within a minute")
