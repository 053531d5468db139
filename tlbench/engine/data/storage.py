"""Rows that stay where they are stored: parts are numbers of rows, and no row is copied before it is asked for.

A domain that fits lives on the device once, for all cases that use it. A larger one stays on the host, mapped from disk:
its rows are gathered by number and sent over, and pages of its file that were read are given back now and then.
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

import numpy as np
import torch
from torch import Tensor

from tlbench.terms import Labelled, Task

FITS = {"cuda": 0.4, "cpu": 0.5}
"""Share of the free memory of a device that the rows of one pair may take, for train.resident = "auto"."""
_READ_BYTES = 2**25
"""Bytes of rows read from a mapped file before its pages are given back."""
_AROUND_BYTES = 2**16
"""What the system maps around a page that is asked for, and counts as memory of this process."""
_MADV_WILLNEED, _MADV_DONTNEED = 3, 4

_stores: weakref.WeakValueDictionary[tuple[object, ...], SampleStore] = weakref.WeakValueDictionary()
_on_device: dict[tuple[int, torch.device], tuple[weakref.ref[Tensor], Tensor]] = {}


def free_bytes(device: torch.device) -> int | None:
    """Memory that a device has left; None where it can't be told."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration):
        return None


def is_resident(choice: str, tensors: Sequence[Tensor], device: torch.device) -> bool:
    """Whether the rows of a pair live on the device: `train.resident`, where "auto" looks at the free memory."""
    if choice != "auto":
        return choice == "on"
    if all((id(tensor), device) in _on_device for tensor in tensors):
        return True
    free = free_bytes(device)
    need = sum(tensor.nbytes for tensor in {id(tensor): tensor for tensor in tensors}.values())
    return free is None or need <= FITS.get(device.type, FITS["cpu"]) * free


def move_once(tensor: Tensor, device: torch.device) -> Tensor:
    """A stored tensor on a device: moved once, and kept for as long as the stored one lives."""
    if tensor.device == device or device.type == "cpu":
        return tensor.to(device)
    key = (id(tensor), device)
    if key not in _on_device:
        _on_device[key] = (weakref.ref(tensor, lambda _: _on_device.pop(key, None)), tensor.to(device))
    return _on_device[key][1]


def store_of(tensors: Sequence[Tensor], device: torch.device, resident: bool) -> SampleStore:
    """The store of these tensors: the one that is in use, where there is one."""
    key = (*(id(tensor) for tensor in tensors), device, resident)
    found = _stores.get(key)
    if found is None:
        found = _stores[key] = SampleStore(tensors, device, resident)
    return found


class SampleStore:
    """The rows of one or several domains, one after the other, in the form they are stored in.

    Args:
        tensors: rows (N_i, ...) of one shape and type.
        device: where rows are wanted.
        resident: whether all of them live there.
    """

    def __init__(self, tensors: Sequence[Tensor], device: torch.device, resident: bool = True) -> None:
        self.device, self.resident = device, resident
        self.shape = tuple(tensors[0].shape[1:])
        self.dtype = tensors[0].dtype
        self._rows: Tensor | None = None
        self._arrays: list[np.ndarray[tuple[int, ...], np.dtype[np.generic]]] = []
        self._held = list(tensors)
        self._read = 0
        one = len(tensors) == 1
        if resident:
            self._rows = move_once(tensors[0], device) if one else torch.cat([tensor.to(device) for tensor in tensors])
        self._files: list[tuple[int, int]] = []
        large = tensors[0][:1].nbytes > _AROUND_BYTES  # of small rows each page serves many, and is soon read again
        if not resident or (one and device.type == "cpu" and large):  # a domain that a CPU holds lies in its file, too
            self._files = [span for tensor in tensors if (span := _mapped_file(tensor)) is not None]
        if not resident:
            self._arrays = [tensor.numpy() for tensor in tensors]
            self._starts = [0, *itertools.accumulate(len(array) for array in self._arrays)]

    def take(self, numbers: Tensor, out: Tensor | None = None) -> Tensor:
        """Rows (..., row shape) on the device; their numbers (...) are there too, or on the host for a store that is.

        Into `out` (rows, row shape) where one is given.
        """
        if self._rows is None:
            rows = self.gather(numbers, out if self.device.type == "cpu" else None).to(self.device)
            return rows if out is None or self.device.type == "cpu" else out.copy_(rows)
        # on a CPU several times as fast as rows[numbers]
        flat = numbers if numbers.ndim == 1 else numbers.flatten()
        rows = torch.index_select(self._rows, 0, flat) if out is None else torch.index_select(self._rows, 0, flat, out=out)
        if self._files:
            self._was_read(rows.nbytes, numbers.numel())
        return rows if flat is numbers else rows.view(*numbers.shape, *self.shape)

    def gather(self, numbers: Tensor, out: Tensor | None = None) -> Tensor:
        """Rows of a store on the host, there; into `out` (rows, row shape) where one is given."""
        wanted = numbers.cpu().numpy().reshape(-1)
        rows = torch.empty((len(wanted), *self.shape), dtype=self.dtype) if out is None else out
        into = rows.numpy()
        if len(self._arrays) == 1:
            # mode "clip" writes straight into `out`; all numbers lie within
            np.take(self._arrays[0], wanted, axis=0, out=into, mode="clip")
        else:
            which = np.searchsorted(np.asarray(self._starts), wanted, side="right") - 1
            for number, array in enumerate(self._arrays):
                mine = which == number
                into[mine] = array[wanted[mine] - self._starts[number]]
        self._was_read(into.nbytes, len(wanted))
        return rows.view(*numbers.shape, *self.shape)

    def announce(self, numbers: Tensor) -> None:
        """Tell the system that rows (N,) of mapped files are read soon: it fetches what lies on a disk, nobody waits for it."""
        if not self._files:
            return
        for number in numbers.tolist():
            part = bisect.bisect_right(self._starts, number) - 1
            array = self._arrays[part]
            first = array.ctypes.data + (number - self._starts[part]) * array.strides[0]
            _advise(first // mmap.PAGESIZE * mmap.PAGESIZE, first % mmap.PAGESIZE + array.strides[0], _MADV_WILLNEED)

    def _was_read(self, size: int, rows: int) -> None:
        """Count what was read of mapped files, and give their pages back now and then."""
        self._read += size + rows * _AROUND_BYTES
        if self._read > _READ_BYTES:
            self._read = 0
            for start, length in self._files:
                _release_pages(start, length)


@dataclass(frozen=True)
class Subset:
    """Rows of a store by their numbers (N,), and what is known of each: y, domain and group as in `Labelled`, on the device."""

    store: SampleStore
    indices: Tensor
    y: Tensor | None = None
    domain: Tensor | None = None
    group: Tensor | None = None

    @classmethod
    def of(cls, rows: Labelled | Tensor) -> Subset:
        """All rows of plain tensors, on the device that they are on."""
        x = rows.x if isinstance(rows, Labelled) else rows
        numbers = torch.arange(len(x), device=x.device)
        store = SampleStore([x], x.device)
        return cls(store, numbers, rows.y, rows.domain, rows.group) if isinstance(rows, Labelled) else cls(store, numbers)

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, rows: Tensor) -> Subset:
        """The part's rows of these numbers; still none is copied."""

        def of(fact: Tensor | None) -> Tensor | None:
            return None if fact is None else fact[rows.to(fact.device)]

        numbers = self.indices[rows.to(self.indices.device)]
        return Subset(self.store, numbers, of(self.y), of(self.domain), of(self.group))

    @property
    def x(self) -> Tensor:
        """All rows (N, ...), on the device."""
        return self.store.take(self.indices)

    def chunks(self, rows: int) -> Iterator[Tensor]:
        """All rows, some at a time, on the device."""
        for numbers in self.indices.split(rows):
            yield self.store.take(numbers)

    def unlabelled(self) -> Subset:
        """The same rows, and nothing known of them."""
        return Subset(self.store, self.indices)


@dataclass(frozen=True)
class Grants:
    """What `Task` says, with rows that stay where they are stored."""

    classes: int
    source: Subset | None = None
    target: Subset | None = None
    target_labeled: Subset | None = None
    regression: bool = False

    @classmethod
    def of(cls, task: Task | Grants) -> Grants:
        """The parts of a task."""
        if isinstance(task, Grants):
            return task
        parts = {
            name: None if (rows := getattr(task, name)) is None else Subset.of(rows)
            for name in ("source", "target", "target_labeled")
        }
        return cls(task.classes, **parts, regression=task.regression)

    def task(self, change: Callable[[Tensor], Tensor] = lambda x: x) -> Task:
        """All rows as plain tensors on the device, each x after `change`."""

        def plain(part: Subset | None) -> Labelled | Tensor | None:
            if part is None or part.y is None:
                return None if part is None else change(part.x)
            return Labelled(change(part.x), part.y, part.domain, part.group)

        source, target, few = plain(self.source), plain(self.target), plain(self.target_labeled)
        return Task(self.classes, source, target, few, self.regression)  # type: ignore[arg-type]  # labelled where labels are


def _mapped_file(tensor: Tensor) -> tuple[int, int] | None:
    """Start and length in memory of a tensor that is mapped from a file, in whole pages; None for any other memory."""
    start, length, page = tensor.data_ptr(), tensor.nbytes, mmap.PAGESIZE
    first, last = -(-start // page) * page, (start + length) // page * page
    try:
        spans = Path("/proc/self/maps").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    for line in spans:
        where, _, _, _, inode, *path = line.split(maxsplit=5)
        low, high = (int(edge, 16) for edge in where.split("-"))
        if low <= start and start + length <= high:
            return (first, last - first) if path and path[0].startswith("/") and inode != "0" and last > first else None
    return None


def _release_pages(start: int, length: int) -> None:
    """Let go of the pages of a mapped file: what is read again comes from the system's cache, or from the disk."""
    _advise(start, length, _MADV_DONTNEED)


def _advise(start: int, length: int, what: int) -> int:
    """0 where the system takes the advice; it is no more than that, and so nobody asks."""
    return int(_system().madvise(ctypes.c_void_p(start), ctypes.c_size_t(length), what))


@functools.cache
def _system() -> ctypes.CDLL:
    return ctypes.CDLL(None)
