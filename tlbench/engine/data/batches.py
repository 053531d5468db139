"""The batches of a phase, drawn by index on the device; samples that live on the host are prefetched."""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import torch
from torch import Tensor

from tlbench.engine.data.augmented import BatchAugmentation
from tlbench.engine.data.inputs import Inputs
from tlbench.engine.data.positions import PhasePositions
from tlbench.engine.data.storage import SampleStore, Subset
from tlbench.nn.net import concatenated
from tlbench.nn.positions.packing import pack
from tlbench.terms import Labelled, Step

PREFETCHED = 4
"""Number of batches that are prefetched where samples live on the host."""


class Batches:
    """The batches of all steps of a phase.

    Args:
        subsets: the split name -> its samples, one subset for each seed; batches of several seeds are stacked.
        indices: the split name -> sample indices (steps, batch_size) within the subset, one tensor for each seed.
        inputs: stored samples -> network inputs.
        first_step: index of the first step that is asked for; not 0 where a training resumes from a checkpoint.
        augmentation: the views of the samples; None: batches hold the samples themselves.
        positions: the positions that steps draw of each sample, where each has a label; None: for other tasks.
    """

    def __init__(
        self,
        subsets: Mapping[str, Sequence[Subset]],
        indices: Mapping[str, Sequence[Tensor]],
        inputs: Inputs,
        first_step: int = 0,
        augmentation: BatchAugmentation | None = None,
        positions: PhasePositions | None = None,
    ) -> None:
        self._inputs, self._augmentation, self._positions = inputs, augmentation, positions
        self._draws = {split: SplitDraws(per_seed, indices[split]) for split, per_seed in subsets.items()}
        self._sizes = [draws.split_indices[0].numel() if len(draws.split_indices) else 0 for draws in self._draws.values()]
        self._one_tensor = len(self._draws) > 1 and share_layout(draws.store for draws in self._draws.values())
        """Whether the batches of all splits are slices of one tensor."""
        if self._draws:
            self._store = next(iter(self._draws.values())).store
            self._batch_shape = (sum(self._sizes), *self._store.shape)
        self._on_host = {split: draws for split, draws in self._draws.items() if not draws.store.resident}
        # on a CPU the step gathers its samples itself: a thread would take a core from the threads of the step
        prefetches = bool(self._on_host) and next(iter(self._on_host.values())).store.device.type != "cpu"
        self._prefetcher = Prefetcher(self._on_host, first_step) if prefetches else None
        for step in range(first_step, first_step + PREFETCHED):
            self._read_ahead(step)
        self.steps = min((len(draws.store_indices) for draws in self._draws.values()), default=0)

    @property
    def resident(self) -> bool:
        """Whether all samples live on the device."""
        return not self._on_host

    def at(self, step: int | Tensor, progress: float | Tensor) -> Step:
        """The batch of a step; steps are asked for in order. A tensor (1,) on the device may stand for the step's index."""
        indices = {split: draws.of(step, draws.split_indices) for split, draws in self._draws.items()}
        drawn = {} if self._positions is None else {split: self._positions.at(step, split, of) for split, of in indices.items()}
        inputs = self._inputs_of(step, indices, {} if self._prefetcher is None else self._prefetcher.next(), drawn)
        if self._on_host and isinstance(step, int):
            self._read_ahead(step + PREFETCHED)
        batches: dict[str, Any] = {}
        within_split = {}
        for split, draws in self._draws.items():
            batch_indices, x = indices[split], inputs[split]
            x = x if batch_indices.ndim == 1 else x.unflatten(0, batch_indices.shape)
            batch = draws.labeled(x, batch_indices)
            if self._augmentation is not None and isinstance(batch, Labelled):
                batch = dataclasses.replace(batch, y=self._augmentation.labels(step, split, batch.y))
            within_split[split] = batch_indices if draws.offsets is None else batch_indices - draws.offsets
            if self._positions is not None:
                if isinstance(batch, Labelled):
                    batch = self._positions.labeled(batch, split, batch_indices, drawn[split])
                within_split[split] = self._positions.slots(batch_indices)
            batches[split] = batch
        return Step(**batches, indices=within_split, progress=progress)  # type: ignore[arg-type]

    def _inputs_of(
        self,
        step: int | Tensor,
        indices: Mapping[str, Tensor],
        prefetched: Mapping[str, Tensor],
        drawn: Mapping[str, Tensor],
    ) -> dict[str, Tensor]:
        """Network inputs (B, ...) of each split; slices of one tensor where shapes agree, so that a forward copies nothing."""
        if self._one_tensor and not prefetched:
            whole = torch.empty(self._batch_shape, dtype=self._store.dtype, device=self._store.device)
            for (split, draws), out in zip(self._draws.items(), whole.split(self._sizes), strict=True):
                draws.store.take(draws.in_store(step, indices[split]), out)
        else:
            stored = {
                split: prefetched[split] if split in prefetched else draws.store.take(draws.in_store(step, indices[split]))
                for split, draws in self._draws.items()
            }
            if not self._one_tensor:
                return {split: self._views(step, [split], x, drawn) for split, x in stored.items()}
            whole = concatenated(*stored.values())
        return dict(zip(indices, self._views(step, list(self._draws), whole, drawn).split(self._sizes), strict=True))

    def _views(self, step: int | Tensor, splits: list[str], x: Tensor, drawn: Mapping[str, Tensor]) -> Tensor:
        """Network inputs (B, ...) of the stored samples of these splits, augmented if declared, with the drawn positions."""
        inputs = self._inputs(x if self._augmentation is None else self._augmentation.views(step, splits, x))
        return pack(inputs, torch.cat([drawn[split] for split in splits])) if drawn else inputs

    def _read_ahead(self, step: int) -> None:
        """Where no thread prefetches, tell the system which samples of mapped files a later step reads."""
        for draws in self._on_host.values() if self._prefetcher is None else ():
            if step < len(draws.store_indices):
                draws.store.read_ahead(draws.store_indices[step].flatten())

    def close(self) -> None:
        """Stop prefetching; no batch may be asked for afterwards."""
        if self._prefetcher is not None:
            self._prefetcher.close()


def share_layout(stores: Iterable[SampleStore]) -> bool:
    """Whether samples of all stores have one shape and type, so that they fit into one tensor."""
    return len({(store.shape, store.dtype) for store in stores}) == 1


def empty_samples(stores: Mapping[str, SampleStore], counts: Mapping[str, int], **options: Any) -> dict[str, Tensor]:
    """Uninitialised tensors (count, *sample shape) for samples of each store: slices of one tensor where shapes agree.

    Args:
        stores: the stores, by split.
        counts: number of samples, by split.
        options: keywords of `torch.empty`.
    """
    first = next(iter(stores.values()))
    if share_layout(stores.values()):
        whole = torch.empty((sum(counts.values()), *first.shape), dtype=first.dtype, **options)
        return dict(zip(stores, whole.split(list(counts.values())), strict=True))
    return {split: torch.empty((counts[split], *store.shape), dtype=store.dtype, **options) for split, store in stores.items()}


class SplitDraws:
    """The samples that the steps of a phase draw from one split: of one seed, or of several seeds stacked."""

    def __init__(self, subsets: Sequence[Subset], indices: Sequence[Tensor]) -> None:
        self.store = subsets[0].store
        if any(subset.store is not self.store for subset in subsets):
            raise ValueError("Vmapped seeds must draw from the same sample store.")
        device = self.store.device
        self.offsets: Tensor | None = None
        """(seeds, 1) where each seed's samples begin in the concatenated subsets; None for one seed."""
        if len(subsets) == 1:
            self.split_indices, subset = indices[0], subsets[0]
            self.y, self.domain, self.group, in_store = subset.y, subset.domain, subset.group, subset.indices
        else:
            starts = torch.tensor([0, *(len(subset) for subset in subsets)], device=device).cumsum(0)[:-1]
            self.offsets = starts[:, None]
            self.split_indices = torch.stack(list(indices), dim=1) + self.offsets
            self.y, self.domain, self.group, all_indices = (
                _concatenated_fact([getattr(subset, fact) for subset in subsets])
                for fact in ("y", "domain", "group", "indices")
            )
            assert all_indices is not None
            in_store = all_indices
        same_device = in_store.device == self.split_indices.device
        whole_store = same_device and torch.equal(in_store, torch.arange(len(in_store), device=device))
        self.store_indices = self.split_indices if whole_store else in_store[self.split_indices.to(in_store.device)]
        # with one source the domain of a batch is the same at every step, and is looked up once
        one_domain = self.domain is not None and bool((self.domain == self.domain[0]).all())
        self._constant_domain = (
            self.domain[self.split_indices[0]] if one_domain and self.domain is not None and len(self.split_indices) else None
        )

    @staticmethod
    def of(step: int | Tensor, table: Tensor) -> Tensor:
        """The entry (B,) or (seeds, B) of a table (steps, ...) for a step."""
        return table[step] if isinstance(step, int) else table.index_select(0, step)[0]

    def in_store(self, step: int | Tensor, indices: Tensor) -> Tensor:
        """Store indices (B,) of the samples of a step, whose indices within the split are given."""
        in_store = indices if self.store_indices is self.split_indices else self.of(step, self.store_indices)
        return in_store if in_store.ndim == 1 else in_store.flatten()

    def labeled(self, x: Tensor, indices: Tensor) -> Labelled | Tensor:
        """A batch of network inputs with its labels, domains and groups; the inputs alone where the split has no labels."""
        if self.y is None:
            return x
        domain = self._constant_domain
        if domain is None and self.domain is not None:
            domain = self.domain[indices]
        y = self.y.index_select(0, indices) if indices.ndim == 1 else self.y[indices]  # index_select is faster
        return Labelled(x, y, domain, None if self.group is None else self.group[indices])


def _concatenated_fact(facts: Sequence[Tensor | None]) -> Tensor | None:
    known = [fact for fact in facts if fact is not None]
    return torch.cat(known) if len(known) == len(facts) else None


class Prefetcher:
    """A thread that gathers samples of the host `PREFETCHED` steps before they are asked for.

    They go to the GPU through pinned memory and on a stream of their own: the step's stream waits for the copy, the host does
    not.
    """

    def __init__(self, draws: Mapping[str, SplitDraws], first_step: int = 0) -> None:
        self._stores: dict[str, SampleStore] = {split: of_split.store for split, of_split in draws.items()}
        self._indices = {split: of_split.store_indices.cpu() for split, of_split in draws.items()}
        self._steps = min(len(indices) for indices in self._indices.values())
        self.device = next(iter(self._stores.values())).device
        self._stream = torch.cuda.Stream(self.device)
        self._pinned: dict[int, dict[str, Tensor]] = {}
        self._copy_events: dict[int, Any] = {}
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="batches")
        self._batches: deque[Future[tuple[dict[str, Tensor], Any]]] = deque()
        self._next_step = first_step
        for _ in range(PREFETCHED):
            self._submit()

    def next(self) -> dict[str, Tensor]:
        """Stored samples of the next step by split, on the device."""
        samples, copy_event = self._batches.popleft().result()
        self._submit()
        stream = torch.cuda.current_stream(self.device)
        stream.wait_event(copy_event)
        for tensor in samples.values():
            tensor.record_stream(stream)
        return samples

    def close(self) -> None:
        """Stop the thread."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _submit(self) -> None:
        """Let the thread gather the batch of one more step."""
        if self._next_step < self._steps:
            self._batches.append(self._pool.submit(self._gather, self._next_step))
            self._next_step += 1

    def _gather(self, step: int) -> tuple[dict[str, Tensor], Any]:
        """Stored samples of a step on their way to the device, and the event that ends their copy."""
        indices = {split: table[step].flatten() for split, table in self._indices.items()}
        slot = step % (PREFETCHED + 1)
        if slot in self._copy_events:
            self._copy_events[slot].synchronize()  # only this thread waits: the slot's last samples are still being copied
        else:
            counts = {split: len(of_split) for split, of_split in indices.items()}
            self._pinned[slot] = empty_samples(self._stores, counts, pin_memory=True)
        gathered = {split: self._stores[split].gather(indices[split], self._pinned[slot][split]) for split in indices}
        with torch.cuda.stream(self._stream):
            if share_layout(self._stores.values()):  # one copy for all splits
                whole = concatenated(*gathered.values()).to(self.device, non_blocking=True)
                samples = dict(zip(gathered, whole.split([len(x) for x in gathered.values()]), strict=True))
            else:
                samples = {split: x.to(self.device, non_blocking=True) for split, x in gathered.items()}
            self._copy_events[slot] = self._stream.record_event()
        return samples, self._copy_events[slot]
