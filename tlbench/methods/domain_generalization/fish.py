"""Fish: gradients of the sources that point the same way, by a step towards where a pass over the sources leads.

Shi et al., Gradient matching for domain generalization, ICLR 2022. https://arxiv.org/abs/2104.09937
"""

from __future__ import annotations

import copy
import functools

from pydantic import Field
from torch import Tensor

from tlbench.methods.base import AlternatingUpdate, DeepMethod, Group, Phase
from tlbench.methods.multi_source._sources import source_shares
from tlbench.nn.net import floating_state
from tlbench.terms import Step


class Fish(DeepMethod):
    """One update of the optimizer on each source in turn, and then w <- w + meta_rate * (w after them - w).

    The optimizer keeps its state from step to step, as in DomainBed. Statistics of batch normalisation, which DomainBed moves
    likewise, see the whole batch in each update. At meta_rate 1 it is training on one source after the other.
    """

    reads = frozenset({"source"})
    soft_labels = True
    meta_rate: float = Field(0.5, gt=0, le=1, description="share of the way to where the updates lead")

    def build(self) -> None:
        """Create the network at the start of a step."""
        self.start = copy.deepcopy(self.net)

    def phases(self) -> tuple[Phase, ...]:
        """One phase, whose steps make an update on each source."""
        updates = tuple(AlternatingUpdate(functools.partial(self.risk, source)) for source in range(self.source_count))
        return (Phase(updates, self.reads, groups=(Group((self.net,)),), after=self.interpolate),)

    def risk(self, source: int, step: Step) -> Tensor:
        """The mean loss of the samples of one source, a scalar; 0 where the batch has none."""
        shares_SB = source_shares(step.source, self.source_count)
        risk: Tensor = shares_SB[source] @ self.criterion(self.net(step.source.x), step.source.y, "none")
        return risk

    def interpolate(self, progress: float) -> None:
        """Go the share `meta_rate` of the way from the network at the start of the step to the present one."""
        for start, current in zip(floating_state(self.start), floating_state(self.net), strict=True):
            start.lerp_(current, self.meta_rate)
            current.copy_(start)
