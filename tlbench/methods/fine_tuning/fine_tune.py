"""Fine-tuning: train on the source, then go on from there on the few labelled target rows.

Yosinski et al., How transferable are features in deep neural networks?, NeurIPS 2014 (frozen first stages).
https://arxiv.org/abs/1411.1792. Gradual unfreezing: Howard and Ruder, ULMFiT, ACL 2018. https://arxiv.org/abs/1801.06146
"""

from __future__ import annotations

from pydantic import Field
from torch import Tensor

from tlbench.errors import NotApplicableError
from tlbench.methods.base import DeepMethod, Group, Phase
from tlbench.terms import Step


class FineTune(DeepMethod):
    """Half of the budget on the source, the other half on the few, with the head carried over."""

    reads = frozenset({"source", "target_labeled"})
    tasks = frozenset({"classification", "regression"})
    source_share: float = Field(0.5, gt=0, lt=1, description="share of the steps spent on the source")
    freeze: int = Field(0, ge=0, description="the first k stages of the backbone stay as the source left them")
    backbone_lr: float = Field(1.0, ge=0, description="learning rate of the backbone on the few, as a multiple of the head's")
    gradual: bool = Field(False, description="open the head first, then one stage after the other from the top")

    def phases(self) -> tuple[Phase, ...]:
        """Source, then the few with a rate for each stage."""
        stages = self.net.backbone.stages
        if self.freeze > len(stages):
            raise NotApplicableError(f"freeze = {self.freeze}, but the backbone has {len(stages)} stages")
        groups = [Group((self.net.head,))]
        for depth, stage in enumerate(stages):
            # the first half of the phase opens them from the top; the head is open from the start
            opens = (len(stages) - depth) / (2 * len(stages)) if self.gradual else 0.0
            scale = 0.0 if depth < self.freeze else self.backbone_lr
            groups.append(Group((stage,), lambda progress, opens=opens, scale=scale: scale * (progress >= opens)))  # type: ignore[misc]
        source, few = frozenset({"source"}), frozenset({"target_labeled"})
        return (
            Phase(self.supervised, source, self.source_share),
            Phase(self.loss, few, 1 - self.source_share, tuple(groups)),
        )

    def loss(self, step: Step) -> Tensor:
        """CE(few)."""
        return self.criterion(self.net(step.target_labeled.x), step.target_labeled.y)
