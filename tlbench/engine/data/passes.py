"""Passes over all samples of a granted split, outside the steps."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from tlbench.engine.data.inputs import CHUNK_SAMPLES, Inputs, chunks_of, map_in_chunks
from tlbench.engine.data.positions import SplitPositions
from tlbench.engine.data.storage import Grants, Subset
from tlbench.errors import TlbenchError
from tlbench.methods.base import DeepMethod, Phase
from tlbench.nn.positions.packing import pack
from tlbench.terms import STREAM_SPLIT


class SplitPasses:
    """The `Passes` of tlbench/methods/base.py, over the splits that a phase names in `reads` or `passes` and no others.

    Args:
        method: the method, which is in evaluation mode during a pass.
        granted: the splits that it reads.
        inputs: stored samples -> network inputs.
        phase: names the splits.
        positions: K, the positions of each sample that a pass looks at, where each position has a label.
    """

    def __init__(self, method: DeepMethod, granted: Grants, inputs: Inputs, phase: Phase, positions: int = 1) -> None:
        self._method, self._inputs = method, inputs
        self._subsets = {split: getattr(granted, split) for split in phase.reads | phase.passes if split != STREAM_SPLIT}
        self._count = positions
        self._positions: dict[str, SplitPositions] = {}

    def map(self, split: str, function: Callable[[Tensor], Tensor]) -> Tensor:
        """Apply a function to all network inputs of a split, in chunks, in evaluation mode and without gradients: (N, ...).

        Raises:
            TlbenchError: the phase does not name the split.
        """
        subset = self._subset(split)
        with eval_mode(self._method):
            if subset.counted is None:
                return map_in_chunks(function, subset, self._inputs, CHUNK_SAMPLES)
            return self._map_positions(function, split, subset)

    def labels(self, split: str) -> Tensor:
        """The labels (N,) of `source` or `target_labeled`; (N*K,) where K positions of each sample are drawn.

        Raises:
            TlbenchError: the phase does not name the split, or the split has no labels.
        """
        y = self._subset(split).y
        if y is None:
            raise TlbenchError(f"{type(self._method).__name__} asks for the labels of the split {split!r}, which has none.")
        return y if self._subset(split).counted is None else self._positions_of(split).fixed_labels()

    def _map_positions(self, function: Callable[[Tensor], Tensor], split: str, subset: Subset) -> Tensor:
        """The outputs (N*K, ...) at the fixed positions of each sample."""
        positions = self._positions_of(split)
        sizes = chunks_of(len(subset), subset.store.shape, CHUNK_SAMPLES)
        device = subset.store.device
        with torch.no_grad():
            return torch.cat(
                [
                    function(pack(self._inputs(x), positions.at(indices)))
                    for indices, x in zip(
                        torch.arange(len(subset), device=device).split(sizes), subset.chunks(sizes), strict=True
                    )
                ]
            )

    def _positions_of(self, split: str) -> SplitPositions:
        if split not in self._positions:
            self._positions[split] = SplitPositions(self._subset(split), self._count)
        return self._positions[split]

    def _subset(self, split: str) -> Subset:
        subset: Subset | None = self._subsets.get(split)
        if subset is None:
            raise TlbenchError(
                f"{type(self._method).__name__} passes over the split {split!r}, which its phase does not name. "
                "Name it in `reads` or in `passes` of the Phase."
            )
        return subset


@contextlib.contextmanager
def eval_mode(module: nn.Module) -> Iterator[None]:
    """Put a module into evaluation mode inside the block; each submodule returns to its own mode afterwards."""
    modes = [(submodule, submodule.training) for submodule in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for submodule, training in modes:
            submodule.training = training
