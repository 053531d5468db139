"""SAFN: in each step the norms of the features of both domains grow by a fixed length, for large norms transfer better.

Xu, Li, Yang and Lin, Larger norm more transferable: an adaptive feature norm approach for unsupervised domain adaptation,
ICCV 2019. https://arxiv.org/abs/1811.07456
"""

from __future__ import annotations

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from tlbench.errors import NotApplicableError
from tlbench.methods.base import DeepMethod
from tlbench.terms import Step


class SAFN(DeepMethod):
    """CE(source) + weight * the sum over both domains of mean (|f| - (|f|, without gradient, + increment))^2.

    Each mean always equals increment^2; its gradient alone matters. Batch normalisation, which the paper's bottleneck has, and
    weight decay limit the norms. Without batch normalisation they grow by hundreds in a hundred steps, so that it is required.
    """

    reads = frozenset({"source", "target"})
    soft_labels = True
    weight: float = Field(0.05, ge=0, description="of the norm loss")
    increment: float = Field(1.0, gt=0, description="by which a norm is to grow")

    def loss(self, step: Step) -> Tensor:
        """The sum of both terms, a scalar; both come from one forward pass.

        Raises:
            NotApplicableError: The backbone has no batch normalisation.
        """
        if not self.weight:
            return self.supervised(step)
        if not any(isinstance(module, _BatchNorm) for module in self.net.modules()):
            raise NotApplicableError("The backbone has no batch normalisation. Choose a backbone with batch norm for safn.")
        source_BD, target_BD = self.net.features(step.source.x, step.target)
        task = F.cross_entropy(self.net.head(source_BD), step.source.y)
        return task + self.weight * (self.norm_loss(source_BD) + self.norm_loss(target_BD))

    def norm_loss(self, features_BD: Tensor) -> Tensor:
        """Features (B, D) -> the mean squared distance of their norms from the larger ones they are to have, a scalar."""
        norms_B = features_BD.norm(dim=1)
        return (norms_B - (norms_B.detach() + self.increment)).square().mean()
