"""PCGrad: where the gradients of two tasks conflict, each loses its part along the other.

Yu et al., Gradient surgery for multi-task learning, NeurIPS 2020. https://arxiv.org/abs/2001.06782
"""

from __future__ import annotations

import torch
from torch import Tensor

from tlbench.methods.base import DeepMethod, Phase
from tlbench.terms import Step


class PcGrad(DeepMethod):
    """Two tasks on one backbone, CE(source) and CE(few), each with its own head; the backbone's gradients are projected."""

    reads = frozenset({"source", "target_labeled"})
    tasks = frozenset({"classification", "regression"})

    def build(self) -> None:
        """`net.head` is the target's."""
        self.source_head = self.net.new_head()

    def phases(self) -> tuple[Phase, ...]:
        """A gradient for each loss, put together by `project`."""
        return (Phase(self.losses, self.reads, combine=self.project),)

    def losses(self, step: Step) -> tuple[Tensor, ...]:
        """Both tasks from one forward."""
        source_BD, few_BD = self.net.features(step.source.x, step.target_labeled.x)
        source = self.criterion(self.source_head(source_BD), step.source.y)
        return source, self.criterion(self.net.head(few_BD), step.target_labeled.y)

    def project(self, gradients_KP: Tensor) -> Tensor:
        """Each gradient without its parts against the others (in random order, the others as they were); then their sum."""
        projected = gradients_KP.clone()
        for i in range(len(projected)):
            for j in torch.randperm(len(projected)).tolist():
                other = gradients_KP[j]
                dot = torch.dot(projected[i], other)
                # without a branch on the device's value: nothing is taken away where the two agree
                share = dot.clamp_max(0) / other.square().sum().clamp_min(1e-12) if i != j else dot * 0
                projected[i] = projected[i] - share * other
        return projected.sum(dim=0)
