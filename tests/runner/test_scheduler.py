"""The scheduler: one record for each case whatever workers and other runs do, and the events that it reports."""

from __future__ import annotations

import json

import torch
from command_line import tlbench
from fake_pool import FakePool
from planned_runs import planned
from tiny_suite import record

from tlbench import progress, records, runner
from tlbench.runner import scheduler
from tlbench.runner.worker import Limits
from tlbench.terms import Scores


def test_every_case_has_one_record_although_workers_die(tmp_path):
    plan, results = planned(tmp_path, "[methods.source_only]\n[methods.coral]\n", seeds=50)
    pool = FakePool(plan, 7, death_rate=0.3)
    ended = list(scheduler.run_plan(plan, results, pool, limits=Limits(attempts=3)))
    assert len(ended) == len(records.read_all(results)) == 100 == len({r.identity for r in ended})
    assert pool.closed and pool.max_busy == 7
    failed = [r for r in ended if r.status == "failed"]
    assert 0 < len(failed) < 12 and {r.reason for r in failed} == {"A node was removed. The case was tried 3 times."}
    assert not (results / "tiny" / ".claims").exists()
    again = runner.plan_run(plan.suite, results, tmp_path)
    assert len(again.pending) == len(failed)


def test_a_record_of_another_run_stands(tmp_path):
    plan, results = planned(tmp_path, "[methods.source_only]\n", seeds=3)
    job = plan.jobs()[1]
    other = record(1, identity=job.identity, scores=Scores(target_accuracy=0.123))
    records.append(results, other)  # after the plan was made
    events: list[scheduler.Event] = []
    pool = FakePool(plan, 1, death_rate=0.0)
    ended = list(scheduler.run_plan(plan, results, pool, on_event=events.append))
    assert len(ended) == 3 and other in ended and len(records.read_all(results)) == 3
    assert [e.elsewhere for e in events if isinstance(e, scheduler.Finished)].count(True) == 1
    assert plan.log.append(other.model_copy(update={"reason": "again"})) == other  # no second record is written


def test_json_events_and_quiet(tmp_path):
    planned(tmp_path, "[methods.source_only]\n[methods.coral]\n")
    done = tlbench("run", "tiny.toml", "--json", "--timeout", "60", cwd=tmp_path)
    assert done.returncode == 0 and done.stderr == ""
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert [e["event"] for e in events if e["event"] != "step"] == ["plan", "start", "record", "start", "record", "end"]
    assert (events[0]["to_run"], events[0]["on_file"], events[0]["schema"]) == (2, 0, 1)
    on_file = {r.entry: r for r in records.read_all(tmp_path / "results")}
    for event in events:
        if event["event"] == "record":
            assert records.from_line(json.dumps(event["record"])) == on_file[event["record"]["row"]]
    last = {key: events[-1][key] for key in ("done", "skipped", "failed", "left", "stopped")}
    assert last == {"done": 2, "skipped": 0, "failed": 0, "left": 0, "stopped": False}
    done = tlbench("run", "tiny.toml", "--quiet", "--fresh", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


CASE_KEYS = {"event", "at", "suite", "row", "pair", "seed"}


def test_json_events_keep_their_keys(tmp_path):
    """The keys that docs/runs.md states, whatever the attributes behind them are called."""
    plan, results = planned(tmp_path, "[methods.source_only]\n", seeds=20)
    lines: list[str] = []
    pool = FakePool(plan, 2, death_rate=0.3)
    progress.show(plan, results, pool, torch.device("cpu"), style=progress.Style.json, write=lines.append)
    keys: dict[str, set[str]] = {}
    for event in map(json.loads, lines):
        assert keys.setdefault(event["event"], set(event)) == set(event)
    assert keys == {
        "plan": {"event", "at", "suite", "schema", "device", "places", "to_run", "on_file"},
        "start": CASE_KEYS | {"place", "attempt"},
        "retry": CASE_KEYS | {"why"},
        "record": {"event", "at", "suite", "record", "elsewhere", "left", "left_seconds"},
        "end": {"event", "at", "suite", "done", "skipped", "failed", "left", "stopped"},
    }
