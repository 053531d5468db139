"""Sample storage. Subsets are indices into a store, and no sample is copied before a batch draws it.

A domain that fits lives on the device once, for all cases that use it. A larger one stays on the host, memory-mapped from
disk: its samples are gathered by index and copied to the device, and the pages that were read are released from time to time.
"""

from __future__ import annotations

import bisect
import ctypes
import functools
import itertools
import mmap
import weakref
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tlbench.terms import SPLITS, LabeledTask, Labelled, Task

RESIDENT_SHARE = {"cuda": 0.4, "cpu": 0.5}
"""Share of the free memory of a device that the samples of one pair may take, for train.resident = "auto"."""
_READ_BYTES = 2**25
"""Bytes of samples read from a mapped file before its pages are released."""
_FAULT_AROUND_BYTES = 2**16
"""Bytes that the system maps around a page that is read, and counts as memory of this process."""
_MADV_WILLNEED, _MADV_DONTNEED = 3, 4

_stores: weakref.WeakValueDictionary[tuple[object, ...], SampleStore] = weakref.WeakValueDictionary()
_on_device: dict[tuple[int, torch.device], tuple[weakref.ref[Tensor], Tensor]] = {}


def free_bytes(device: torch.device) -> int | None:
    """Free memory of a device in bytes; None where it can't be read."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration):
        return None


def is_resident(choice: str, tensors: Sequence[Tensor], device: torch.device) -> bool:
    """Whether the samples of a pair live on the device.

    Args:
        choice: `train.resident`: "on", "off", or "auto", which compares the samples with the free memory.
        tensors: the stored samples (N_i, ...) of the domains.
        device: where batches are needed.
    """
    if choice != "auto":
        return choice == "on"
    if all((id(tensor), device) in _on_device for tensor in tensors):
        return True
    free = free_bytes(device)
    size = sum(tensor.nbytes for tensor in {id(tensor): tensor for tensor in tensors}.values())
    return free is None or size <= RESIDENT_SHARE.get(device.type, RESIDENT_SHARE["cpu"]) * free


def move_once(tensor: Tensor, device: torch.device) -> Tensor:
    """A stored tensor on a device: it is moved once, and its copy lives as long as the stored tensor."""
    if tensor.device == device or device.type == "cpu":
        return tensor.to(device)
    key = (id(tensor), device)
    if key not in _on_device:
        _on_device[key] = (weakref.ref(tensor, lambda _: _on_device.pop(key, None)), tensor.to(device))
    return _on_device[key][1]


def sample_store(tensors: Sequence[Tensor], device: torch.device, resident: bool) -> SampleStore:
    """The store of these tensors: an existing one where one is in use, otherwise a new one."""
    key = (*(id(tensor) for tensor in tensors), device, resident)
    store = _stores.get(key)
    if store is None:
        store = _stores[key] = SampleStore(tensors, device, resident)
    return store


class SampleStore:
    """The samples of one or several domains, one domain after the other, in the type they are stored in.

    Args:
        tensors: samples (N_i, ...) of each domain, of one shape and type.
        device: where batches are needed.
        resident: whether all samples live on that device.
    """

    def __init__(self, tensors: Sequence[Tensor], device: torch.device, resident: bool = True) -> None:
        self.device, self.resident = device, resident
        self.shape = tuple(tensors[0].shape[1:])
        self.dtype = tensors[0].dtype
        self._samples: Tensor | None = None
        """All samples (N, ...) on the device, where they live there."""
        self._arrays: list[np.ndarray[tuple[int, ...], np.dtype[np.generic]]] = []
        self._tensors = list(tensors)
        """References that keep the tensors, and so the ids in the key of `_stores`, alive."""
        self._bytes_read = 0
        single = len(tensors) == 1
        if resident:
            self._samples = move_once(tensors[0], device) if single else torch.cat([tensor.to(device) for tensor in tensors])
        self._files: list[tuple[int, int]] = []
        large = tensors[0][:1].nbytes > _FAULT_AROUND_BYTES  # a page of small samples serves many, and is soon read again
        if not resident or (single and device.type == "cpu" and large):  # on a CPU resident samples may be mapped, too
            self._files = [span for tensor in tensors if (span := _mapped_file(tensor)) is not None]
        if not resident:
            self._arrays = [tensor.numpy() for tensor in tensors]
            self._starts = [0, *itertools.accumulate(len(array) for array in self._arrays)]

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """The samples (N_i, ...) of each domain, as they are stored."""
        return tuple(self._tensors)

    def take(self, indices: Tensor, out: Tensor | None = None) -> Tensor:
        """Samples (..., *sample shape) on the device.

        Args:
            indices: (...), on the device; on the host for a store that is not resident.
            out: (samples, *sample shape) to write into.
        """
        if self._samples is None:
            samples = self.gather(indices, out if self.device.type == "cpu" else None).to(self.device)
            return samples if out is None or self.device.type == "cpu" else out.copy_(samples)
        # on a CPU index_select is several times as fast as samples[indices]
        flat = indices if indices.ndim == 1 else indices.flatten()
        stored = self._samples
        samples = torch.index_select(stored, 0, flat) if out is None else torch.index_select(stored, 0, flat, out=out)
        if self._files:
            self._count_read(samples.nbytes, indices.numel())
        return samples if flat is indices else samples.view(*indices.shape, *self.shape)

    def gather(self, indices: Tensor, out: Tensor | None = None) -> Tensor:
        """Samples (..., *sample shape) on the host, of a store that is not resident.

        Args:
            indices: (...).
            out: (samples, *sample shape) on the host to write into.
        """
        flat = indices.cpu().numpy().reshape(-1)
        samples = torch.empty((len(flat), *self.shape), dtype=self.dtype) if out is None else out
        destination = samples.numpy()
        if len(self._arrays) == 1:
            # mode "clip" writes straight into `out`; no index is out of bounds
            np.take(self._arrays[0], flat, axis=0, out=destination, mode="clip")
        else:
            domains = np.searchsorted(np.asarray(self._starts), flat, side="right") - 1
            for domain, array in enumerate(self._arrays):
                of_domain = domains == domain
                destination[of_domain] = array[flat[of_domain] - self._starts[domain]]
        self._count_read(destination.nbytes, len(flat))
        return samples.view(*indices.shape, *self.shape)

    def read_ahead(self, indices: Tensor) -> None:
        """Tell the system that samples (N,) of mapped files are read soon: it fetches them from the disk in the background."""
        if not self._files:
            return
        for index in indices.tolist():
            domain = bisect.bisect_right(self._starts, index) - 1
            array = self._arrays[domain]
            first = array.ctypes.data + (index - self._starts[domain]) * array.strides[0]
            _advise(first // mmap.PAGESIZE * mmap.PAGESIZE, first % mmap.PAGESIZE + array.strides[0], _MADV_WILLNEED)

    def _count_read(self, size: int, samples: int) -> None:
        """Count the bytes that were read of mapped files, and release their pages from time to time."""
        self._bytes_read += size + samples * _FAULT_AROUND_BYTES
        if self._bytes_read > _READ_BYTES:
            self._bytes_read = 0
            for start, length in self._files:
                _release_pages(start, length)


@dataclass(frozen=True)
class Subset:
    """Samples of a store by their indices (N,), with y, domain and group as in `Labelled`, on the device, where known."""

    store: SampleStore
    indices: Tensor
    y: Tensor | None = None
    domain: Tensor | None = None
    group: Tensor | None = None
    counted: Tensor | None = None  # (N, P) bool, which positions count, where each position of a sample has a label

    @classmethod
    def of(cls, samples: Labelled | Tensor) -> Subset:
        """All samples of plain tensors, on the device that they are on."""
        x = samples.x if isinstance(samples, Labelled) else samples
        indices = torch.arange(len(x), device=x.device)
        store = SampleStore([x], x.device)
        if isinstance(samples, Labelled):
            return cls(store, indices, samples.y, samples.domain, samples.group)
        return cls(store, indices)

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, selected: Tensor) -> Subset:
        """The samples at these positions (M,) of the subset; none is copied."""

        def of(fact: Tensor | None) -> Tensor | None:
            return None if fact is None else fact[selected.to(fact.device)]

        indices = self.indices[selected.to(self.indices.device)]
        return Subset(self.store, indices, of(self.y), of(self.domain), of(self.group), of(self.counted))

    @property
    def x(self) -> Tensor:
        """All samples (N, ...), on the device."""
        return self.store.take(self.indices)

    def chunks(self, sizes: list[int]) -> Iterator[Tensor]:
        """All samples in chunks of these sizes, which sum to N, on the device."""
        for indices in self.indices.split(sizes):
            yield self.store.take(indices)

    def unlabeled(self) -> Subset:
        """The same samples without labels, domains and groups."""
        return Subset(self.store, self.indices, counted=self.counted)


@dataclass(frozen=True)
class Grants:
    """The splits that a method may read, as `Task` has them, with samples that stay where they are stored."""

    classes: int
    source: Subset | None = None
    target: Subset | None = None
    target_labeled: Subset | None = None
    regression: bool = False
    class_texts: tuple[str, ...] = ()
    embed_classes: Callable[[Sequence[str]], Tensor] | None = None
    open_set: bool = False
    tasks: tuple[LabeledTask, ...] = ()
    """Several tasks, whose outputs `classes` counts; labels are then float32 (N, tasks), NaN where one is missing."""
    source_classes: int | None = None
    """The number of classes that source labels index, where the target has others (an inductive label set); None: `classes`."""
    positions: int = 1
    """The outputs of each sample: P where each position has a label."""

    @property
    def columns(self) -> tuple[int, ...]:
        """The numbers of columns that predictions may have: C or K; in an open set C + 1 as well, the last for "unknown"."""
        return (self.classes, self.classes + 1) if self.open_set else (self.classes,)

    @classmethod
    def of(cls, task: Task | Grants) -> Grants:
        """The splits of a task; grants are returned unchanged."""
        if isinstance(task, Grants):
            return task
        subsets = {split: None if (samples := getattr(task, split)) is None else Subset.of(samples) for split in SPLITS}
        named: dict[str, Any] = {"class_texts": task.class_texts, "embed_classes": task.embed_classes, **subsets}
        return cls(task.classes, regression=task.regression, open_set=task.open_set, **named)

    def task(self, transform: Callable[[Tensor], Tensor] = lambda x: x) -> Task:
        """All samples as plain tensors on the device, each x (N, ...) after `transform`."""

        def materialized(subset: Subset | None) -> Labelled | Tensor | None:
            if subset is None or subset.y is None:
                return None if subset is None else transform(subset.x)
            return Labelled(transform(subset.x), subset.y, subset.domain, subset.group)

        splits = {split: materialized(getattr(self, split)) for split in SPLITS}
        named: dict[str, Any] = {"class_texts": self.class_texts, "embed_classes": self.embed_classes, **splits}
        return Task(self.classes, regression=self.regression, open_set=self.open_set, **named)


def _mapped_file(tensor: Tensor) -> tuple[int, int] | None:
    """Start address and length in bytes, in whole pages, of a tensor that is mapped from a file; None for other tensors."""
    start, length, page = tensor.data_ptr(), tensor.nbytes, mmap.PAGESIZE
    first, last = -(-start // page) * page, (start + length) // page * page
    try:
        spans = Path("/proc/self/maps").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    for line in spans:
        span, _, _, _, inode, *path = line.split(maxsplit=5)
        low, high = (int(edge, 16) for edge in span.split("-"))
        if low <= start and start + length <= high:
            return (first, last - first) if path and path[0].startswith("/") and inode != "0" and last > first else None
    return None


def _release_pages(start: int, length: int) -> None:
    """Release the pages of a mapped file from this process; later reads come from the system's cache or from the disk."""
    _advise(start, length, _MADV_DONTNEED)


def _advise(start: int, length: int, advice: int) -> int:
    """Call madvise(2); 0 where the system accepts the advice. Callers need not check, for it is advice alone."""
    return int(_c_library().madvise(ctypes.c_void_p(start), ctypes.c_size_t(length), advice))


@functools.cache
def _c_library() -> ctypes.CDLL:
    return ctypes.CDLL(None)
