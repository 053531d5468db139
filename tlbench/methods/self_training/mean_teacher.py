"""Mean teacher (self-ensembling): predictions on the target are made consistent with those of a moving average of the network.

Tarvainen and Valpola, Mean teachers are better role models, NeurIPS 2017. https://arxiv.org/abs/1703.01780
French, Mackiewicz and Fisher, Self-ensembling for visual domain adaptation, ICLR 2018. https://arxiv.org/abs/1706.05208
"""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from tlbench.methods.base import DeepMethod, Group, Phase
from tlbench.terms import Step


class MeanTeacher(DeepMethod):
    """CE(source) + weight * (mean over samples of mask |p_student - p_teacher|^2 / C + balance * imbalance * mean mask).

    The mask is 1 where the teacher is confident. The imbalance is the binary cross-entropy, summed over classes, between the
    mean prediction of the batch and the uniform distribution, as in the code of French et al.; set balance = 0 where the
    target's classes are imbalanced.
    """

    reads = frozenset({"source", "target"})
    soft_labels = True
    version = 2
    draws_per_sample = True
    weight: float = Field(3.0, ge=0, description="of the consistency between student and teacher")
    threshold: float = Field(0.968, ge=0, le=1, description="the teacher's confidence from which a sample counts")
    balance: float = Field(0.005, ge=0, description="of the class balance, in units of the consistency")
    decay: float = Field(0.99, ge=0, le=1, description="of the moving average, per step")

    def build(self) -> None:
        """Create the teacher as a copy of the student."""
        self.teacher = copy.deepcopy(self.net)

    def phases(self) -> tuple[Phase, ...]:
        """One phase: the student learns by gradients, the teacher by `follow` after each step."""
        return (Phase(self.loss, self.reads, groups=(Group((self.net,)),), after=self.follow),)

    def loss(self, step: Step) -> Tensor:
        """The sum of all terms, a scalar; student and teacher see different weak views of the target."""
        if not self.weight:
            return self.supervised(step)
        source_BD, target_BD = self.net.features(step.source.x, self.net.weak_view(step.target))
        with torch.no_grad():
            teacher_BC = self.teacher(self.net.weak_view(step.target)).softmax(dim=1)
        mask_B = (teacher_BC.max(dim=1).values > self.threshold).float()
        student_BC = self.net.head(target_BD).softmax(dim=1)
        inconsistency = (mask_B * (student_BC - teacher_BC).square().mean(dim=1)).mean()
        mean_C = student_BC.mean(dim=0)
        imbalance = F.binary_cross_entropy(mean_C, torch.full_like(mean_C, 1 / self.classes), reduction="sum") * mask_B.mean()
        task = F.cross_entropy(self.net.head(source_BD), step.source.y)
        return task + self.weight * (inconsistency + self.balance * imbalance)

    def follow(self, progress: float) -> None:
        """Move the teacher's weights towards the student's; its batch statistics come from its own forward passes."""
        for teacher, student in zip(self.teacher.parameters(), self.net.parameters(), strict=True):
            teacher.lerp_(student, 1 - self.decay)

    def predict(self, x: Tensor) -> Tensor:
        """The teacher's logits (B, C); at weight 0 the student's."""
        logits: Tensor = self.teacher(x) if self.weight else self.net(x)
        return logits
