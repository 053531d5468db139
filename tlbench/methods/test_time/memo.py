"""MEMO: before each prediction, one step lowers the entropy of the mean prediction over views of the sample.

Zhang, Levine and Finn, MEMO: test time robustness via adaptation and augmentation, NeurIPS 2022.
https://arxiv.org/abs/2110.09506
"""

from __future__ import annotations

import math

import torch
from pydantic import Field
from torch import Tensor

from tlbench.methods.base import DeepMethod, Group, Passes, Phase
from tlbench.methods.online import OnlineAdaptation, OnlineUpdate
from tlbench.nn import augmentation
from tlbench.nn.stream_norms import MixedStatistics, wrap_norms
from tlbench.terms import Step


class MEMO(DeepMethod):
    """CE on the source; then each sample has a network of its own, one step away from the source's.

    No prediction depends on another test sample: the method reads no stream. Views are tlbench's; the paper takes AugMix.
    """

    reads, positions = frozenset({"source"}), False
    lr: float = Field(2.5e-4, ge=0, description="learning rate of the step, of SGD")
    views: int = Field(32, ge=2, description="number of views of a sample")
    prior: float = Field(16.0, ge=0, description="samples that the source's statistics of batch normalisation count as")

    def build(self) -> None:
        """Wrap the layers of batch normalisation, if there are any."""
        self.norms = wrap_norms(self.net, lambda norm: MixedStatistics(norm, self.prior, count=1))

    def phases(self) -> tuple[Phase, ...]:
        """The training on the source, before which the scale of its features is measured."""
        return (Phase(self.loss, self.reads, begin=self.measure),)

    def loss(self, step: Step) -> Tensor:
        """CE(source), a scalar."""
        return self.supervised(step)

    def measure(self, passes: Passes) -> None:
        """The mean and the standard deviation (...) of each feature of samples that are no images."""
        x = passes.map("source", lambda x: x.new_zeros(len(x), 1) if x.ndim == 4 else x)
        self.mean, self.deviation = x.mean(dim=0), x.std(dim=0)

    def online(self) -> OnlineAdaptation:
        """The whole network learns, by SGD; dropout is off."""
        return OnlineAdaptation(groups=(Group((self.net,)),), lr=self.lr, optimizer="sgd", adapt=self.adapt, begin=self.begin)

    def begin(self) -> None:
        """Mix the statistics of a sample, or of its views, with the source's from now on."""
        self.net.eval()
        for norm in self.norms:
            norm.streaming = True

    def adapt(self, x: Tensor, update: OnlineUpdate) -> Tensor:
        """Network inputs (B, ...) -> logits (B, C), each after a step of its own."""
        logits = []
        for one in x.split(1):
            update(self.marginal_entropy(self.net(self.views_of(one))))
            logits.append(self.net(one).detach())
            update.reset()
        return torch.cat(logits)

    def views_of(self, one: Tensor) -> Tensor:
        """Views (V, ...) of an input (1, ...)."""
        x = one.expand(self.views, *one.shape[1:])
        if one.ndim == 4:
            return augmentation.strong(x)
        return torch.where(torch.rand_like(x) < 0.2, self.mean, x + 0.3 * self.deviation * torch.randn_like(x))

    @staticmethod
    def marginal_entropy(logits_VC: Tensor) -> Tensor:
        """The entropy of the mean prediction over views, in nats, a scalar."""
        logs_C = logits_VC.float().log_softmax(dim=1).logsumexp(dim=0) - math.log(len(logits_VC))
        return -(logs_C.exp() * logs_C).sum()
