"""NOTE: instance-aware batch normalisation, and a memory that is balanced over classes, for streams that are not i.i.d.

Gong, Jeong, Kim, Kim, Shin and Lee, NOTE: robust continual test-time adaptation against temporal correlation, NeurIPS 2022.
https://arxiv.org/abs/2208.05117
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from tlbench.methods.norm_adaptation import NormAdaptation
from tlbench.methods.online import OnlineAdaptation, OnlineUpdate
from tlbench.nn.stream_memory import ReservoirMemory
from tlbench.nn.stream_norms import InstanceAwareNorm, wrap_norms


class NOTE(NormAdaptation):
    """CE on the source with instance-aware normalisation; then entropy on a memory of samples, balanced over classes.

    Predictions use running statistics, so that no sample of a batch changes those of another. On vectors, which have one value
    per channel, the normalisation is that of the running statistics.
    """

    positions = False
    lr: float = Field(1e-4, ge=0, description="learning rate of scale and shift on the stream, of Adam")
    capacity: int = Field(64, ge=2, description="of the memory, and samples between two updates")
    momentum: float = Field(0.01, ge=0, le=1, description="the weight of the memory in the running statistics")
    deviations: float = Field(4.0, ge=0, description="k: standard errors within which a sample counts as its batch")

    def build(self) -> None:
        """Wrap the layers of batch normalisation."""
        self.norms = [wrapper.norm for wrapper in wrap_norms(self.net, lambda norm: InstanceAwareNorm(norm, self.deviations))]

    def online(self) -> OnlineAdaptation:
        """Only the normalisation layers learn, by Adam."""
        return OnlineAdaptation(groups=self.groups(), lr=self.lr, adapt=self.adapt, begin=self.begin, decides_on_host=True)

    def begin(self) -> None:
        """Make an empty memory, and slow the running statistics down."""
        self.memory, self.seen = ReservoirMemory(self.capacity, self.classes), 0
        for norm in self.norms:
            norm.momentum = self.momentum

    def adapt(self, x: Tensor, update: OnlineUpdate) -> Tensor:
        """Network inputs (B, ...) -> logits (B, C)."""
        with torch.no_grad():
            logits_BC = self.net.eval()(x)
        for one, label in zip(x, logits_BC.argmax(dim=1).tolist(), strict=True):
            self.memory.add(one, label)
            self.seen += 1
            if self.seen % self.capacity == 0:
                self.learn(update)
        return logits_BC

    def learn(self, update: OnlineUpdate) -> None:
        """One step on the memory; the running statistics move by it."""
        logits_BC = self.net.train()(torch.stack([sample.x for sample in self.memory.samples()]))
        softmax_BC = logits_BC.float().softmax(dim=1)
        update(-(softmax_BC * (softmax_BC + 1e-6).log()).mean())
