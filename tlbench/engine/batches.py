"""The batches of a phase: drawn by index on the device; rows that live on the host are made ready ahead of the steps."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import torch
from torch import Tensor

from tlbench.engine.inputs import Inputs
from tlbench.engine.rows import Part, Store
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
        self, parts: Mapping[str, Sequence[Part]], rows: Mapping[str, Sequence[Tensor]], inputs: Inputs, first: int = 0
    ) -> None:
        self._inputs = inputs
        self._parts = {name: _Drawn(several, rows[name]) for name, several in parts.items()}
        host = {name: drawn for name, drawn in self._parts.items() if not drawn.store.resident}
        self._ahead = Ahead(host, first) if host else None
        self.steps = min((len(drawn.numbers) for drawn in self._parts.values()), default=0)

    @property
    def resident(self) -> bool:
        """Whether all rows live on the device."""
        return self._ahead is None

    def at(self, step: int | Tensor, progress: float | Tensor) -> Step:
        """The batch of a step; steps are asked for in order. A tensor (1,) on the device stands for the number of the step."""
        ready = {} if self._ahead is None else self._ahead.next()
        drawn: dict[str, Any] = {}
        rows = {}
        for name, part in self._parts.items():
            at = part.of(step, part.rows)
            if name in ready:
                x = ready[name]
            else:
                x = part.store.take(at if part.numbers is part.rows else part.of(step, part.numbers))
            x = self._inputs(x) if at.ndim == 1 else self._inputs(x.flatten(0, 1)).unflatten(0, at.shape)
            drawn[name] = part.labelled(x, at)
            rows[name] = at if part.offsets is None else at - part.offsets
        return Step(**drawn, rows=rows, progress=progress)  # type: ignore[arg-type]

    def close(self) -> None:
        """No batch is asked for any more."""
        if self._ahead is not None:
            self._ahead.close()


class _Drawn:
    """One part, or the same part of several seeds one after the other, and what its steps draw."""

    def __init__(self, parts: Sequence[Part], rows: Sequence[Tensor]) -> None:
        self.store = parts[0].store
        if any(part.store is not self.store for part in parts):
            raise ValueError("seeds that are trained together draw from one store")
        device = self.store.device
        if len(parts) == 1:
            self.rows, self.offsets, part = rows[0], None, parts[0]
            self.y, self.domain, self.group, numbers = part.y, part.domain, part.group, part.numbers
        else:
            starts = torch.tensor([0, *(len(part) for part in parts)], device=device).cumsum(0)[:-1]
            self.offsets = starts[:, None]
            self.rows = torch.stack(list(rows), dim=1) + self.offsets
            self.y, self.domain, self.group, joined = (
                _joined([getattr(part, fact) for part in parts]) for fact in ("y", "domain", "group", "numbers")
            )
            assert joined is not None
            numbers = joined
        whole = numbers.device == self.rows.device and torch.equal(numbers, torch.arange(len(numbers), device=device))
        self.numbers = self.rows if whole else numbers[self.rows.to(numbers.device)]
        # one source: the domain of a batch is the same at every step, and so is not drawn
        alike = self.domain is not None and bool((self.domain == self.domain[0]).all())
        self._alike = self.domain[self.rows[0]] if alike and self.domain is not None and len(self.rows) else None

    @staticmethod
    def of(step: int | Tensor, table: Tensor) -> Tensor:
        """The line of a table for a step."""
        return table[step] if isinstance(step, int) else table.index_select(0, step)[0]

    def labelled(self, x: Tensor, at: Tensor) -> Labelled | Tensor:
        """The drawn rows with what is known of them."""
        if self.y is None:
            return x
        domain = self._alike
        if domain is None and self.domain is not None:
            domain = self.domain[at]
        return Labelled(x, self.y[at], domain, None if self.group is None else self.group[at])


def _joined(facts: Sequence[Tensor | None]) -> Tensor | None:
    known = [fact for fact in facts if fact is not None]
    return torch.cat(known) if len(known) == len(facts) else None


class Ahead:
    """Gathers rows from the host in a thread, `AHEAD` steps before they are asked for.

    For a GPU they go through pinned memory and a stream of their own: the step's stream waits for the copy, the program
    does not.
    """

    def __init__(self, parts: Mapping[str, _Drawn], first: int = 0) -> None:
        self._stores: dict[str, Store] = {name: part.store for name, part in parts.items()}
        self._numbers = {name: part.numbers.cpu() for name, part in parts.items()}
        self._steps = min(len(numbers) for numbers in self._numbers.values())
        self.device = next(iter(self._stores.values())).device
        self._stream = torch.cuda.Stream(self.device) if self.device.type == "cuda" else None
        self._pinned: dict[tuple[str, int], Tensor] = {}
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
        if copied is not None:
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
        numbers = {name: table[step] for name, table in self._numbers.items()}
        if self._stream is None:
            return {name: self._stores[name].gather(n) for name, n in numbers.items()}, None
        slot = step % (AHEAD + 1)
        if slot in self._copied:
            self._copied[slot].synchronize()  # this thread alone waits: the pinned rows are still on their way
        rows = {}
        with torch.cuda.stream(self._stream):
            for name, wanted in numbers.items():
                shape = (wanted.numel(), *self._stores[name].shape)
                if (name, slot) not in self._pinned:
                    self._pinned[name, slot] = torch.empty(shape, dtype=self._stores[name].dtype, pin_memory=True)
                gathered = self._stores[name].gather(wanted, self._pinned[name, slot])
                rows[name] = gathered.to(self.device, non_blocking=True)
            self._copied[slot] = self._stream.record_event()
        return rows, self._copied[slot]
