"""DIRT-T: after VADA, the target alone: its predictions are refined in small steps from a teacher that follows them.

Shu, Bui, Narui and Ermon, A DIRT-T approach to unsupervised domain adaptation, ICLR 2018. https://arxiv.org/abs/1802.08735
"""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from tlbench.methods.adversarial.vada import VADA
from tlbench.methods.base import Group, Passes, Phase
from tlbench.nn.entropy import entropy
from tlbench.terms import Step


class DIRTT(VADA):
    """VADA; then target_weight * (V(target) + mean H(target)) + teacher_weight * CE(p(teacher), p(student)) on the target.

    At the start of each round the teacher becomes the student. The paper takes a moving average of the weights for it.
    """

    vada_share: float = Field(0.5, gt=0, lt=1, description="share of the steps spent on VADA")
    teacher_weight: float = Field(0.01, ge=0, description="of the cross-entropy with the teacher's predictions")
    rounds: int = Field(5, ge=1, description="how often the teacher is replaced during the second phase")

    def build(self) -> None:
        """Create the discriminator and the teacher."""
        super().build()
        self.teacher = copy.deepcopy(self.net)

    def phases(self) -> tuple[Phase, ...]:
        """VADA, then the refinement without any source sample."""
        learners = (Group((self.net,)), Group((self.discriminator,)))
        return (
            Phase(self.loss, self.reads, self.vada_share, learners),
            Phase(self.refine, frozenset({"target"}), 1 - self.vada_share, learners[:1], self.follow, self.rounds),
        )

    def follow(self, passes: Passes) -> None:
        """Make the teacher the student."""
        self.teacher.load_state_dict(self.net.state_dict())

    def refine(self, step: Step) -> Tensor:
        """The loss of the second phase on the target, a scalar; the teacher gets no gradient."""
        logits_BC = self.net(step.target)
        with torch.no_grad():
            teacher_BC = self.teacher(step.target).softmax(dim=1)
        smooth = self.smoothness(step.target, logits_BC).mean() + entropy(logits_BC).mean()
        return self.target_weight * smooth + self.teacher_weight * F.cross_entropy(logits_BC, teacher_BC)
