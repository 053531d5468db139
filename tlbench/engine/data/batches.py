"""The batches of a phase: drawn by index on the device; rows that live on the host are made ready ahead of the steps."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import torch
from torch import Tensor

from tlbench.engine.data.inputs import Inputs
from tlbench.engine.data.storage import SampleStore, Subset
from tlbench.nn.net import concatenated
from tlbench.terms import Labelled, Step

AHEAD = 4
"""Batches that are kept ready where rows live on the host."""


class Batches:
    """What each step draws.

    Args:
        parts: by name; several for each name where several seeds are trained together: their batches are stacked.
        rows: numbers within each part, (steps, batch) for each of them.
        inputs: stored rows -> network inputs.
        first: the step that is asked for first, where a training goes on from a checkpoint.
    """

    def __init__(
        self, parts: Mapping[str, Sequence[Subset]], rows: Mapping[str, Sequence[Tensor]], inputs: Inputs, first: int = 0
    ) -> None:
        self._inputs = inputs
        self._parts = {name: _Drawn(several, rows[name]) for name, several in parts.items()}
        self._counts = [drawn.split_indices[0].numel() if len(drawn.split_indices) else 0 for drawn in self._parts.values()]
        self._together = len(self._parts) > 1 and alike(drawn.store for drawn in self._parts.values())
        if self._parts:
            self._store = next(iter(self._parts.values())).store
            self._room = (sum(self._counts), *self._store.shape)
        self._host = {name: drawn for name, drawn in self._parts.items() if not drawn.store.resident}
        # a CPU gathers rows in the step: a thread beside it would take a core from the threads of the step, which wait for it
        sent = bool(self._host) and next(iter(self._host.values())).store.device.type != "cpu"
        self._ahead = Prefetcher(self._host, first) if sent else None
        for soon in range(first, first + AHEAD):
            self._announce(soon)
        self.steps = min((len(drawn.store_indices) for drawn in self._parts.values()), default=0)

    @property
    def resident(self) -> bool:
        """Whether all rows live on the device."""
        return not self._host

    def at(self, step: int | Tensor, progress: float | Tensor) -> Step:
        """The batch of a step; steps are asked for in order. A tensor (1,) on the device stands for the number of the step."""
        lines = {name: part.of(step, part.split_indices) for name, part in self._parts.items()}
        inputs = self._inputs_of(step, lines, {} if self._ahead is None else self._ahead.next())
        if self._host and isinstance(step, int):
            self._announce(step + AHEAD)
        drawn: dict[str, Any] = {}
        rows = {}
        for name, part in self._parts.items():
            at, x = lines[name], inputs[name]
            drawn[name] = part.labelled(x if at.ndim == 1 else x.unflatten(0, at.shape), at)
            rows[name] = at if part.offsets is None else at - part.offsets
        return Step(**drawn, indices=rows, progress=progress)  # type: ignore[arg-type]

    def _inputs_of(self, step: int | Tensor, lines: Mapping[str, Tensor], ready: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Network inputs (B, ...) of each part; where rows are alike, pieces of one tensor, which a forward takes as it is."""
        if self._together and not ready:
            whole = torch.empty(self._room, dtype=self._store.dtype, device=self._store.device)
            for (name, part), out in zip(self._parts.items(), whole.split(self._counts), strict=True):
                part.store.take(part.stored(step, lines[name]), out)
        else:
            stored = {
                name: ready[name] if name in ready else part.store.take(part.stored(step, lines[name]))
                for name, part in self._parts.items()
            }
            if not self._together:
                return {name: self._inputs(x) for name, x in stored.items()}
            whole = concatenated(*stored.values())
        return dict(zip(lines, self._inputs(whole).split(self._counts), strict=True))

    def _announce(self, step: int) -> None:
        """Where nothing is made ready ahead, the system is told which rows of the host are asked for soon."""
        for drawn in self._host.values() if self._ahead is None else ():
            if step < len(drawn.store_indices):
                drawn.store.announce(drawn.store_indices[step].flatten())

    def close(self) -> None:
        """No batch is asked for any more."""
        if self._ahead is not None:
            self._ahead.close()


def alike(stores: Iterable[SampleStore]) -> bool:
    """Whether rows of all stores fit into one tensor."""
    return len({(store.shape, store.dtype) for store in stores}) == 1


def empty(stores: Mapping[str, SampleStore], counts: Mapping[str, int], **how: Any) -> dict[str, Tensor]:
    """Room for so many rows of each store (count, row shape): one tensor in pieces where the rows are alike."""
    first = next(iter(stores.values()))
    if alike(stores.values()):
        whole = torch.empty((sum(counts.values()), *first.shape), dtype=first.dtype, **how)
        return dict(zip(stores, whole.split(list(counts.values())), strict=True))
    return {name: torch.empty((counts[name], *store.shape), dtype=store.dtype, **how) for name, store in stores.items()}


class _Drawn:
    """One part, or the same part of several seeds one after the other, and what its steps draw."""

    def __init__(self, parts: Sequence[Subset], rows: Sequence[Tensor]) -> None:
        self.store = parts[0].store
        if any(part.store is not self.store for part in parts):
            raise ValueError("seeds that are trained together draw from one store")
        device = self.store.device
        if len(parts) == 1:
            self.split_indices, self.offsets, part = rows[0], None, parts[0]
            self.y, self.domain, self.group, numbers = part.y, part.domain, part.group, part.indices
        else:
            starts = torch.tensor([0, *(len(part) for part in parts)], device=device).cumsum(0)[:-1]
            self.offsets = starts[:, None]
            self.split_indices = torch.stack(list(rows), dim=1) + self.offsets
            self.y, self.domain, self.group, joined = (
                _joined([getattr(part, fact) for part in parts]) for fact in ("y", "domain", "group", "indices")
            )
            assert joined is not None
            numbers = joined
        whole = numbers.device == self.split_indices.device and torch.equal(numbers, torch.arange(len(numbers), device=device))
        self.store_indices = self.split_indices if whole else numbers[self.split_indices.to(numbers.device)]
        # one source: the domain of a batch is the same at every step, and so is not drawn
        alike = self.domain is not None and bool((self.domain == self.domain[0]).all())
        self._alike = (
            self.domain[self.split_indices[0]] if alike and self.domain is not None and len(self.split_indices) else None
        )

    @staticmethod
    def of(step: int | Tensor, table: Tensor) -> Tensor:
        """The line of a table for a step."""
        return table[step] if isinstance(step, int) else table.index_select(0, step)[0]

    def stored(self, step: int | Tensor, line: Tensor) -> Tensor:
        """Numbers (B,) in the store of the rows of a step, which are `line` within the part."""
        numbers = line if self.store_indices is self.split_indices else self.of(step, self.store_indices)
        return numbers if numbers.ndim == 1 else numbers.flatten()

    def labelled(self, x: Tensor, at: Tensor) -> Labelled | Tensor:
        """The drawn rows with what is known of them."""
        if self.y is None:
            return x
        domain = self._alike
        if domain is None and self.domain is not None:
            domain = self.domain[at]
        y = self.y.index_select(0, at) if at.ndim == 1 else self.y[at]  # the shorter way is the faster one
        return Labelled(x, y, domain, None if self.group is None else self.group[at])


def _joined(facts: Sequence[Tensor | None]) -> Tensor | None:
    known = [fact for fact in facts if fact is not None]
    return torch.cat(known) if len(known) == len(facts) else None


class Prefetcher:
    """Gathers rows of the host in a thread, `AHEAD` steps before they are asked for.

    They go to the GPU through pinned memory and a stream of their own: the step's stream waits for the copy, the program does
    not.
    """

    def __init__(self, parts: Mapping[str, _Drawn], first: int = 0) -> None:
        self._stores: dict[str, SampleStore] = {name: part.store for name, part in parts.items()}
        self._numbers = {name: part.store_indices.cpu() for name, part in parts.items()}
        self._steps = min(len(numbers) for numbers in self._numbers.values())
        self.device = next(iter(self._stores.values())).device
        self._stream = torch.cuda.Stream(self.device)
        self._pinned: dict[int, dict[str, Tensor]] = {}
        self._copied: dict[int, Any] = {}
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="batches")
        self._ready: deque[Future[tuple[dict[str, Tensor], Any]]] = deque()
        self._asked = first
        for _ in range(AHEAD):
            self._ask()

    def next(self) -> dict[str, Tensor]:
        """Stored rows of the next step by part, on the device."""
        rows, copied = self._ready.popleft().result()
        self._ask()
        stream = torch.cuda.current_stream(self.device)
        stream.wait_event(copied)
        for tensor in rows.values():
            tensor.record_stream(stream)
        return rows

    def close(self) -> None:
        """Stop the thread."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _ask(self) -> None:
        if self._asked < self._steps:
            self._ready.append(self._pool.submit(self._make, self._asked))
            self._asked += 1

    def _make(self, step: int) -> tuple[dict[str, Tensor], Any]:
        numbers = {name: table[step].flatten() for name, table in self._numbers.items()}
        slot = step % (AHEAD + 1)
        if slot in self._copied:
            self._copied[slot].synchronize()  # this thread alone waits: the pinned rows are still on their way
        else:
            self._pinned[slot] = empty(self._stores, {name: len(wanted) for name, wanted in numbers.items()}, pin_memory=True)
        gathered = {name: self._stores[name].gather(wanted, self._pinned[slot][name]) for name, wanted in numbers.items()}
        with torch.cuda.stream(self._stream):
            if alike(self._stores.values()):  # one copy for all
                sent = concatenated(*gathered.values()).to(self.device, non_blocking=True)
                rows = dict(zip(gathered, sent.split([len(part) for part in gathered.values()]), strict=True))
            else:
                rows = {name: part.to(self.device, non_blocking=True) for name, part in gathered.items()}
            self._copied[slot] = self._stream.record_event()
        return rows, self._copied[slot]
