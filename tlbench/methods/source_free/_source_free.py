"""What source-free methods share: the network and its training on the source of Liang, Hu and Feng's SHOT (ICML 2020).

https://arxiv.org/abs/2002.08546
"""

from __future__ import annotations

from collections.abc import Callable

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from tlbench.methods.base import DeepMethod, Group, Passes, Phase
from tlbench.nn.heads import WeightNormLinear, with_bottleneck
from tlbench.terms import Step


class SourceFree(DeepMethod):
    """CE with smoothed labels on the source; then `loss` on the target alone, from a network of which nothing else is left.

    Features are those of a bottleneck with batch normalisation behind the suite's backbone; the classifier behind it has
    normalised weights.
    """

    reads = frozenset({"source", "target"})
    soft_labels = True
    source_free = True
    source_share: float = Field(0.5, gt=0, lt=1, description="share of the steps spent on the source")
    smoothing: float = Field(0.1, ge=0, lt=1, description="label smoothing on the source")
    bottleneck: int = Field(256, ge=1, description="width of the bottleneck")
    dropout: float = Field(0.0, ge=0, lt=1, description="share of the bottleneck that is dropped; SHOT's digits: 0.5")
    backbone_scale: float = Field(
        1.0, ge=0, description="of the backbone's learning rate on the target; pre-trained networks have 0.1 in the papers"
    )

    def build(self) -> None:
        """Put the bottleneck behind the backbone, and a classifier of normalised weights in place of the head."""
        self.net.backbone = with_bottleneck(self.net.backbone, self.bottleneck, self.dropout)
        self.net.head = WeightNormLinear(self.bottleneck, self.classes)

    def phases(self) -> tuple[Phase, ...]:
        """The source; then the target without any source sample."""
        return Phase(self.learn, frozenset({"source"}), self.source_share), self.target_phase()

    def target_phase(self) -> Phase:
        """The phase on the target; by default the whole network learns."""
        return self.adaptation()

    def adaptation(
        self, head_scale: float = 1.0, begin: Callable[[Passes], None] | None = None, rounds: int | None = 1
    ) -> Phase:
        """The phase on the target, of all the steps that are left.

        Args:
            head_scale: of the learning rate of the classifier; 0 freezes it.
            begin: passes over the target, `rounds` times.
            rounds: None: once an epoch.
        """
        backbone, bottleneck = self.net.backbone.stages
        groups = (Group((backbone,), self.backbone_scale), Group((bottleneck,)), Group((self.net.head,), head_scale))
        return Phase(self.loss, frozenset({"target"}), 1 - self.source_share, groups, begin, rounds)

    def learn(self, step: Step) -> Tensor:
        """CE with smoothed labels on the source, a scalar."""
        return F.cross_entropy(self.net(step.source.x), step.source.y, label_smoothing=self.smoothing)
