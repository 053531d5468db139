"""Sample storage: samples on the device and on the host give the same numbers, and pages are released."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch
from engine_runs import (
    run_done,
    short_suite,
    toy_domains,
)
from plugin_files import plugged
from tiny_suite import CPU, case

from tlbench import engine
from tlbench.engine.data import storage
from tlbench.engine.data.storage import SampleStore, Subset


@pytest.mark.parametrize("sources", [("a",), ("a", "c")], ids=len)
@pytest.mark.parametrize("name", ["dann", "shot", "tent", "nearest_neighbor"])
def test_samples_that_stay_on_the_host_give_the_same_scores(name, sources):
    net = {"batch_norm": True}
    here, there = (run_done(name, short_suite(net=net, resident=choice), sources=sources) for choice in ("on", "off"))
    assert here.scores == there.scores and here.identity == there.identity
    assert here.notes == tuple(note for note in there.notes if "mapped" not in note) != there.notes
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("batches")]


def test_the_thread_ends_with_a_training_that_fails(tmp_path):
    body = (
        "class Bad(DeepMethod):\n    reads = frozenset({'source'})\n    def loss(self, step: Step) -> Tensor:\n"
        "        return self.supervised(step) * float('nan')\n"
    )
    with plugged(tmp_path, "bad", body) as name:
        record = engine.run_case(case(name), short_suite(resident="off"), toy_domains(), CPU)
    assert record.status == "failed" and "The loss is nan at step 1 of 60" in record.reason
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("batches")]


def test_a_store_gives_samples_by_index(tmp_path, monkeypatch):
    tensors = [torch.arange(12.0).view(6, 2), 100 + torch.arange(8.0).view(4, 2)]
    whole, numbers = torch.cat(tensors), torch.tensor([[9, 0], [5, 6]])
    for resident in (True, False):
        store = SampleStore(tensors, CPU, resident)
        assert store.shape == (2,) and torch.equal(store.take(numbers), whole[numbers])
    part = Subset(store, torch.tensor([7, 1, 3]), y=torch.tensor([0, 1, 2]))
    assert torch.equal(part.x, whole[[7, 1, 3]]) and torch.equal(part[torch.tensor([2, 0])].x, whole[[3, 7]])
    assert [len(chunk) for chunk in part.chunks([2, 1])] == [2, 1] and part[torch.tensor([2])].y.tolist() == [2]


def test_pages_of_a_mapped_file_are_given_back(tmp_path, monkeypatch):
    np.save(tmp_path / "x.npy", np.arange(2**20, dtype=np.uint8).reshape(-1, 1024))
    mapped = torch.from_numpy(np.load(tmp_path / "x.npy", mmap_mode="c"))
    if storage._mapped_file(mapped) is None:
        pytest.skip("this system has no /proc/self/maps")
    start, length = storage._mapped_file(mapped)
    assert mapped.data_ptr() <= start and start + length <= mapped.data_ptr() + mapped.nbytes and length > 2**20 - 2**14
    assert storage._mapped_file(torch.zeros(2**20)) is None
    monkeypatch.setattr(storage, "_READ_BYTES", 1000)
    store, given = SampleStore([mapped], CPU, resident=False), []
    give_back = storage._release_pages
    monkeypatch.setattr(storage, "_release_pages", lambda *span: given.append(span) or give_back(*span))
    numbers = torch.tensor([3, 1000])
    expected = mapped[numbers].clone()
    for _ in range(2):
        assert torch.equal(store.take(numbers), expected)
    assert given == [(start, length)] * 2
    told = []
    advise = storage._advise
    monkeypatch.setattr(storage, "_advise", lambda *span: told.append((span, advise(*span))))
    store.read_ahead(torch.tensor([0, 1023]))
    first, last = mapped.data_ptr(), mapped[1023].data_ptr()
    for row, ((at, size, _), done) in zip((first, last), told, strict=True):
        assert at <= row and row + 1024 <= at + size and at % 4096 == 0 and done == 0
    large = torch.from_numpy(np.load(tmp_path / "x.npy", mmap_mode="c").reshape(8, -1))  # of small rows pages are kept
    for x, spans in ((mapped, []), (large, [storage._mapped_file(large)] * 2)):
        given.clear()
        store, expected = SampleStore([x], CPU, resident=True), x[torch.tensor([7, 1])].clone()
        for _ in range(2):
            assert torch.equal(store.take(torch.tensor([7, 1])), expected)
        assert given == spans


def test_what_fits_lives_on_the_device(monkeypatch):
    tensor = torch.zeros(1000, dtype=torch.uint8)
    monkeypatch.setattr(storage, "free_bytes", lambda device: 1999)
    assert not storage.is_resident("auto", [tensor], CPU) and storage.is_resident("on", [tensor], CPU)
    monkeypatch.setattr(storage, "free_bytes", lambda device: 2000)
    assert storage.is_resident("auto", [tensor, tensor], CPU) and not storage.is_resident("off", [tensor], CPU)
    monkeypatch.setattr(storage, "free_bytes", lambda device: None)
    assert storage.is_resident("auto", [tensor], CPU)
