"""Isolated cases: the process of the method holds no scored label, the numbers are the same, and nothing of it ends a run."""

from __future__ import annotations

import io
import pickle
from pathlib import Path

import pytest
import torch
from command_line import tlbench
from engine_runs import short_suite, toy_domains
from peeking_methods import HONEST, PEEKING, turned_domains
from planned_runs import SHALLOW, facts, planned
from plugin_files import HEADER, plugged
from tiny_suite import CPU, SUITE, blobs, case, suite, write_domains

from tlbench import engine, records
from tlbench.checks.toy_task import toy_regression
from tlbench.engine.isolated import ISOLATED_NOTE, IsolatedCase, unpack
from tlbench.errors import TlbenchError
from tlbench.runner import local, scheduler
from tlbench.runner.isolation import SampleFiles, SentInputs, run_isolated
from tlbench.runner.pools.isolated_pool import IsolatedPool
from tlbench.runner.resources import Resources
from tlbench.runner.worker import Limits
from tlbench.terms import Domain

ONE_THREAD = Limits(threads=1)


def same(one, other):
    """The scores, the predictions and the identity of two records are equal; the second ran isolated."""
    assert (one.status, other.status) == ("done", "done"), (one.reason, other.reason)
    assert one.scores == other.scores and one.attached == other.attached and one.identity == other.identity
    assert set(other.notes) - set(one.notes) == {ISOLATED_NOTE}


@pytest.mark.parametrize("name", ["source_only", "dann", "shot", "tent", "fine_tune", "nearest_neighbor", "logistic", "tca"])
def test_numbers_are_those_of_one_process(name):
    chosen = short_suite(net={"batch_norm": True}, trace=3)
    same(
        engine.run_case(case(name), chosen, toy_domains(), CPU),
        run_isolated(case(name), chosen, toy_domains(), CPU, ONE_THREAD),
    )


@pytest.mark.parametrize(
    ("name", "net", "protocol", "train"),
    [
        ("dann", {"backbone": "mlp", "hidden": [12, 5], "frozen": True, "bottleneck": 4}, {}, {}),
        ("logistic", {"backbone": "mlp", "hidden": [12, 5], "frozen": True}, {}, {}),
        ("fine_tune", {}, {"target_labels": 1, "scored": "adapted"}, {}),
        ("source_only", {}, {"scored": "held_out", "source_held_out": 0.0}, {"resident": "off"}),
    ],
    ids=["frozen", "frozen shallow", "adapted", "held out, from the host"],
)
def test_numbers_are_those_of_one_process_under_other_protocols(name, net, protocol, train, monkeypatch, tmp_path):
    monkeypatch.setenv("TLBENCH_CACHE", str(tmp_path / "cache"))
    chosen = short_suite(net=net, protocol=protocol, **train)
    several = {"sources": ("a", "c")}
    same(
        engine.run_case(case(name, **several), chosen, toy_domains(), CPU),
        run_isolated(case(name, **several), chosen, toy_domains(), CPU, ONE_THREAD),
    )


@pytest.mark.parametrize("name", ["source_only", "ridge"])
def test_numbers_of_a_regression_are_those_of_one_process(name):
    chosen = suite(protocol={"task": "regression", "metric": "rmse", "target_labels": 3}, methods={"source_only": {}})
    domains = {
        key: Domain(key, toy_regression(seed, 60), (), f"fingerprint of {key}", targets=("first", "second"))
        for seed, key in enumerate("ab")
    }
    same(engine.run_case(case(name), chosen, domains, CPU), run_isolated(case(name), chosen, domains, CPU, ONE_THREAD))


@pytest.fixture(scope="module")
def turned():
    return turned_domains({"a": blobs(1, 45), "b": blobs(2, 33, shift=0.1)}, ("0", "1", "2"))


@pytest.mark.parametrize("peeking", PEEKING)
def test_a_peeking_method_scores_no_better_than_its_honest_counterpart(peeking, turned, tmp_path):
    chosen, swapped = suite(protocol={"scored": "adapted"}), {"sources": ("b",), "target": "a"}
    with plugged(tmp_path, peeking, PEEKING[peeking]) as name, plugged(tmp_path, "honest", HONEST) as honest:
        before = [engine.run_case(case(name, **pair), chosen, turned, CPU) for pair in (swapped, {})]
        isolated = [run_isolated(case(name, **pair), chosen, turned, CPU) for pair in (swapped, {})]
        fair = [run_isolated(case(honest, **pair), chosen, turned, CPU) for pair in (swapped, {})]
    assert before[1].scores.target_accuracy > 0.9, before[1].reason  # in one process the labels can be found
    for one, other in zip(isolated, fair, strict=True):
        assert one.status == other.status == "done", (one.reason, other.reason)
        assert one.scores.target_accuracy == other.scores.target_accuracy < 0.1


def test_what_is_sent_holds_the_granted_labels_alone(turned):
    chosen = suite(protocol={"scored": "adapted", "target_labels": 2, "source_held_out": 0.1})
    isolated = IsolatedCase(case("source_only"), chosen, turned, CPU)
    with SampleFiles() as files:
        sent = SentInputs.of(isolated.inputs, files)
        assert {name for name, subset in sent.subsets.items() if subset.y is not None} == {"source", "validation"}
        assert sorted(sent.subsets) == ["scored", "source", "target", "validation"]  # no labels that are not read
        assert len({file for subset in sent.subsets.values() for file in subset.files}) == 2  # one for each domain
        assert b"torch" not in pickle.dumps(sent.subsets)  # no tensor, which could share the memory of others
        assert sent.suite.domains == {} and sent.suite.path is None
        read = sent.read(CPU)
        assert read.scored.y is None and read.granted.target.y is None
        assert torch.equal(read.scored.x, isolated.inputs.scored.x) and torch.equal(
            read.granted.source.y, isolated.inputs.granted.source.y
        )
        folder = Path(files._folder.name)
    assert not folder.exists()


def test_isolated_cases_run_at_once_and_their_deaths_end_no_run(tmp_path, monkeypatch):
    """Two at once give the numbers of one process; a case whose process dies is tried again, and one that hangs is killed."""
    monkeypatch.setattr(scheduler, "GRACE_SECONDS", 0.5)
    dies = SHALLOW + "    def fit(self, task):\n        import os\n        os._exit(7)\n"
    deaf = SHALLOW + (
        "    def fit(self, task):\n        import signal, time\n        signal.signal(signal.SIGALRM, signal.SIG_IGN)\n"
        "        time.sleep(60)\n"
    )
    slow = SHALLOW + "    def fit(self, task):\n        import time\n        time.sleep(60)\n"
    healthy = "[methods.source_only]\n[methods.coral]\n[methods.nearest_neighbor]\n"
    torch.set_num_threads(1)
    plan, results = planned(tmp_path, healthy, seeds=2)
    alone = facts(local.run(plan, results, CPU, limits=ONE_THREAD))
    with plugged(tmp_path, "dies", dies, ""), plugged(tmp_path, "deaf", deaf, ""), plugged(tmp_path, "slow", slow, ""):
        plan, results = planned(tmp_path, healthy, seeds=2, fresh=True)
        isolated = facts(scheduler.run_plan(plan, results, pool_of(plan, ONE_THREAD), limits=ONE_THREAD))
        plan, results = planned(tmp_path, "[methods.dies]\n[methods.deaf]\n[methods.slow]\n")
        limits = Limits(threads=1, attempts=2, timeout_seconds=3.0)
        ended = {one.entry: one for one in scheduler.run_plan(plan, results, pool_of(plan, limits), limits=limits)}
    assert isolated.keys() == alone.keys()
    for key, (*facts_alone, _, options, data, threads) in alone.items():  # without the notes
        assert isolated[key] == (*facts_alone, (ISOLATED_NOTE,), options, data, threads)
    assert {one.status for one in ended.values()} == {"failed"}
    assert ended["dies"].reason == "The process of the case exited with code 7. The case was tried 2 times."
    assert ended["slow"].reason == "The case ran longer than --timeout 3 s."
    assert ended["deaf"].reason == "The case ran longer than --timeout 3 s, and its worker was killed."


def pool_of(plan, limits: Limits) -> IsolatedPool:
    return IsolatedPool(plan.worker_setup(limits, 2), ["cpu"] * 2, plan.domains)


def test_a_method_that_is_not_applicable_or_raises_has_the_record_of_one_process(tmp_path):
    body = "class Bad(DeepMethod):\n    reads = frozenset({'source'})\n    def loss(self, step):\n        return {}[3]\n"
    with plugged(tmp_path, "bad_one", body) as name:
        for method in (name, "target_only"):
            one = engine.run_case(case(method), suite(), toy_domains(), CPU)
            other = run_isolated(case(method), suite(), toy_domains(), CPU, ONE_THREAD)
            assert (one.status, one.reason) == (other.status, other.reason) and one.status != "done"
            assert (one.attached_traceback is None) == (other.attached_traceback is None)


class Evil:
    """Runs a command when it is unpickled."""

    def __reduce__(self):
        return (Path.touch, (Path("touched"),))


@pytest.mark.parametrize("forged", ["pickle", "no bytes", "no facts", "shape"])
def test_a_forged_result_is_read_as_data(forged, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    isolated = IsolatedCase(case("nearest_neighbor"), suite(), toy_domains(), CPU)
    content = io.BytesIO()
    cost = '{"facts": 1}' if forged == "no facts" else '{"cost": {}}'
    values = {"facts": cost, "scored": Evil() if forged == "pickle" else torch.zeros(3, 3)}
    torch.save(values, content)
    record = isolated.record(b"" if forged == "no bytes" else content.getvalue())
    assert record.status == "failed" and not Path("touched").exists()
    words = "sent outputs of the shape (3, 3)" if forged == "shape" else "sent a result that can't be read"
    assert words in record.reason
    if forged != "shape":
        with pytest.raises(TlbenchError, match="can't be read"):
            unpack(b"" if forged == "no bytes" else content.getvalue())


def test_isolated_runs_on_the_command_line(tmp_path):
    """In two slots, beside a plugin; `verify` runs isolated as well, and a cluster is refused."""
    write_domains(tmp_path)
    (tmp_path / "tiny.toml").write_text(SUITE + "[methods.honest]\n", encoding="utf-8")
    (tmp_path / "honest.py").write_text(HEADER.format(name="honest") + HONEST, encoding="utf-8")
    words = ("run", "tiny.toml", "--device", "cpu", "--plugin", "honest.py", "--isolated", "--no-tables")
    done = tlbench(*words, "--workers", "2", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    written = records.read_all(tmp_path / "results")
    assert len(written) == 3 and all(ISOLATED_NOTE in one.notes and one.machine.concurrent_cases == 2 for one in written)
    verified = ("verify", "results/tiny/honest.jsonl", "--suite", "tiny.toml", "--device", "cpu", "--plugin", "honest.py")
    for option in ((), ("--no-isolated",)):
        done = tlbench(*verified, *option, cwd=tmp_path)
        assert done.returncode == 0 and done.stdout.startswith("same"), done.stdout + done.stderr
    done = tlbench(*words, "--fresh", "--ray", "local", cwd=tmp_path)
    assert done.returncode == 2 and "--isolated can't be combined with --ray" in done.stderr


@pytest.mark.parametrize("changes", [{"devices": 2}, {"ray": "auto"}])
def test_what_can_not_run_isolated_is_refused_in_a_sentence(changes):
    (error,) = Resources(isolated=True, **changes).errors()
    assert error.startswith("--isolated can't be combined with --") and error.endswith("Leave one of them out.")
    assert Resources(isolated=True, workers=3).errors() == []
