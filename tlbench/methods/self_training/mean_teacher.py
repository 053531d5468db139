"""Mean teacher (self-ensembling): a moving average of the network teaches it on the target, from another view of each row.

Tarvainen and Valpola, NeurIPS 2017. https://arxiv.org/abs/1703.01780
French, Mackiewicz and Fisher, Self-ensembling for visual domain adaptation, ICLR 2018. https://arxiv.org/abs/1706.05208
"""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from tlbench.methods.base import DeepMethod, Group, Phase
from tlbench.nn import augmentation
from tlbench.terms import Step


class MeanTeacher(DeepMethod):
    """CE(source) + weight * (mean over rows of mask |p_student - p_teacher|^2 / C + balance * imbalance * mean mask).

    The mask takes confident teachers only. The imbalance is the binary cross-entropy, summed over classes, between the batch's
    mean prediction and even classes, as in the code of French et al.; where the target's classes are uneven, balance = 0.
    """

    reads = frozenset({"source", "target"})
    version = 2
    draws_per_row = True
    weight: float = Field(3.0, ge=0, description="of the consistency")
    threshold: float = Field(0.968, ge=0, le=1, description="confidence from which the teacher is heard")
    balance: float = Field(0.005, ge=0, description="of the even use of classes, in units of the consistency")
    decay: float = Field(0.99, ge=0, le=1, description="of the moving average, at each step")

    def build(self) -> None:
        """The teacher starts as the student is."""
        self.teacher = copy.deepcopy(self.net)

    def phases(self) -> tuple[Phase, ...]:
        """The student learns, the teacher follows; at weight 0 there is no teacher."""
        return (Phase(self.loss, self.reads, groups=(Group((self.net,)),), after=self.follow),)

    def loss(self, step: Step) -> Tensor:
        """Student and teacher each see a view of their own."""
        if not self.weight:
            return self.supervised(step)
        source_BD, target_BD = self.net.features(step.source.x, augmentation.weak(step.target))
        with torch.no_grad():
            taught_BC = self.teacher(augmentation.weak(step.target)).softmax(dim=1)
        mask = (taught_BC.max(dim=1).values > self.threshold).float()
        said_BC = self.net.head(target_BD).softmax(dim=1)
        unlike = (mask * (said_BC - taught_BC).square().mean(dim=1)).mean()
        mean_C = said_BC.mean(dim=0)
        uneven = F.binary_cross_entropy(mean_C, torch.full_like(mean_C, 1 / self.classes), reduction="sum") * mask.mean()
        task = F.cross_entropy(self.net.head(source_BD), step.source.y)
        return task + self.weight * (unlike + self.balance * uneven)

    def follow(self, progress: float) -> None:
        """The teacher's weights move towards the student's; its batch statistics come from its own forwards."""
        for old, new in zip(self.teacher.parameters(), self.net.parameters(), strict=True):
            old.lerp_(new, 1 - self.decay)

    def predict(self, x: Tensor) -> Tensor:
        """The teacher's logits; the student's at weight 0."""
        logits: Tensor = self.teacher(x) if self.weight else self.net(x)
        return logits
