"""Several cases at once on a GPU: as many as fit, and no more than make it faster."""

from __future__ import annotations

import pytest
import torch
from fake_pool import GIB, PEAKS, FakePool
from planned_runs import ONE_THREAD, facts, planned
from tiny_suite import CPU, record

from tlbench import runner
from tlbench.runner import local, scheduler
from tlbench.runner.pools import adaptive_pool
from tlbench.runner.pools.process_pool import ProcessPool
from tlbench.runner.worker import Limits
from tlbench.terms import Machine


def adaptive(plan: runner.RunPlan, free: dict[str, int], *, max_workers: int = 16, on_file=(), **fake):
    """An adaptive pool on GPUs with so many free bytes, which do not exist, and (devices, pool) of every pool it creates."""
    created: list[tuple[list[str], FakePool]] = []

    def create_pool(devices):
        created.append((list(devices), FakePool(plan, len(devices), concurrent_cases=len(devices) // len(free), **fake)))
        return created[-1][1]

    return adaptive_pool.AdaptivePool([*free], max_workers, create_pool, PEAKS, on_file, free.__getitem__), created


@pytest.mark.parametrize("death_rate", [0.0, 1.0], ids=["measured", "all die"])
def test_a_gpu_takes_as_many_cases_as_fit(tmp_path, death_rate):
    """One case of each method entry alone on each GPU, then as many as the largest of them leaves memory for."""
    assert adaptive_pool.workers_that_fit(80 * GIB, 8 * GIB) == 8  # 0.9 * 80 / (8 + 1)
    assert adaptive_pool.workers_that_fit(10 * GIB, 20 * GIB) == 1
    plan, results = planned(tmp_path, "[methods.source_only]\n[methods.coral]\n", seeds=20)
    free = {"cuda:0": 80 * GIB, "cuda:1": 40 * GIB}  # the fuller one decides
    pool, created = adaptive(plan, free, death_rate=death_rate)
    ended = list(scheduler.run_plan(plan, results, pool, limits=Limits(attempts=1)))
    assert len(ended) == 40
    assert [devices for devices, _ in created] == [["cuda:0", "cuda:1"], ["cuda:0", "cuda:1"] * (8 if death_rate else 6)]
    assert all(one.closed and one.max_busy == len(devices) for devices, one in created)
    if not death_rate:
        alone = [r for r in ended if r.machine.concurrent_cases == 1]
        again, created = adaptive(plan, free, on_file=alone, death_rate=death_rate)
        assert again.size() == 12 and len(created) == 1  # what is on file is not measured again
        again, created = adaptive(plan, free, on_file=[r for r in alone if r.entry == "coral"], death_rate=death_rate)
        assert again.size() == 16 and created[0][0] == ["cuda:0", "cuda:1"]
        again, _ = adaptive(plan, free, on_file=[r for r in ended if r.machine.concurrent_cases != 1], death_rate=death_rate)
        assert again.size() == 16  # cases that shared their GPU do not tell how fast an entry is alone


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
    """Slots that together train less than 1.1 times as fast as one case alone are halved; records say how many there were."""
    plan, results = planned(tmp_path, "[methods.source_only]\n[methods.coral]\n", seeds=60)
    free = {f"cuda:{number}": 54 * GIB for number in range(gpus)}  # 0.9 * 54 / (5 + 1) = 8
    rate = lambda entry, count: RATES[entry] * (1.0 if count <= gpus else slowed(count))  # noqa: E731
    pool, created = adaptive(plan, free, death_rate=0.0, rate=rate)
    assert pool.size() == 16
    ended = list(scheduler.run_plan(plan, results, pool))
    assert len(ended) == 120 and [len(devices) for devices, _ in created] == numbers
    assert pool.size() == numbers[-1] and {r.machine.concurrent_cases for r in ended} == {number // gpus for number in numbers}
    for devices, one in created:
        assert one.closed and one.max_busy == len(devices) and {devices.count(name) for name in free} == {len(devices) // gpus}


def test_a_gpu_is_not_judged_by_cases_that_had_no_neighbours(tmp_path):
    """While slots start and in the end a case may run alone, as fast as ever; vmapped seeds are no case alone."""
    plan, _ = planned(tmp_path, "[methods.source_only]\n[methods.coral]\n", seeds=4)
    pool, created = adaptive(plan, {"cuda:0": 54 * GIB}, death_rate=0.0, rate=lambda entry, count: RATES[entry] / count)
    for job in {job.case.entry: job for job in plan.jobs()}.values():  # each entry alone
        pool.start(pool.idle()[0], job)
        pool.wait(0.0, lambda message: None)
    for _ in range(2):
        assert pool.idle() == [*range(8)]
        for slot, job in enumerate(plan.jobs()[:7]):  # an eighth slot is still starting
            pool.start(slot, job)
        for _ in range(7):
            pool.wait(0.0, lambda message: None)
    assert pool.size() == 8 and len(created) == 2


def test_records_of_cases_that_ran_alone():
    """Old notes call vmapped seeds "trained together"."""
    alone, shared = (Machine(device="gpu", torch="2", concurrent_cases=cases) for cases in (1, 2))
    notes = ("3 seeds trained together: train and compile seconds are a share", "3 vmapped seeds: seconds are a share")
    vmapped = [record(machine=alone, notes=("2 sources pooled", note)) for note in notes]
    single = record(machine=alone, notes=("2 sources pooled", "the seeds ran one by one"))
    assert adaptive_pool.ran_alone(single)
    assert not any(adaptive_pool.ran_alone(one) for one in (record(machine=shared), *vmapped))


def test_an_adaptive_pool_of_processes_gives_the_same_numbers(tmp_path):
    """Real processes, on the CPU in place of a GPU: alone first, then two at once, by then as fast together or not."""
    torch.set_num_threads(1)
    plan, results = planned(tmp_path, "[methods.source_only]\n[methods.coral]\n", seeds=4)
    alone = facts(local.run(plan, results, CPU, limits=ONE_THREAD))
    plan, results = planned(tmp_path, "[methods.source_only]\n[methods.coral]\n", seeds=4, fresh=True)

    def create_pool(devices):
        return ProcessPool(plan.worker_setup(ONE_THREAD, len(devices)), devices)

    pool = adaptive_pool.AdaptivePool(["cpu"], 2, create_pool, PEAKS, free_memory=lambda device: 64 * GIB)
    ended = list(scheduler.run_plan(plan, results, pool, limits=ONE_THREAD))
    assert facts(ended) == alone
    concurrent = [r.machine.concurrent_cases for r in ended]
    assert set(concurrent) == {1, 2} and concurrent[0] == 1  # alone until both entries were measured, then two at once
