"""Fine-tuning: train on the source, then go on from those weights with the labelled target samples.

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
    """`source_share` of the steps on the source, the others on labelled target samples; the head is carried over."""

    reads = frozenset({"source", "target_labeled"})
    soft_labels = True
    tasks = frozenset({"classification", "regression"})
    source_share: float = Field(0.5, gt=0, lt=1, description="share of the steps spent on the source")
    freeze: int = Field(0, ge=0, description="how many of the backbone's first stages are frozen in the second phase")
    backbone_lr: float = Field(
        1.0, ge=0, description="the backbone's learning rate in the second phase, as a multiple of the head's"
    )
    gradual: bool = Field(False, description="unfreeze one stage after the other from the top, after the head")

    def phases(self) -> tuple[Phase, ...]:
        """The source, then the labelled target samples with a learning rate for each stage.

        Raises:
            NotApplicableError: the backbone has fewer stages than `freeze`.
        """
        stages = self.net.backbone.stages
        if self.freeze > len(stages):
            raise NotApplicableError(f"freeze = {self.freeze}, but the backbone has {len(stages)} stages.")
        groups = [Group((self.net.head,))]
        for depth, stage in enumerate(stages):
            # stages start to learn one by one in the first half of the phase; the head learns from its start
            start = (len(stages) - depth) / (2 * len(stages)) if self.gradual else 0.0
            scale = 0.0 if depth < self.freeze else self.backbone_lr
            groups.append(Group((stage,), lambda progress, start=start, scale=scale: scale * (progress >= start)))  # type: ignore[misc]
        source, target = frozenset({"source"}), frozenset({"target_labeled"})
        return (
            Phase(self.supervised, source, self.source_share),
            Phase(self.loss, target, 1 - self.source_share, tuple(groups)),
        )

    def loss(self, step: Step) -> Tensor:
        """CE(labelled target samples), a scalar."""
        return self.criterion(self.net(step.target_labeled.x), step.target_labeled.y)
