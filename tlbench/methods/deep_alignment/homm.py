"""HoMM: make the moments of a high order of the features of the two domains equal.

Chen et al., HoMM: higher-order moment matching for unsupervised domain adaptation, AAAI 2020. https://arxiv.org/abs/1912.11976
"""

from __future__ import annotations

from pydantic import Field
from torch import Tensor

from tlbench.methods.base import DeepMethod
from tlbench.terms import Step


class HoMM(DeepMethod):
    """CE(source) + weight / D^p * |mean of s^(p-fold tensor product) - mean of t^(p-fold)|^2, features centred by domain.

    The tensors of D^p numbers are never formed: their inner product is the mean over pairs of samples of <a, b>^p. The authors
    sample entries of the tensor from p = 4 on; this is the exact value. D^p divides it, so that it needs a large weight.
    """

    reads = frozenset({"source", "target"})
    soft_labels = True
    tasks = frozenset({"classification", "regression"})
    weight: float = Field(1e4, ge=0, description="of the distance of the moments; 10,000 is the paper's for digits")
    order: int = Field(3, ge=1, description="the order of the moments, p")

    def loss(self, step: Step) -> Tensor:
        """Both terms from one forward pass, a scalar."""
        if not self.weight:
            return self.supervised(step)
        source_BD, target_BD = self.net.features(step.source.x, step.target)
        task = self.criterion(self.net.head(source_BD), step.source.y)
        return task + self.weight * self.moment_distance(source_BD, target_BD)

    def moment_distance(self, source_BD: Tensor, target_BD: Tensor) -> Tensor:
        """Features (B, D) and (B', D) -> the mean over D^p entries of the squared difference of the moments, a scalar."""
        source_BD, target_BD = (x_BD.float() - x_BD.float().mean(dim=0) for x_BD in (source_BD, target_BD))
        width = source_BD.shape[1]

        def product(a_BD: Tensor, b_BD: Tensor) -> Tensor:
            mean: Tensor = (a_BD @ b_BD.T / width).pow(self.order).mean()
            return mean

        return product(source_BD, source_BD) + product(target_BD, target_BD) - 2 * product(source_BD, target_BD)
