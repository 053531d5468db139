"""PCGrad: where the gradients of two tasks conflict, each is projected onto the normal plane of the other.

Yu et al., Gradient surgery for multi-task learning, NeurIPS 2020. https://arxiv.org/abs/2001.06782
"""

from __future__ import annotations

import torch
from torch import Tensor

from tlbench.methods.base import DeepMethod, Phase
from tlbench.terms import Step


class PcGrad(DeepMethod):
    """Two tasks on one backbone, each with its own head: CE(source) and CE(labelled target samples).

    The gradients of the backbone are projected where they conflict, then summed.
    """

    reads = frozenset({"source", "target_labeled"})
    soft_labels = True
    tasks = frozenset({"classification", "regression"})
    version = 2

    def build(self) -> None:
        """Create the source's head; `net.head` is the target's."""
        self.source_head = self.net.new_head()

    def phases(self) -> tuple[Phase, ...]:
        """One phase, in which `project` combines the gradients of the two losses."""
        return (Phase(self.losses, self.reads, combine=self.project),)

    def losses(self, step: Step) -> tuple[Tensor, ...]:
        """The losses of the source and of the target task, two scalars; both come from one forward pass."""
        source_BD, target_BD = self.net.features(step.source.x, step.target_labeled.x)
        source_loss = self.criterion(self.source_head(source_BD), step.source.y)
        return source_loss, self.criterion(self.net.head(target_BD), step.target_labeled.y)

    def project(self, gradients_KP: Tensor) -> Tensor:
        """Gradients (K, P) of K losses -> their sum (P,), after each is projected against the others that conflict with it.

        The others are taken in random order and as they were before any projection (algorithm 1 of the paper).
        """
        projected = gradients_KP.clone()
        for i in range(len(projected)):
            for j in torch.randperm(len(projected)).tolist():
                other = gradients_KP[j]
                dot = torch.dot(projected[i], other)
                # no branch on a value of the device; where the two do not conflict, the share is 0
                share = dot.clamp_max(0) / other.square().sum().clamp_min(1e-12) if i != j else dot * 0
                projected[i] = projected[i] - share * other
        return projected.sum(dim=0)
