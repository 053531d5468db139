"""RoTTA: a memory balanced over classes and time, normalisation by a moving average, and a teacher that predicts.

Yuan, Xie and Li, Robust test-time adaptation in dynamic scenarios, CVPR 2023. https://arxiv.org/abs/2303.13899
"""

from __future__ import annotations

import copy

import torch
from pydantic import Field
from torch import Tensor

from tlbench.methods.norm_adaptation import NormAdaptation
from tlbench.methods.online import OnlineAdaptation, OnlineUpdate
from tlbench.nn import augmentation
from tlbench.nn.stream_memory import TimelyMemory
from tlbench.nn.stream_norms import MovingStatistics, wrap_norms


class RoTTA(NormAdaptation):
    """CE on the source; then the student learns the teacher's predictions of the memory, on strong views of tlbench."""

    positions = False
    lr: float = Field(1e-3, ge=0, description="learning rate of scale and shift on the stream, of Adam")
    capacity: int = Field(64, ge=1, description="of the memory, and samples between two updates")
    momentum: float = Field(0.05, ge=0, le=1, description="alpha, the weight of a batch in the statistics")
    decay: float = Field(0.999, ge=0, le=1, description="1 - nu, of the teacher, a moving average of the parameters")

    def build(self) -> None:
        """Wrap the layers of batch normalisation, which change nothing before the stream."""
        self.norms = [wrapper.norm for wrapper in wrap_norms(self.net, lambda norm: MovingStatistics(norm, self.momentum))]

    def online(self) -> OnlineAdaptation:
        """Only the normalisation layers learn, by Adam."""
        return OnlineAdaptation(groups=self.groups(), lr=self.lr, adapt=self.adapt, begin=self.begin, decides_on_host=True)

    def begin(self) -> None:
        """Make the teacher, and an empty memory."""
        for module in self.net.modules():
            if isinstance(module, MovingStatistics):
                module.streaming = True
        self.teacher = copy.deepcopy(self.net).requires_grad_(False)
        self.memory, self.seen = TimelyMemory(self.capacity, self.classes), 0

    def adapt(self, x: Tensor, update: OnlineUpdate) -> Tensor:
        """Network inputs (B, ...) -> logits (B, C) of the teacher."""
        with torch.no_grad():
            logits_BC = self.teacher.eval()(x)
        softmax_BC = logits_BC.float().softmax(dim=1)
        uncertainty = (-(softmax_BC * (softmax_BC + 1e-6).log()).sum(dim=1)).tolist()
        for one, label, value in zip(x, logits_BC.argmax(dim=1).tolist(), uncertainty, strict=True):
            self.memory.add(one, label, value)
            self.seen += 1
            if self.seen % self.capacity == 0:
                self.learn(update)
        return logits_BC

    def learn(self, update: OnlineUpdate) -> None:
        """One step on the memory, whose samples count less the older they are; then the teacher moves."""
        samples = self.memory.samples()
        x = torch.stack([sample.x for sample in samples])
        age = torch.tensor([sample.age / self.capacity for sample in samples], device=x.device)
        with torch.no_grad():
            softmax_BC = self.teacher.train()(x).float().softmax(dim=1)
        logs_BC = self.net.train()(augmentation.strong(x)).float().log_softmax(dim=1)
        update((-(softmax_BC * logs_BC).sum(dim=1) * torch.sigmoid(-age)).mean())
        with torch.no_grad():
            for teacher, student in zip(self.teacher.parameters(), self.net.parameters(), strict=True):
                teacher.lerp_(student, 1 - self.decay)
