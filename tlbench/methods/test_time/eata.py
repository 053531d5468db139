"""EATA: TENT on reliable and non-redundant samples, with a penalty for parameters that the source's predictions depend on.

Niu, Wu, Zhang, Chen, Zheng, Zhao and Tan, Efficient test-time model adaptation without forgetting, ICML 2022.
https://arxiv.org/abs/2204.02610
"""

from __future__ import annotations

import math

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from tlbench.methods.base import Passes, Phase
from tlbench.methods.norm_adaptation import NormAdaptation
from tlbench.methods.online import OnlineAdaptation, OnlineUpdate
from tlbench.nn.entropy import entropy
from tlbench.nn.fisher_penalty import FisherPenalty


class EATA(NormAdaptation):
    """CE on the source; the Fisher information of scale and shift there; then the weighted entropy of selected samples."""

    lr: float = Field(2.5e-4, ge=0, description="learning rate of scale and shift on the stream, of SGD with momentum 0.9")
    entropy_margin: float = Field(0.4, gt=0, description="E0 as a share of log C: samples of a higher entropy are left out")
    cosine_margin: float = Field(0.05, gt=0, description="samples whose prediction is more similar to their mean are left out")
    fisher_weight: float = Field(2000.0, ge=0, description="of the penalty; 0: ETA, without source samples after the training")
    fisher_samples: int = Field(2000, ge=1, description="source samples that the Fisher information is measured on")

    def phases(self) -> tuple[Phase, ...]:
        """The training on the source; then one pass over it, which measures the Fisher information."""
        source = frozenset({"source"})
        return Phase(self.loss, source), Phase(None, frozenset(), 0.0, begin=self.measure, passes=source)

    def measure(self, passes: Passes) -> None:
        """Measure the Fisher information of scale and shift on source samples, at the statistics of their batches."""
        self.penalty = FisherPenalty([p for norm in self.norms for p in norm.parameters()], self.fisher_samples)
        if self.fisher_weight:
            buffers = {name: buffer.clone() for name, buffer in self.net.named_buffers()}
            passes.map("source", self.add_to_fisher)
            for name, buffer in self.net.named_buffers():
                buffer.copy_(buffers[name])

    def add_to_fisher(self, x: Tensor) -> Tensor:
        """Add a chunk of source inputs (B, ...); the result (B, 1) has no meaning."""
        for norm in self.norms:
            norm.train()
        self.penalty.add(self.net, x)
        return x.new_zeros(len(x), 1)

    def online(self) -> OnlineAdaptation:
        """Only the normalisation layers learn, by SGD with momentum."""
        return OnlineAdaptation(None, self.groups(), self.lr, "sgd", 0.9, self.adapt, self.begin, decides_on_host=True)

    def begin(self) -> None:
        """Forget the mean prediction."""
        super().begin()
        self.mean_prediction: Tensor | None = None

    def adapt(self, x: Tensor, update: OnlineUpdate) -> Tensor:
        """Network inputs (B, ...) -> logits (B, C)."""
        logits_BC = self.net(x)
        loss = self.selected_entropy(logits_BC)
        if loss is not None:
            update(loss + self.fisher_weight * self.penalty() if self.fisher_weight else loss)
        return logits_BC

    def selected_entropy(self, logits_BC: Tensor) -> Tensor | None:
        """The weighted mean entropy of the selected samples of a batch, a scalar; None where none is selected."""
        margin = self.entropy_margin * math.log(self.classes)
        entropy_B, softmax_BC = entropy(logits_BC), logits_BC.detach().float().softmax(dim=1)
        selected_B = entropy_B.detach() < margin
        if self.mean_prediction is not None:
            selected_B &= F.cosine_similarity(self.mean_prediction[None], softmax_BC, dim=1).abs() < self.cosine_margin
        if not selected_B.any():
            return None
        mean_C = softmax_BC[selected_B].mean(dim=0)
        self.mean_prediction = mean_C if self.mean_prediction is None else 0.9 * self.mean_prediction + 0.1 * mean_C
        return (entropy_B * (margin - entropy_B.detach()).exp())[selected_B].mean()
