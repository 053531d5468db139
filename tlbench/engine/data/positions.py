"""The positions (tokens, pixels) that steps and passes draw of each sample, where each position has a label.

A step draws K positions of each of its samples: one from each of K equal stretches of those that count, in their order. All
that count are drawn equally often; a sample with fewer than K gives some of them more than once. The draws of all steps are
made before the first one, on the CPU and from a seed of their own. Passes over all samples (`Phase.begin`) take the middle of
each stretch, and so do the steps of a phase that has such passes: position k of sample i is then slot i K + k of a memory
bank.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import torch
from torch import Tensor

from tlbench.engine.data.storage import Subset
from tlbench.engine.runtime.seeds import generator
from tlbench.terms import IGNORED, Labelled

MIDDLE = 0.5
"""Where a fixed position lies within its stretch."""


def draw_offsets(steps: int, batch_size: int, count: int, seed: int) -> Tensor:
    """Where the position of each stretch lies within it, from 0 to 1: float32 (steps, batch_size, K).

    Args:
        steps: of the phase.
        batch_size: samples of a step.
        count: K.
        seed: of the draws.
    """
    return torch.rand(steps, batch_size, count, generator=generator(seed))


class SplitPositions:
    """The positions of the samples of one split that count.

    Args:
        subset: the split, whose `counted` (N, P) says which positions count.
        count: K, the positions that are drawn of a sample.
    """

    def __init__(self, subset: Subset, count: int) -> None:
        assert subset.counted is not None
        self.count, self._y = count, subset.y
        counted_NP = subset.counted
        self._sizes = counted_NP.sum(dim=1)
        self._order = None if bool(counted_NP.all()) else torch.argsort(~counted_NP, dim=1, stable=True)
        """(N, P) the positions that count first, in their order; None where all count."""

    def at(self, indices_B: Tensor, offsets_BK: Tensor | None = None) -> Tensor:
        """The drawn positions (B, K) of some samples of the split.

        Args:
            indices_B: indices of the samples.
            offsets_BK: where each lies within its stretch, from 0 to 1; None: in the middle.
        """
        sizes_B1 = self._sizes[indices_B][:, None]
        stretch_K = torch.arange(self.count, device=indices_B.device)
        ranks_BK = (stretch_K + (MIDDLE if offsets_BK is None else offsets_BK)) * (sizes_B1 / self.count)
        ranks_BK = torch.minimum(ranks_BK.long(), sizes_B1 - 1)
        return ranks_BK if self._order is None else self._order[indices_B].gather(1, ranks_BK)

    def labels(self, indices_B: Tensor, positions_BK: Tensor) -> Tensor:
        """The labels (B*K,) of some positions of samples."""
        assert self._y is not None
        return self._y[indices_B].gather(1, positions_BK).flatten()

    def fixed_labels(self) -> Tensor:
        """The labels (N*K,) of the fixed positions of all samples."""
        everything = torch.arange(len(self._sizes), device=self._sizes.device)
        return self.labels(everything, self.at(everything))


class PhasePositions:
    """The positions that the steps of a phase draw, by split.

    Args:
        subsets: the split name -> its samples.
        offsets: the split name -> offsets (steps, B, K) of all steps; None: each step takes the fixed positions.
        count: K.
    """

    def __init__(self, subsets: Mapping[str, Subset], offsets: Mapping[str, Tensor] | None, count: int) -> None:
        self._splits = {split: SplitPositions(subset, count) for split, subset in subsets.items()}
        self._offsets, self.count = offsets, count

    def at(self, step: int | Tensor, split: str, indices_B: Tensor) -> Tensor:
        """The positions (B, K) that a step draws of its samples.

        Args:
            step: its index, or a tensor (1,) on the device that holds it.
            split: the split.
            indices_B: indices of its samples within the split.
        """
        offsets_BK = None
        if self._offsets is not None:
            table = self._offsets[split]
            offsets_BK = table[step] if isinstance(step, int) else table.index_select(0, step)[0]
        return self._splits[split].at(indices_B, offsets_BK)

    def labeled(self, batch: Labelled, split: str, indices_B: Tensor, positions_BK: Tensor) -> Labelled:
        """The batch with a label, a domain and a group for each drawn position: (B*K,).

        Args:
            batch: the inputs, domains and groups of its samples.
            split: the split.
            indices_B: indices of the samples within the split.
            positions_BK: their drawn positions.
        """
        y = self._splits[split].labels(indices_B, positions_BK)
        domain, group = (
            None if fact is None else fact.repeat_interleave(self.count, output_size=len(y))
            for fact in (batch.domain, batch.group)
        )
        return Labelled(batch.x, y, domain, group)

    def slots(self, indices_B: Tensor) -> Tensor:
        """The slots (B*K,) of the positions in a memory bank of K positions of each sample."""
        stretch_K = torch.arange(self.count, device=indices_B.device)
        return (indices_B[:, None] * self.count + stretch_K).flatten()


def with_counted(subset: Subset) -> Subset:
    """The subset with the positions that count: those that have a label."""
    assert subset.y is not None
    return dataclasses.replace(subset, counted=subset.y != IGNORED)


def counted_outputs(outputs: Tensor, subset: Subset) -> Tensor:
    """The outputs (N*P, C) of the samples of a subset at those positions that count (M, C); of other tasks unchanged."""
    if subset.counted is None:
        return outputs
    return outputs[subset.counted.flatten().to(outputs.device)]


def counted_labels(subset: Subset) -> Tensor:
    """The labels of a subset at those positions that count (M,); of other tasks all of them."""
    assert subset.y is not None
    return subset.y if subset.counted is None else subset.y[subset.counted]
