"""One case on two devices, here two processes on the CPU: the same batches, the same numbers up to rounding."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from plugin_files import plugged
from tiny_suite import CPU, SUITE, blobs, case, domain, suite

from tlbench import api, engine, records, reports, runner
from tlbench.engine.training import ddp
from tlbench.runner import local, scheduler
from tlbench.runner.pools import ddp_pool
from tlbench.runner.worker import Limits
from tlbench.terms import Record

ONE_THREAD = Limits(threads=1)


LOPSIDED = '''
class Lopsided(DeepMethod):
    """Fails in one of two processes alone; the other waits for it."""
    reads = frozenset({"source"})
    rank: int = Field(0, description="which of them")
    def loss(self, step: Step) -> Tensor:
        if torch.distributed.is_initialized() and torch.distributed.get_rank() == self.rank and step.progress > 0.3:
            raise RuntimeError("out of luck")
        return self.supervised(step)
'''
ROWS = """
[methods.dann]
[methods.mcd]
[methods.second_fails]
method = "lopsided"
rank = 1
[methods.first_fails]
method = "lopsided"
[methods.after]
method = "source_only"
"""
Runs = dict[str, Record]


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Iterator[tuple[Runs, Runs]]:
    """The records of a suite by row: of one process, and of two that share every case."""
    folder = tmp_path_factory.mktemp("devices")
    for name, seed, shift in (("a", 1, 0.0), ("b", 2, 0.9)):
        rows = blobs(seed, 90, shift)
        np.savez(folder / f"{name}.npz", x=rows.x.numpy(), y=rows.y.numpy())
    (folder / "tiny.toml").write_text(SUITE.replace("steps = 5", "steps = 60\nlr = 1e-2") + ROWS, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch, plugged(folder, "lopsided", LOPSIDED):
        patch.setenv("TLBENCH_CACHE", str(folder / "cache"))
        patch.setattr(ddp_pool, "GRACE_SECONDS", 1.0)
        chosen = api.load_suite(folder / "tiny.toml")

        def planned(name: str) -> tuple[runner.RunPlan, Path]:
            records.prepare(folder / name, chosen.name)
            return runner.plan_run(chosen, folder / name, folder), folder / name

        alone, shared = planned("one"), planned("two")
        on_one = {r.entry: r for r in local.run(*alone, CPU, limits=ONE_THREAD)}
        pool = ddp_pool.DdpPool(shared[0].worker_setup(ONE_THREAD), ("cpu", "cpu"))
        yield on_one, {r.entry: r for r in scheduler.run_plan(*shared, pool, limits=ONE_THREAD)}


def test_two_devices_give_what_one_gives(runs):
    alone, shared = runs
    assert set(shared) == set(alone) and all(shared[row].identity == alone[row].identity for row in alone)
    for row in ("source_only", "dann"):  # losses that are means over rows
        assert shared[row].status == "done", shared[row].reason
        for ours, theirs in zip(shared[row].scores.trace, alone[row].scores.trace, strict=True):
            assert ours.loss == pytest.approx(theirs.loss, abs=1e-4)
            assert ours.target_entropy == pytest.approx(theirs.target_entropy, abs=1e-4)
        assert shared[row].scores.target_accuracy == pytest.approx(alone[row].scores.target_accuracy, abs=1.5 / 90)
        assert shared[row].notes == (
            "2 devices, each with its share of every batch; statistics of a batch are those of a share",
        )
    # what two devices need is in no table with what one needs
    assert {r.machine.devices for r in alone.values()} == {None}
    assert {r.machine.devices for r in shared.values() if r.status == "done"} == {2}
    made = reports.throughput(reports.frame([*alone.values(), *shared.values()]))
    assert ["2 x cpu" in table.title for table in made] == [False, True]
    # covariances of half a batch are not those of the whole one, and so the numbers differ
    assert shared["coral"].status == "done"
    losses = [[point.loss for point in run["coral"].scores.trace] for run in (shared, alone)]
    assert losses[0] != pytest.approx(losses[1], abs=1e-4)
    assert shared["mcd"].status == "failed"
    assert (
        shared["mcd"].reason
        == "mcd can't be trained on several devices, for its steps make alternating updates. Run it without --devices."
    )


def test_a_batch_that_cannot_be_shared_out(monkeypatch):
    monkeypatch.setattr(ddp, "_share", ddp.DeviceShare(0, 2))
    domains = {"a": domain("a", blobs(1, 60)), "b": domain("b", blobs(2, 60))}
    found = engine.run_case(case(), suite(train={"batch": 9}), domains, CPU)
    assert found.status == "failed"
    assert found.reason == "train.batch = 9 can't be split over 2 devices. Use a multiple of 2."


def test_one_device_that_fails_does_not_keep_the_other_waiting(runs):
    """The other one would wait for it in the next case too: both are made anew, and that case has its own numbers."""
    _, shared = runs
    for row in ("first_fails", "second_fails"):
        assert shared[row].status == "failed" and "RuntimeError: out of luck" in shared[row].reason
    assert shared["after"].status == "done"
    assert shared["after"].scores == shared["source_only"].scores
