"""MLDG: a step on some sources must also lower the risk of the others.

Li, Yang, Song and Hospedales, Learning to generalize: meta-learning for domain generalization, AAAI 2018.
https://arxiv.org/abs/1710.03463
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor
from torch.func import functional_call

from tlbench.methods.base import DeepMethod
from tlbench.methods.domain_generalization._risks import is_present
from tlbench.methods.multi_source._sources import source_shares
from tlbench.terms import Step


class MLDG(DeepMethod):
    """F(w) + weight * G(w - inner_rate * dF/dw): F is the mean risk of the training sources, G that of a random test source.

    No gradient flows through dF/dw, as in DomainBed, which makes the inner step by Adam; here it is the paper's gradient step.
    With `second_order` it does, as in the paper. The test source is one of those in the batch. With one source it is
    `source_only`.
    """

    reads = frozenset({"source"})
    soft_labels = True
    weight: float = Field(1.0, ge=0, description="of the risk of the test source after the inner step")
    inner_rate: float = Field(1e-3, ge=0, description="length of the inner step in units of the gradient")
    second_order: bool = Field(False, description="whether the gradient flows through the inner step, as in the paper")

    def loss(self, step: Step) -> Tensor:
        """Both risks for one random test source, a scalar; each step makes two forward passes."""
        if self.source_count == 1:
            return self.supervised(step)
        shares_SB = source_shares(step.source, self.source_count)
        draw_S = torch.rand(self.source_count, device=shares_SB.device) + is_present(shares_SB)
        return self.split_loss(step, shares_SB, draw_S.argmax())

    def split_loss(self, step: Step, shares_SB: Tensor, test_source: Tensor) -> Tensor:
        """The loss, a scalar, for the weights (S, B) of the samples and the index () of the test source.

        A batch of the test source alone has no training sources, and the first risk and the inner step are 0.
        """
        is_test_S = torch.arange(self.source_count, device=shares_SB.device) == test_source
        train_S = is_present(shares_SB) * ~is_test_S
        learning = {name: p for name, p in self.named_parameters() if p.requires_grad}
        train_risk = train_S @ self.risks(step, shares_SB) / train_S.sum().clamp_min(1)
        gradients = torch.autograd.grad(train_risk, list(learning.values()), retain_graph=True, create_graph=self.second_order)
        moved = {name: p - self.inner_rate * g for (name, p), g in zip(learning.items(), gradients, strict=True)}
        test_risk = is_test_S.float() @ functional_call(self, moved, (step, shares_SB))
        return train_risk + self.weight * test_risk

    def risks(self, step: Step, shares_SB: Tensor) -> Tensor:
        """The risks of the sources (S,)."""
        return shares_SB @ self.criterion(self.net(step.source.x), step.source.y, "none")

    def forward(self, step: Step, shares_SB: Tensor) -> Tensor:
        """The risks of the sources (S,), with the parameters of the call."""
        return self.risks(step, shares_SB)
