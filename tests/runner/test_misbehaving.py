"""Methods that do what no method should do, beside others: those finish with the same numbers, and nothing is left behind."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import variables
from planned_runs import ONE_THREAD, SHALLOW, planned
from plugin_files import plugged
from tiny_suite import CPU, SUITE, write_domains

from benchmarks import misbehaving
from benchmarks.misbehaving_plugins import NEVER_ENDS, PLUGINS
from tlbench.runner import local, scheduler
from tlbench.runner.pools.process_pool import ProcessPool
from tlbench.runner.resources import Resources, make_pool
from tlbench.runner.worker import Worker

HONEST = "    def fit(self, task):\n        return lambda x: torch.ones(len(x), task.classes)\n"
TORCH = "import torch\n"


@pytest.fixture(scope="module")
def reference(tmp_path_factory) -> misbehaving.Facts:
    """The facts of the other methods, run without any that misbehave."""
    run = misbehaving.run_beside(tmp_path_factory.mktemp("reference"), {})
    assert (run.exit_code, run.bad_lines, run.leftovers) == (0, [], [])
    assert {status for _, status, _ in run.facts.values()} == {"done"}
    return run.facts


@pytest.mark.parametrize("never_ends", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_the_others_finish_with_the_same_numbers(reference, tmp_path, never_ends):
    plugins = NEVER_ENDS if never_ends else {name: one for name, one in PLUGINS.items() if name not in NEVER_ENDS}
    assert len(PLUGINS) >= 26
    run = misbehaving.run_beside(tmp_path, plugins, "--seed", "0")
    expected = {key: facts for key, facts in reference.items() if key[1] == 0}
    faults = misbehaving.faults(plugins, run, expected, seeds=1)
    assert {name: errors for name, errors in faults.items() if errors} == {}
    assert run.exit_code == 1 and "Traceback" not in run.stderr


def test_a_worker_runs_no_other_method_after_a_third_party_one(tmp_path):
    """Processes: both cases of one plug-in share one, and no other case runs in it; in one slot and in two."""
    told = SHALLOW + (
        "    def fit(self, task):\n        import os\n        self.note(f'process {os.getpid()}')\n"
        "        return lambda x: torch.ones(len(x), task.classes)\n"
    )
    with plugged(tmp_path, "told", told, TORCH), plugged(tmp_path, "other", told, TORCH):
        plan, results = planned(tmp_path, "[methods.ridge]\n[methods.told]\n[methods.other]\n[methods.pca]\n", seeds=2)
        for slots in (1, 2):
            events: list[scheduler.Event] = []
            pool = ProcessPool(plan.worker_setup(ONE_THREAD), ["cpu"] * slots)
            ended = [*scheduler.run_plan(plan, results, pool, limits=ONE_THREAD, on_event=events.append)]
            assert sorted((r.entry, r.seed, r.status) for r in ended) == [
                (entry, seed, "done") for entry in ("other", "pca", "ridge", "told") for seed in (0, 1)
            ]
            processes = {entry: {r.notes[-1] for r in ended if r.entry == entry} for entry in ("told", "other")}
            assert not processes["told"] & processes["other"]
            assert all(len(of_entry) <= slots for of_entry in processes.values())
            assert not any(isinstance(event, scheduler.Retried) for event in events)
            plan, results = planned(
                tmp_path, "[methods.ridge]\n[methods.told]\n[methods.other]\n[methods.pca]\n", seeds=2, fresh=True
            )


def test_third_party_methods_get_processes_of_their_own(tmp_path):
    with plugged(tmp_path, "guest", SHALLOW + HONEST, TORCH):
        plan, results = planned(tmp_path, "[methods.ridge]\n[methods.guest]\n")
        pools = [make_pool(plan, CPU, ONE_THREAD, Resources(), results=results)]
        own, results = planned(tmp_path, "[methods.ridge]\n[methods.pca]\n")
        pools.append(make_pool(own, CPU, ONE_THREAD, Resources(), results=results))
    kinds = [type(pool).__name__ for pool in pools]
    for pool in pools:
        pool.close()
    assert kinds == ["ProcessPool", "LocalPool"]


def test_an_interrupt_is_the_users_where_ctrl_c_reaches_the_process(tmp_path):
    interrupts = SHALLOW + "    def fit(self, task):\n        raise KeyboardInterrupt\n"
    with plugged(tmp_path, "interrupts", interrupts, TORCH):
        plan, results = planned(tmp_path, "[methods.interrupts]\n")
        with pytest.raises(KeyboardInterrupt):
            list(local.run(plan, results, CPU))
        record = Worker(plan.worker_setup(), "cpu", dict(plan.domains), interruptible=False).run(plan.jobs()[0])
    assert (record.status, record.reason) == ("failed", "KeyboardInterrupt (interrupts.py:6)")


def test_what_a_method_changes_in_this_process_is_undone_and_noted(tmp_path):
    changes = SHALLOW + (
        "    def fit(self, task):\n        import os, signal\n        os.chdir('/')\n"
        "        signal.signal(signal.SIGTERM, signal.SIG_IGN)\n        torch.set_default_dtype(torch.float64)\n"
        "        return lambda x: torch.ones(len(x), task.classes)\n"
    )
    before = Path.cwd(), signal.getsignal(signal.SIGTERM)
    with plugged(tmp_path, "changes", changes, TORCH):
        plan, results = planned(tmp_path, "[methods.changes]\n")
        (record,) = local.run(plan, results, CPU)
    assert (Path.cwd(), signal.getsignal(signal.SIGTERM)) == before
    assert record.notes[-1] == (
        "changes changed the working directory, signal handlers, torch's default dtype, which was undone after the case"
    )


def test_a_forked_child_that_comes_back_runs_no_further_case(tmp_path):
    """In one process: the child would write the records of all later cases once more."""
    forks = SHALLOW + "    def fit(self, task):\n        import os\n        os.fork()\n" + HONEST.partition("\n")[2]
    with plugged(tmp_path, "forks", forks, TORCH):
        plan, results = planned(tmp_path, "[methods.forks]\n[methods.ridge]\n", seeds=2)
        ended = [(record.entry, record.seed, record.status) for record in local.run(plan, results, CPU)]
    assert sorted(ended) == [(entry, seed, "done") for entry in ("forks", "ridge") for seed in (0, 1)]
    lines = [line for file in results.rglob("*.jsonl") for line in file.read_text().splitlines()]
    assert len(lines) == 4


def test_a_script_without_a_guard_runs_once(tmp_path):
    """The processes of a run with plug-ins do not import the script that has started it."""
    write_domains(tmp_path)
    (tmp_path / "guest.py").write_text(TORCH + SHALLOW + HONEST)
    (tmp_path / "tiny.toml").write_text(SUITE + "[methods.guest]\n")
    (tmp_path / "script.py").write_text(
        "import tlbench\nprint('begun', flush=True)\n"
        "frame = tlbench.run('tiny.toml', plugins='guest.py', methods=['guest'], device='cpu', progress=False)\n"
        "print(list(frame.status))\n"
    )
    command = [sys.executable, "script.py"]
    done = subprocess.run(command, cwd=tmp_path, env=variables({}), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "begun\n['done']\n"), done.stderr
