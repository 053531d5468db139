"""DSAN: align the features of each class by itself, in a local MMD weighted by labels and predictions.

Zhu et al., Deep subdomain adaptation network for image classification, IEEE Transactions on Neural Networks and Learning
Systems 2021. https://arxiv.org/abs/2106.09388
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from tlbench.methods.base import DeepMethod
from tlbench.nn import distances
from tlbench.nn.gradient_reversal import reversal_schedule
from tlbench.nn.net import concatenated
from tlbench.terms import Step


class DSAN(DeepMethod):
    """CE(source) + weight * k(progress) * mean over classes of |sum_i w_i phi(s_i) - sum_j w_j phi(t_j)|^2 in DAN's kernel.

    The weights of a class are its labels on the source and its predictions on the target, without gradient, each with sum 1.
    The mean is over the classes that are both labels and predicted classes of the batch, as in the authors' code.
    """

    reads = frozenset({"source", "target"})
    weight: float = Field(0.5, ge=0, description="of the local MMD at the end of the training")
    kernels: int = Field(5, ge=1, description="Gaussian kernels, each twice as wide as the one before")

    def loss(self, step: Step) -> Tensor:
        """Both terms from one forward pass, a scalar."""
        if not self.weight:
            return self.supervised(step)
        source_BD, target_BD = self.net.features(step.source.x, step.target)
        logits_BC = self.net.head(concatenated(source_BD, target_BD))
        n = len(source_BD)
        softmax_BC = logits_BC[n:].detach().float().softmax(dim=1)
        local = self.local_mmd(source_BD, target_BD, step.source.y, softmax_BC)
        return F.cross_entropy(logits_BC[:n], step.source.y) + self.weight * reversal_schedule(step.progress) * local

    def local_mmd(self, source_BD: Tensor, target_BD: Tensor, y: Tensor, softmax_BC: Tensor) -> Tensor:
        """The squared local MMD, a scalar.

        Args:
            source_BD: features (B, D).
            target_BD: features (B', D).
            y: labels (B,) of the source samples.
            softmax_BC: predictions (B', C) on the target samples.
        """
        # without F.one_hot, which looks at the largest class
        source_BC = softmax_BC.new_zeros(len(y), self.classes).scatter(1, y[:, None], 1)
        predicted_BC = torch.zeros_like(softmax_BC).scatter(1, softmax_BC.argmax(dim=1, keepdim=True), 1)
        present_C = (source_BC.sum(dim=0) > 0) & (predicted_BC.sum(dim=0) > 0)
        source_BC, target_BC = (w_BC * present_C / w_BC.sum(dim=0).clamp_min(1e-12) for w_BC in (source_BC, softmax_BC))
        kernel_NN = distances.gaussian_kernel(concatenated(source_BD, target_BD), self.kernels)
        signed_NC = concatenated(source_BC, -target_BC)
        return (signed_NC * (kernel_NN @ signed_NC)).sum() / present_C.sum().clamp_min(1)
