"""Passes over all samples of a granted split, outside the steps."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from torch import Tensor, nn

from tlbench.engine.data.inputs import CHUNK_SAMPLES, Inputs, map_in_chunks
from tlbench.engine.data.storage import Grants, Subset
from tlbench.errors import TlbenchError
from tlbench.methods.base import DeepMethod, Phase
from tlbench.terms import STREAM_SPLIT


class SplitPasses:
    """The `Passes` of tlbench/methods/base.py, over the splits that a phase names in `reads` or `passes` and no others."""

    def __init__(self, method: DeepMethod, granted: Grants, inputs: Inputs, phase: Phase) -> None:
        self._method, self._inputs = method, inputs
        self._subsets = {split: getattr(granted, split) for split in phase.reads | phase.passes if split != STREAM_SPLIT}

    def map(self, split: str, function: Callable[[Tensor], Tensor]) -> Tensor:
        """Apply a function to all network inputs of a split, in chunks, in evaluation mode and without gradients: (N, ...).

        Raises:
            TlbenchError: the phase does not name the split.
        """
        subset = self._subset(split)
        with eval_mode(self._method):
            return map_in_chunks(function, subset, self._inputs, CHUNK_SAMPLES)

    def labels(self, split: str) -> Tensor:
        """The labels (N,) of `source` or `target_labeled`.

        Raises:
            TlbenchError: the phase does not name the split, or the split has no labels.
        """
        y = self._subset(split).y
        if y is None:
            raise TlbenchError(f"{type(self._method).__name__} asks for the labels of the split {split!r}, which has none.")
        return y

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
