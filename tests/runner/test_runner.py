"""Where cases run and what becomes of them there: the same numbers everywhere, and nothing that goes wrong ends a run."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections import Counter
from pathlib import Path

import pytest
import torch
from command_line import command_server, tlbench
from plugin_files import plugged
from tiny_suite import CPU, SUITE, blobs, case, domain, record, suite, write_domains

from tlbench import api, engine, methods, records, runner
from tlbench.engine.training import oom_retry
from tlbench.runner.pools import adaptive_pool
from tlbench.runner import local, resources, scheduler
from tlbench.runner.duration_estimates import CellKey, DurationEstimates
from tlbench.runner.pools.protocol import Ended, Lost
from tlbench.runner.pools.process_pool import ProcessPool
from tlbench.runner.run_status import prunable, run_status
from tlbench.runner.worker import Limits
from tlbench.suite import digest
from tlbench.terms import Cost, Machine, Scores

ONE_THREAD = Limits(threads=1)
SOLVED = "from tlbench.methods.base import ShallowMethod\nclass Odd(ShallowMethod):\n    reads = frozenset({'source'})\n"


def planned(folder: Path, rows: str, *, seeds: int = 1, fresh: bool = False) -> tuple[runner.RunPlan, Path]:
    """A plan for the tiny suite with these rows, and its results directory."""
    write_domains(folder)
    text = SUITE.partition("[methods.source_only]")[0].replace("seeds = [0]", f"seeds = {[*range(seeds)]}")
    first = rows.strip().splitlines()[0].removeprefix("[methods.").removesuffix("]")
    text = text.replace("[protocol]", f'[protocol]\nbaseline = "{first}"')
    (folder / "tiny.toml").write_text(text + rows)
    chosen, results = api.load_suite(folder / "tiny.toml"), folder / "results"
    records.prepare(results, chosen.name)
    return runner.plan_run(chosen, results, folder, fresh=fresh), results


def facts(found) -> dict[tuple[str, str, int], tuple[object, ...]]:
    """All of the records that no clock and no process number had a part in."""
    return {
        (r.entry, r.pair, r.seed): (r.identity, r.status, r.reason, r.scores, r.notes, r.options, r.data, r.machine.threads)
        for r in found
    }


# --- processes ------------------------------------------------------------------------------------------------------


def test_workers_give_the_same_numbers_and_outlive_their_cases(tmp_path):
    """Record by record those of this process; a worker that dies is replaced, and its case tried again up to a limit."""
    marker = tmp_path / "died"
    once = SOLVED + (
        "    def fit(self, task):\n        import os, pathlib\n"
        f"        marker = pathlib.Path({str(marker)!r})\n"
        "        if not marker.exists():\n            marker.touch()\n            os.kill(os.getpid(), 9)\n"
        "        return lambda x: torch.eye(3)[torch.arange(len(x)) % 3]\n"
    )
    always = SOLVED + "    def fit(self, task):\n        import os\n        os._exit(7)\n"
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
        _, status, why, *_ = with_workers["always", "a:b", seed]
        assert status == "failed" and why == "its worker ended with exit code 7 (tried 2 times)"
    retried = Counter(event.case.entry for event in events if isinstance(event, scheduler.Retried))
    assert retried == {"once": 1, "always": 2}
    assert any("killed by signal 9" in event.reason for event in events if isinstance(event, scheduler.Retried))
    assert len(records.read_all(results)) == 6 + 10
    assert {r.machine.concurrent_cases for r in records.read_all(results) if r.entry == "once"} == {2}


def test_a_worker_that_hangs_is_ended_and_the_rest_goes_on(tmp_path, monkeypatch):
    """A case that Python can interrupt ends by itself; one that it can't ends with its process."""
    monkeypatch.setattr(scheduler, "GRACE_SECONDS", 0.5)
    slow = SOLVED + "    def fit(self, task):\n        import time\n        time.sleep(60)\n"
    # a worker's first seconds go into imports: deaf from the moment at which the method is found
    deaf = "import multiprocessing, signal\nif multiprocessing.parent_process():\n"
    deaf += "    signal.signal(signal.SIGALRM, signal.SIG_IGN)\n"
    stuck = deaf + slow
    with plugged(tmp_path, "slow", slow, ""), plugged(tmp_path, "stuck", stuck, ""):
        plan, results = planned(tmp_path, "[methods.slow]\n[methods.stuck]\n")
        limits = Limits(threads=1, timeout_seconds=0.5)
        pool = ProcessPool(plan.worker_setup(limits, 2), ["cpu"] * 2)
        ended = {r.entry: r for r in scheduler.run_plan(plan, results, pool, limits=limits)}
    assert {r.status for r in ended.values()} == {"failed"}
    assert ended["slow"].reason == "it ran past --timeout 0.5 s"
    assert ended["stuck"].reason == "it ran past --timeout 0.5 s, and its worker was ended"


def test_workers_die_with_their_driver(tmp_path):
    """The driver is killed within a case: within seconds none of its workers is left."""
    write_domains(tmp_path)
    (tmp_path / "sleepy.py").write_text(
        SOLVED + f"    def fit(self, task):\n        import os, pathlib, time\n"
        f"        pathlib.Path({str(tmp_path)!r}, f'pid-{{os.getpid()}}').touch()\n        time.sleep(60)\n"
    )
    text = SUITE.partition("[methods.source_only]")[0].replace("seeds = [0]", 'seeds = [0, 1]\nbaseline = "sleepy"')
    (tmp_path / "tiny.toml").write_text(text + "[methods.sleepy]\n")
    words = ("run", "tiny.toml", "--plugin", "sleepy.py", "--workers", "2")
    with command_server().begun(*words, cwd=tmp_path) as (process, end):
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


def test_cores_are_shared_out():
    cores = len(os.sched_getaffinity(0))
    assert resources.share_cores(Limits(), resources.Resources()).threads is None
    assert resources.share_cores(Limits(), resources.Resources(workers=2)).threads == max(cores // 2, 1)
    assert resources.share_cores(Limits(), resources.Resources(devices=2)).threads == max(cores // 2, 1)
    assert resources.share_cores(Limits(), resources.Resources(ray="auto")).threads == 1
    assert resources.share_cores(Limits(), resources.Resources(workers=resources.AUTO_WORKERS)).threads == 1
    assert resources.share_cores(Limits(), resources.Resources(workers=1000)).threads == 1
    assert resources.share_cores(Limits(threads=7), resources.Resources(workers=1000)).threads == 7


# --- this process ---------------------------------------------------------------------------------------------------


def test_a_case_that_takes_too_long_fails_and_the_others_are_done(tmp_path):
    slow = "    def loss(self, step):\n        import time\n        time.sleep(0.2)\n        return self.supervised(step)\n"
    stubborn = (
        "    def fit(self, task):\n        import time\n        try:\n            time.sleep(60)\n        except Exception:\n"
    )
    stubborn += "            time.sleep(60)\n"
    head = "class Slow(DeepMethod):\n    reads = frozenset({'source'})\n"
    with plugged(tmp_path, "slow", head + slow), plugged(tmp_path, "stubborn", SOLVED + stubborn, ""):
        plan, results = planned(tmp_path, "[methods.slow]\n[methods.stubborn]\n[methods.nearest_neighbor]\n")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(runner.time_limit, "REPEATED", 0.2)
            limits = Limits(timeout_seconds=0.6)
            ended = {r.entry: (r.status, r.reason) for r in local.run(plan, results, CPU, limits=limits)}
    late = ("failed", "it ran past --timeout 0.6 s")
    assert ended == {"slow": late, "stubborn": late, "nearest_neighbor": ("done", None)}
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


HUNGRY = (
    "class Hungry(DeepMethod):\n    reads = frozenset({{'source'}})\n"
    "    def loss(self, step):\n"
    "        if len(step.source) > {most}:\n"
    "            raise torch.OutOfMemoryError('CUDA out of memory. Tried to allocate 9 GiB')\n"
    "        return self.supervised(step)\n"
)


def test_out_of_memory_is_tried_once_more_in_halves(tmp_path):
    """The mean over a batch is the mean of its halves: numbers are those of the whole batch, but for rounding."""
    chosen = suite(train={"batch": 9, "steps": 20}, methods={"source_only": {}})
    domains = {"a": domain("a", blobs(1, 60)), "b": domain("b", blobs(2, 60, shift=0.5))}
    whole = engine.run_case(case(), chosen, domains, CPU)
    with plugged(tmp_path, "hungry", "import torch\n" + HUNGRY.format(most=5)):
        halved = engine.run_case(case("hungry"), chosen, domains, CPU)
        again = engine.run_case(case("hungry"), chosen, domains, CPU)
    assert halved.status == "done" and halved.notes == (*whole.notes, oom_retry.NOTE)
    assert halved.scores.model_dump(exclude={"trace"}) == whole.scores.model_dump(exclude={"trace"})
    for ours, theirs in zip(halved.scores.trace, whole.scores.trace, strict=True):
        assert ours.loss == pytest.approx(theirs.loss, rel=1e-5)
    assert again.scores == halved.scores


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (HUNGRY.format(most=2), "out of memory, with half the batch too; lower train.batch: CUDA out of memory"),
        (
            HUNGRY.format(most=5)
            + "    def phases(self):\n        return (Phase((AlternatingUpdate(self.loss), AlternatingUpdate(self.loss)), self.reads),)\n",
            "out of memory; its step is a game of several updates, which has no halves; lower train.batch",
        ),
        (
            HUNGRY.format(most=5) + "    def phases(self):\n        both = lambda step: (self.loss(step), self.loss(step))\n"
            "        return (Phase(both, self.reads, combine=lambda KP: KP.mean(dim=0)),)\n",
            "it combines the gradients of several losses, which has no halves; lower train.batch",
        ),
        (SOLVED + "    def fit(self, task):\n        raise MemoryError('no room')\n", "takes all its rows at once: no room"),
    ],
    ids=["too large", "a game", "several losses", "in closed form"],
)
def test_out_of_memory_that_halves_do_not_mend_fails(tmp_path, body, words):
    domains = {"a": domain("a", blobs(1, 60)), "b": domain("b", blobs(2, 60))}
    with plugged(tmp_path, "hungry", "import torch\nfrom tlbench.methods.base import AlternatingUpdate, Phase\n" + body):
        ended = engine.run_case(case("hungry"), suite(methods={"source_only": {}}), domains, CPU)
    assert ended.status == "failed" and words in (ended.reason or "")
    assert not oom_retry.is_accumulating.get()


# --- what is left, and in which order -------------------------------------------------------------------------------


def test_identities_are_hashes_of_the_canonical_facts():
    """The quick way for many cases gives what the plain way says."""
    chosen = suite(methods={"source_only": {}, "strong": {"method": "coral", "weight": 5.0}})
    prints = {"a": "1 é", "b": "2"}
    for one in chosen.cases():
        kind = methods.method_class(one.method)
        options = {"weight": 5.0} if one.entry == "strong" else {}
        plain = {
            "suite": ["tiny", 1],
            "method": [one.method, kind.version, options],
            "pair": [one.sources, one.target],
            "seed": 0,
            "data": prints,
            "decides": chosen.hashed_settings(),
        }
        assert engine.identity(one, chosen, prints) == digest(plain)
    assert len(set(engine.identities(chosen.cases(), chosen, prints))) == len(chosen.cases())


def test_long_cases_start_first_and_unknown_ones_are_tried_early():
    def timed(row: str, seconds: float, sources: tuple[str, ...] = ("a",)):
        return record(entry=row, sources=sources, cost=Cost(wall_seconds=seconds))

    costs = DurationEstimates([timed("short", 1.0), timed("long", 9.0), timed("long", 11.0), timed("long", 4.0, ("c",))])
    cases = [case(row) for row in ("short", "long", "new", "new")] + [case("long", sources=("c",))]
    order = costs.longest_first(cases)
    assert [cases[i].entry for i in order] == ["new", "long", "new", "long", "short"] and order[0] == 2
    assert costs.seconds(CellKey("long", "a:b")) == 10.0 and costs.seconds(CellKey("long", "x:b")) == 9.0
    assert costs.total({CellKey("long", "a:b"): 2, CellKey("new", "a:b"): 3}) == (20.0, 3)
    assert costs.wall_seconds({CellKey("long", "a:b"): 2}, 2) == 10.0
    assert DurationEstimates().wall_seconds({CellKey("long", "a:b"): 2}, 2) is None
    assert costs.learn(timed("new", 1.0)) and not costs.learn(timed("new", 1.0))


GIB = 2**30
PEAKS = {"source_only": 3 * GIB, "coral": 5 * GIB}


class Places:
    """A pool whose places end at once, in an order that a seed decides; a place may die instead.

    `rate`: samples per second of a row's case, given how many run at once.
    """

    def __init__(self, plan: runner.RunPlan, count: int, *, dies: float, rate=lambda row, count: None, beside: int = 1) -> None:
        self.plan, self.count, self.dies, self.rate, self.beside = plan, count, dies, rate, beside
        self.busy: dict[int, object] = {}
        self.draw, self.most, self.closed = random.Random(0), 0, False

    def size(self):
        return self.count

    def idle(self):
        return [place for place in range(self.count) if place not in self.busy]

    def start(self, place, job):
        self.busy[place] = job
        self.most = max(self.most, len(self.busy))

    def wait(self, seconds, tell):
        place = self.draw.choice(sorted(self.busy))
        job = self.busy.pop(place)
        if self.draw.random() < self.dies:
            tell(Lost(place, "a node was removed"))
            return
        at_once = len(self.busy) + 1
        cost = Cost(peak_reserved_bytes=PEAKS.get(job.case.entry), train_samples_per_second=self.rate(job.case.entry, at_once))
        facts = {
            **record(job.case.seed, machine=Machine(device="gpu", torch="2", concurrent_cases=self.beside)).model_dump(
                by_alias=True
            ),
            **job.case.model_dump(),
            "identity": job.identity,
            "cost": cost,
        }
        tell(Ended(place, type(record())(**facts)))

    def stop(self, place):
        self.busy.pop(place)

    def close(self):
        self.closed = True


def test_every_case_has_one_record_whatever_places_do(tmp_path):
    plan, results = planned(tmp_path, "[methods.source_only]\n[methods.coral]\n", seeds=50)
    pool = Places(plan, 7, dies=0.3)
    ended = list(scheduler.run_plan(plan, results, pool, limits=Limits(attempts=3)))
    assert len(ended) == len(records.read_all(results)) == 100 == len({r.identity for r in ended})
    assert pool.closed and pool.most == 7
    failed = [r for r in ended if r.status == "failed"]
    assert 0 < len(failed) < 12 and {r.reason for r in failed} == {"a node was removed (tried 3 times)"}
    assert not (results / "tiny" / ".claims").exists()
    again = runner.plan_run(plan.suite, results, tmp_path)
    assert len(again.pending) == len(failed)


def grown(plan: runner.RunPlan, free: dict[str, int], *, most: int = 16, known=(), **places):
    """A growing pool on GPUs of so much free memory, none of which is here, and (devices, pool) of every pool it makes."""
    made: list[tuple[list[str], Places]] = []

    def make(devices):
        made.append((list(devices), Places(plan, len(devices), beside=len(devices) // len(free), **places)))
        return made[-1][1]

    return adaptive_pool.AdaptivePool([*free], most, make, PEAKS, known, free.__getitem__), made


@pytest.mark.parametrize("dies", [0.0, 1.0], ids=["measured", "all die"])
def test_a_gpu_takes_as_many_cases_as_fit(tmp_path, dies):
    """One case of each row by itself on each GPU, then as many as the largest of them leaves room for."""
    assert adaptive_pool.workers_that_fit(80 * GIB, 8 * GIB) == 8  # 0.9 * 80 / (8 + 1)
    assert adaptive_pool.workers_that_fit(10 * GIB, 20 * GIB) == 1
    plan, results = planned(tmp_path, "[methods.source_only]\n[methods.coral]\n", seeds=20)
    free = {"cuda:0": 80 * GIB, "cuda:1": 40 * GIB}  # the fuller one decides
    pool, made = grown(plan, free, dies=dies)
    ended = list(scheduler.run_plan(plan, results, pool, limits=Limits(attempts=1)))
    assert len(ended) == 40
    assert [devices for devices, _ in made] == [["cuda:0", "cuda:1"], ["cuda:0", "cuda:1"] * (8 if dies else 6)]
    assert all(one.closed and one.most == len(devices) for devices, one in made)
    if not dies:
        alone = [r for r in ended if r.machine.concurrent_cases == 1]
        again, made = grown(plan, free, known=alone, dies=dies)
        assert again.size() == 12 and len(made) == 1  # what is on file is not measured again
        again, made = grown(plan, free, known=[r for r in alone if r.entry == "coral"], dies=dies)
        assert again.size() == 16 and made[0][0] == ["cuda:0", "cuda:1"]
        again, _ = grown(plan, free, known=[r for r in ended if r.machine.concurrent_cases != 1], dies=dies)
        assert again.size() == 16  # how fast a row is by itself is not known from cases that shared their GPU


RATES = {"source_only": 1000.0, "coral": 400.0}


@pytest.mark.parametrize(
    ("slowed", "gpus", "numbers"),
    [
        (lambda count: 1.0, 1, [1, 8]),  # each leaves the GPU idle
        (lambda count: 1 / count, 1, [1, 8, 4, 2, 1]),  # one fills it
        (lambda count: 1.05 / count, 1, [1, 8, 4, 2, 1]),  # too little is gained
        (lambda count: 1.2 / count, 1, [1, 8]),
        (lambda count: min(1.0, 2 / count**1.5), 1, [1, 8, 4, 2]),  # two are faster than one, more are in each other's way
        (lambda count: 2 / count, 2, [2, 16, 8, 4, 2]),  # as each of two GPUs sees it
    ],
)
def test_no_more_cases_share_a_gpu_than_make_it_faster(tmp_path, slowed, gpus, numbers):
    """Places that together train less than 1.1 times as fast as one case alone are halved; records say how many there were."""
    plan, results = planned(tmp_path, "[methods.source_only]\n[methods.coral]\n", seeds=60)
    free = {f"cuda:{number}": 54 * GIB for number in range(gpus)}  # 0.9 * 54 / (5 + 1) = 8
    rate = lambda row, count: RATES[row] * (1.0 if count <= gpus else slowed(count))  # noqa: E731
    pool, made = grown(plan, free, dies=0.0, rate=rate)
    assert pool.size() == 16
    ended = list(scheduler.run_plan(plan, results, pool))
    assert len(ended) == 120 and [len(devices) for devices, _ in made] == numbers
    assert pool.size() == numbers[-1] and {r.machine.concurrent_cases for r in ended} == {number // gpus for number in numbers}
    for devices, one in made:
        assert one.closed and one.most == len(devices) and {devices.count(name) for name in free} == {len(devices) // gpus}


def test_a_gpu_is_not_judged_by_cases_that_had_no_neighbours(tmp_path):
    """While places start and at the end a case may run alone, as fast as ever; seeds trained together are no case alone."""
    plan, _ = planned(tmp_path, "[methods.source_only]\n[methods.coral]\n", seeds=4)
    pool, made = grown(plan, {"cuda:0": 54 * GIB}, dies=0.0, rate=lambda row, count: RATES[row] / count)
    for job in {job.case.entry: job for job in plan.jobs()}.values():  # each row by itself
        pool.start(pool.idle()[0], job)
        pool.wait(0.0, lambda message: None)
    for _ in range(2):
        assert pool.idle() == [*range(8)]
        for place, job in enumerate(plan.jobs()[:7]):  # an eighth place is still starting
            pool.start(place, job)
        for _ in range(7):
            pool.wait(0.0, lambda message: None)
    assert pool.size() == 8 and len(made) == 2
    at_once = {places: Machine(device="gpu", torch="2", concurrent_cases=places) for places in (1, 2)}
    together = record(machine=at_once[1], notes=("3 seeds trained together: train and compile seconds are a share",))
    assert [
        adaptive_pool.single_worker_rate(r) for r in (record(machine=at_once[1]), record(machine=at_once[2]), together)
    ] == [
        True,
        False,
        False,
    ]


def test_a_growing_pool_of_processes_gives_the_same_numbers(tmp_path):
    """Real processes, on the CPU in place of a GPU: alone first, then two at once, by then as fast together or not."""
    torch.set_num_threads(1)
    plan, results = planned(tmp_path, "[methods.source_only]\n[methods.coral]\n", seeds=4)
    alone = facts(local.run(plan, results, CPU, limits=ONE_THREAD))
    plan, results = planned(tmp_path, "[methods.source_only]\n[methods.coral]\n", seeds=4, fresh=True)

    def make(devices):
        return ProcessPool(plan.worker_setup(ONE_THREAD, len(devices)), devices)

    pool = adaptive_pool.AdaptivePool(["cpu"], 2, make, PEAKS, free=lambda device: 64 * GIB)
    ended = list(scheduler.run_plan(plan, results, pool, limits=ONE_THREAD))
    assert facts(ended) == alone
    places = [r.machine.concurrent_cases for r in ended]
    assert set(places) == {1, 2} and places[0] == 1  # a case or more alone until both rows were seen, then two at once


def test_a_record_of_another_run_is_taken_and_not_made_again(tmp_path):
    plan, results = planned(tmp_path, "[methods.source_only]\n", seeds=3)
    job = plan.jobs()[1]
    other = record(1, identity=job.identity, scores=Scores(target_accuracy=0.123))
    records.append(results, other)  # after the plan was made
    events: list[scheduler.Event] = []
    pool = Places(plan, 1, dies=0.0)
    ended = list(scheduler.run_plan(plan, results, pool, on_event=events.append))
    assert len(ended) == 3 and other in ended and len(records.read_all(results)) == 3
    assert [e.elsewhere for e in events if isinstance(e, scheduler.Finished)].count(True) == 1
    assert plan.log.append(other.model_copy(update={"reason": "again"})) == other  # and none is written beside it


# --- what a directory holds -----------------------------------------------------------------------------------------


def test_standing_and_useless_records(tmp_path):
    plan, results = planned(tmp_path, "[methods.source_only]\n[methods.coral]\n[methods.target_only]\n", seeds=2)
    ended = list(local.run(plan, results, CPU))
    now = run_status(plan.suite, ended)
    assert (now.done, now.skipped, now.failed, now.remaining, now.remaining_seconds) == (4, 2, [], [], 0.0)
    by = {(r.entry, r.seed): r for r in ended}
    fail = {"status": "failed", "reason": "it diverged", "scores": Scores()}
    failed = by["coral", 1].model_copy(update=fail)
    before, after = by["coral", 0].model_copy(update=fail), by["source_only", 0].model_copy(update={"finished": "later"})
    stale = by["source_only", 1].model_copy(update={"identity": "0" * 16})
    found = [by["source_only", 0], after, stale, before, by["coral", 0], failed]
    now = run_status(plan.suite, found)
    assert (now.done, now.skipped, now.failed, len(now.remaining)) == (2, 0, [failed], 3)
    kinds = {0: "superseded", 2: "stale", 3: "superseded", 5: "failed"}
    assert prunable(plan.suite, found) == kinds
    assert prunable(None, found) == {at: kind for at, kind in kinds.items() if kind != "stale"}
    assert prunable(plan.suite, [by["coral", 0], before]) == {1: "superseded"}


def test_status_and_prune_from_the_command_line(tmp_path):
    plan, results = planned(tmp_path, "[methods.source_only]\n[methods.coral]\n", seeds=2)
    first, second, *_ = local.run(plan, results, CPU)
    records.append(results, first.model_copy(update={"finished": "later"}))
    records.append(
        results, second.model_copy(update={"status": "failed", "reason": "x", "scores": Scores(), "identity": "0" * 16})
    )
    said = tlbench("status", "results", "--suite", "tiny.toml", cwd=tmp_path).stdout.splitlines()
    assert said[0] == "tiny: 4 cases: 4 done, 0 skipped, 0 failed, 0 left" and "data files are not looked at" in said[-1]
    said = tlbench("results", "prune", "--suite", "tiny.toml", cwd=tmp_path).stdout.splitlines()
    assert said[0] == "tiny: 2 records would go: 1 superseded, 0 failed, 1 stale" and len(records.read_all(results)) == 6
    done = tlbench("results", "prune", "--suite", "tiny.toml", "--keep", "superseded", "--yes", cwd=tmp_path)
    assert done.stdout.splitlines() == ["tiny: 1 records removed: 0 superseded, 0 failed, 1 stale"], done.stderr
    assert len(found := records.read_all(results)) == 5 and first in found
    assert records.predictions(results, first) is not None
    done = tlbench("status", "nowhere", cwd=tmp_path)
    assert done.returncode == 2 and done.stderr.startswith("tlbench: no results directory nowhere")


def test_events_for_other_programs_and_quiet(tmp_path):
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


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (resources.Resources(workers=2, devices=2), "--workers and --devices can't be combined"),
        (resources.Resources(workers=2, ray="auto"), "--workers and --ray can't be combined"),
        (resources.Resources(gpus_per_case=0.5), "--gpus-per-case is for --ray"),
    ],
)
def test_places_that_cannot_be_combined(asked, words):
    assert any(words in sentence for sentence in asked.errors())
    assert resources.Resources(workers=2).errors() == resources.Resources(ray="local", gpus_per_case=0.5).errors() == []


def test_ray_by_itself_means_the_cluster_of_this_machine():
    from tlbench.cli import expand_optional_values

    assert expand_optional_values(["run", "x", "--ray"]) == ["run", "x", "--ray", "auto"]
    assert expand_optional_values(["run", "--ray", "--quiet", "x"]) == ["run", "--ray", "auto", "--quiet", "x"]
    assert expand_optional_values(["run", "--ray", "h:6379", "x"]) == ["run", "--ray", "h:6379", "x"]
