"""The source model: what source-free methods start from, without any adaptation; their source-only baseline.

Liang, Hu and Feng, Do we really need to access the source data?, ICML 2020. https://arxiv.org/abs/2002.08546
"""

from __future__ import annotations

from pydantic import Field
from torch import Tensor

from tlbench.methods.base import Phase
from tlbench.methods.source_free._source_free import SourceFree
from tlbench.terms import Step


class SourceModel(SourceFree):
    """CE with smoothed labels on the source, on the network of `shot`; no step on the target follows.

    With the `source_share` of `shot` it takes the same steps, and its predictions are those of `shot` before it adapts.
    """

    reads = frozenset({"source"})
    source_free = False
    source_share: float = Field(1.0, gt=0, le=1, description="share of the suite's steps that it takes")

    def phases(self) -> tuple[Phase, ...]:
        """The source alone."""
        return (Phase(self.learn, frozenset({"source"}), self.source_share),)

    def loss(self, step: Step) -> Tensor:
        """That of the only phase, a scalar."""
        return self.learn(step)
