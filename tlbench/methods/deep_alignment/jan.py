"""JAN: make the joint distributions of features and predictions of the two domains equal, in a joint MMD.

Long, Zhu, Wang and Jordan, Deep transfer learning with joint adaptation networks, ICML 2017. https://arxiv.org/abs/1605.06636
"""

from __future__ import annotations

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from tlbench.methods.base import DeepMethod
from tlbench.nn import distances
from tlbench.nn.net import concatenated
from tlbench.terms import Step


class JAN(DeepMethod):
    """CE(source) + weight * MMD^2 with the product of a kernel on features and a kernel on the softmax, V-statistic.

    On features the kernel is DAN's sum of Gaussians, on the softmax one Gaussian exp(-|p - q|^2 / 1.68), as in the authors'
    code. With equal predictions for all samples the term is DAN's.
    """

    reads = frozenset({"source", "target"})
    soft_labels = True
    weight: float = Field(1.0, ge=0, description="of the joint MMD term")
    kernels: int = Field(5, ge=1, description="Gaussian kernels on features, each twice as wide as the one before")
    softmax_width: float = Field(1.68, gt=0, description="the number that divides squared distances of predictions")

    def loss(self, step: Step) -> Tensor:
        """Both terms from one forward pass, a scalar."""
        if not self.weight:
            return self.supervised(step)
        source_BD, target_BD = self.net.features(step.source.x, step.target)
        logits_BC = self.net.head(concatenated(source_BD, target_BD))
        task = F.cross_entropy(logits_BC[: len(source_BD)], step.source.y)
        return task + self.weight * self.joint_mmd(source_BD, target_BD, logits_BC.float().softmax(dim=1))

    def joint_mmd(self, source_BD: Tensor, target_BD: Tensor, softmax_NC: Tensor) -> Tensor:
        """Features (B, D) and (B', D), predictions (B + B', C) of both -> the squared joint MMD, a scalar."""
        features_NN = distances.gaussian_kernel(concatenated(source_BD, target_BD), self.kernels)
        kernel_NN = features_NN * (-distances.squared_distances(softmax_NC) / self.softmax_width).exp()
        n = len(source_BD)
        return kernel_NN[:n, :n].mean() + kernel_NN[n:, n:].mean() - 2 * kernel_NN[:n, n:].mean()
