"""Passes over all granted rows of a part, outside the steps."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from torch import Tensor, nn

from tlbench.engine.data.inputs import CHUNK, Inputs, in_chunks
from tlbench.engine.data.storage import Grants, Subset
from tlbench.errors import TlbenchError
from tlbench.methods.base import DeepMethod, Phase
from tlbench.terms import STREAM_SPLIT


class SplitPasses:
    """`Rows` of methods/base.py: the parts that a phase reads or passes over, and no other."""

    def __init__(self, method: DeepMethod, granted: Grants, inputs: Inputs, phase: Phase) -> None:
        self._method, self._inputs = method, inputs
        self._parts = {part: getattr(granted, part) for part in phase.reads | phase.passes if part != STREAM_SPLIT}

    def map(self, part: str, function: Callable[[Tensor], Tensor]) -> Tensor:
        """`function` over all inputs of a part, in chunks, in evaluation mode and without gradients."""
        rows = self._of(part)
        with eval_mode(self._method):
            return in_chunks(function, rows, self._inputs, CHUNK)

    def labels(self, part: str) -> Tensor:
        """Labels (N,) of `source` or `few`."""
        y = self._of(part).y
        if y is None:
            raise TlbenchError(f"{type(self._method).__name__} asks for the labels of {part!r}, which has none")
        return y

    def _of(self, part: str) -> Subset:
        rows: Subset | None = self._parts.get(part)
        if rows is None:
            raise TlbenchError(
                f"{type(self._method).__name__} passes over {part!r}, which neither its phase reads nor `passes` names"
            )
        return rows


@contextlib.contextmanager
def eval_mode(module: nn.Module) -> Iterator[None]:
    """In evaluation mode inside; every part of the module is in its old mode afterwards."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training
