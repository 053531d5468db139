"""CoTTA: the network learns the predictions of its moving average, and single weights fall back to the source's at random.

Wang, Fink, Van Gool and Dai, Continual test-time domain adaptation, CVPR 2022. https://arxiv.org/abs/2203.13591
"""

from __future__ import annotations

import copy

import torch
from pydantic import Field
from torch import Tensor

from tlbench.methods.base import Group
from tlbench.methods.norm_adaptation import NormAdaptation
from tlbench.methods.online import OnlineAdaptation, OnlineUpdate
from tlbench.nn import augmentation


class CoTTA(NormAdaptation):
    """CE on the source; then the student learns the teacher's prediction, an average over views where the source is unsure.

    The views are the weak ones of tlbench; the paper's also change colours, flip, blur and add noise. All parameters learn.
    """

    positions = False
    lr: float = Field(1e-3, ge=0, description="learning rate on the stream, of Adam")
    decay: float = Field(0.999, ge=0, le=1, description="of the teacher, a moving average of the parameters")
    restored: float = Field(0.01, ge=0, le=1, description="probability that a weight falls back to the source's after a batch")
    confidence: float = Field(0.92, ge=0, le=1, description="views are averaged where the source's mean confidence is below")
    views: int = Field(32, ge=1, description="number of views")

    def online(self) -> OnlineAdaptation:
        """The whole network learns, by Adam; dropout is off."""
        return OnlineAdaptation(
            groups=(Group((self.net,)),), lr=self.lr, adapt=self.adapt, begin=self.begin, decides_on_host=True
        )

    def begin(self) -> None:
        """Make the teacher and the anchor, copies of the source's network."""
        super().begin()
        self.net.eval()
        self.teacher, self.anchor = (copy.deepcopy(self.net).requires_grad_(False) for _ in range(2))

    def adapt(self, x: Tensor, update: OnlineUpdate) -> Tensor:
        """Network inputs (B, ...) -> logits (B, C) of the teacher."""
        with torch.no_grad():
            teacher_BC = self.teacher(x)
            if self.anchor(x).softmax(dim=1).amax(dim=1).mean() < self.confidence:
                teacher_BC = torch.stack([self.teacher(augmentation.weak(x)) for _ in range(self.views)]).mean(dim=0)
        update(-(teacher_BC.float().softmax(dim=1) * self.net(x).float().log_softmax(dim=1)).sum(dim=1).mean())
        if self.lr:
            self.average_and_restore()
        return teacher_BC

    @torch.no_grad()
    def average_and_restore(self) -> None:
        """Move the teacher towards the student, then give back random weights of the source to the student."""
        parameters = zip(self.teacher.parameters(), self.net.parameters(), self.anchor.parameters(), strict=True)
        for teacher, student, source in parameters:
            teacher.lerp_(student, 1 - self.decay)
            student.copy_(torch.where(torch.rand_like(student) < self.restored, source, student))
