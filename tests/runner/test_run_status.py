"""The status of a results directory, and the records that can be pruned."""

from __future__ import annotations

from command_line import tlbench
from planned_runs import planned
from tiny_suite import CPU

from tlbench import records
from tlbench.runner import local
from tlbench.runner.run_status import prunable, run_status
from tlbench.terms import Scores


def test_valid_and_prunable_records(tmp_path):
    plan, results = planned(tmp_path, "[methods.source_only]\n[methods.coral]\n[methods.target_only]\n", seeds=2)
    ended = list(local.run(plan, results, CPU))
    status = run_status(plan.suite, ended)
    assert (status.done, status.skipped, status.failed, status.remaining, status.remaining_seconds) == (4, 2, [], [], 0.0)
    by = {(r.entry, r.seed): r for r in ended}
    fail = {"status": "failed", "reason": "it diverged", "scores": Scores()}
    failed = by["coral", 1].model_copy(update=fail)
    before, after = by["coral", 0].model_copy(update=fail), by["source_only", 0].model_copy(update={"finished": "later"})
    stale = by["source_only", 1].model_copy(update={"identity": "0" * 16})
    on_file = [by["source_only", 0], after, stale, before, by["coral", 0], failed]
    status = run_status(plan.suite, on_file)
    assert (status.done, status.skipped, status.failed, len(status.remaining)) == (2, 0, [failed], 3)
    reasons = {0: "superseded", 2: "stale", 3: "superseded", 5: "failed"}
    assert prunable(plan.suite, on_file) == reasons
    assert prunable(None, on_file) == {index: reason for index, reason in reasons.items() if reason != "stale"}
    assert prunable(plan.suite, [by["coral", 0], before]) == {1: "superseded"}


def test_status_and_prune_from_the_command_line(tmp_path):
    plan, results = planned(tmp_path, "[methods.source_only]\n[methods.coral]\n", seeds=2)
    first, second, *_ = local.run(plan, results, CPU)
    records.append(results, first.model_copy(update={"finished": "later"}))
    records.append(
        results, second.model_copy(update={"status": "failed", "reason": "x", "scores": Scores(), "identity": "0" * 16})
    )
    lines = tlbench("status", "results", "--suite", "tiny.toml", cwd=tmp_path).stdout.splitlines()
    assert lines[0] == "tiny: 4 cases: 4 done, 0 skipped, 0 failed, 0 left" and "data files are not looked at" in lines[-1]
    lines = tlbench("results", "prune", "--suite", "tiny.toml", cwd=tmp_path).stdout.splitlines()
    assert lines[0] == "tiny: 2 records would go: 1 superseded, 0 failed, 1 stale" and len(records.read_all(results)) == 6
    done = tlbench("results", "prune", "--suite", "tiny.toml", "--keep", "superseded", "--yes", cwd=tmp_path)
    assert done.stdout.splitlines() == ["tiny: 1 records removed: 0 superseded, 0 failed, 1 stale"], done.stderr
    assert len(found := records.read_all(results)) == 5 and first in found
    assert records.predictions(results, first) is not None
    done = tlbench("status", "nowhere", cwd=tmp_path)
    assert done.returncode == 2 and done.stderr.startswith("tlbench: There is no results directory nowhere")
