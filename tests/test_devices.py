"""One case on two devices, here two processes on the CPU: the same batches, the same numbers up to rounding."""

from __future__ import annotations

import numpy as np
import pytest
from support import CPU, SUITE, blobs, plugged

from tlbench import api, records, runner
from tlbench.runner import local, schedule
from tlbench.runner.ranks import Ranks
from tlbench.runner.work import Limits

ONE_THREAD = Limits(threads=1)


@pytest.fixture
def suite_file(tmp_path, monkeypatch):
    monkeypatch.setenv("TLBENCH_CACHE", str(tmp_path / "cache"))
    for name, seed, shift in (("a", 1, 0.0), ("b", 2, 0.9)):
        rows = blobs(seed, 90, shift)
        np.savez(tmp_path / f"{name}.npz", x=rows.x.numpy(), y=rows.y.numpy())
    file = tmp_path / "tiny.toml"
    file.write_text(SUITE.replace("steps = 5", "steps = 60\nlr = 1e-2") + "[methods.dann]\n[methods.mcd]\n", encoding="utf-8")
    return file


def planned(file, results):
    suite = api.load(file)
    records.prepare(results, suite.name)
    return runner.plan(suite, results, file.parent)


def on_two(todo, results):
    pool = Ranks(todo.work(ONE_THREAD), ("cpu", "cpu"))
    return {r.row: r for r in schedule.drive(todo, results, pool, limits=ONE_THREAD)}


def test_two_devices_give_what_one_gives(suite_file, tmp_path):
    alone = {r.row: r for r in local.run(planned(suite_file, tmp_path / "one"), tmp_path / "one", CPU, limits=ONE_THREAD)}
    shared = on_two(planned(suite_file, tmp_path / "two"), tmp_path / "two")
    assert set(shared) == set(alone) and all(shared[row].identity == alone[row].identity for row in alone)
    for row in ("source_only", "dann"):  # losses that are means over rows
        assert shared[row].status == "done", shared[row].why
        for ours, theirs in zip(shared[row].scores.trace, alone[row].scores.trace, strict=True):
            assert ours.loss == pytest.approx(theirs.loss, abs=1e-4)
            assert ours.target_entropy == pytest.approx(theirs.target_entropy, abs=1e-4)
        assert shared[row].scores.target_accuracy == pytest.approx(alone[row].scores.target_accuracy, abs=1.5 / 90)
        assert shared[row].notes == (
            "2 devices, each with its share of every batch; statistics of a batch are those of a share",
        )
    # covariances of half a batch are not those of the whole one, and so the numbers differ
    assert shared["coral"].status == "done"
    losses = [[point.loss for point in run["coral"].scores.trace] for run in (shared, alone)]
    assert losses[0] != pytest.approx(losses[1], abs=1e-4)
    assert shared["mcd"].status == "failed"
    assert (
        shared["mcd"].why
        == "mcd can't be trained on several devices: its step is a game of several turns; run it without --devices"
    )


def test_a_batch_that_cannot_be_shared_out(suite_file, tmp_path):
    suite_file.write_text(suite_file.read_text().replace("batch = 8", "batch = 9"))
    found = on_two(planned(suite_file, tmp_path / "two"), tmp_path / "two")
    assert {record.status for record in found.values()} == {"failed"}
    assert found["dann"].why == "train.batch = 9 can't be shared by 2 devices; give a batch that 2 divides"


def test_one_device_that_fails_does_not_keep_the_other_waiting(suite_file, tmp_path):
    body = '''
class Lopsided(Trained):
    """Fails on the second device alone."""
    reads = frozenset({"source"})
    def loss(self, step: Step) -> Tensor:
        if torch.distributed.get_rank() == 1 and step.progress > 0.3:
            raise RuntimeError("out of luck")
        return self.supervised(step)
'''
    text = suite_file.read_text()
    suite_file.write_text(text[: text.index("[methods.source_only]")] + "[methods.lopsided]\n[methods.source_only]\n")
    with plugged(tmp_path, "lopsided", body):
        found = on_two(planned(suite_file, tmp_path / "two"), tmp_path / "two")
    assert found["lopsided"].status == "failed" and "RuntimeError: out of luck" in found["lopsided"].why
    assert found["source_only"].status == "done"
