"""BSP: DANN, with a penalty on the largest singular values of the features, which carry transfer at the cost of the classes.

Chen, Wang, Long and Wang, Transferability vs. discriminability: batch spectral penalization for adversarial domain adaptation,
ICML 2019. https://proceedings.mlr.press/v97/chen19i.html
"""

from __future__ import annotations

from pydantic import Field
from torch import Tensor

from tlbench.methods.base import DeepMethod
from tlbench.nn.gradient_reversal import reversal_schedule, reverse_gradient
from tlbench.nn.heads import Discriminator, domain_loss
from tlbench.nn.net import concatenated
from tlbench.nn.spectral import squared_spectral_norm
from tlbench.terms import Step


class BSP(DeepMethod):
    """CE(source) + weight * (BCE(d(R_k(features)), domain) + penalty * (sigma_1(source)^2 + sigma_1(target)^2)).

    sigma_1 is the largest singular value of a batch of features (B, D); its square grows with B.
    """

    reads = frozenset({"source", "target"})
    soft_labels = True
    tasks = frozenset({"classification", "regression"})
    weight: float = Field(1.0, ge=0, description="of the domain loss and the penalty")
    penalty: float = Field(1e-4, ge=0, description="of the squared singular values, for batches of 36 in the authors' code")
    hidden: int = Field(256, ge=1, description="width of the discriminator's two hidden layers")
    gamma: float = Field(10.0, gt=0, description="steepness of the schedule of the gradient reversal")

    def build(self) -> None:
        """Create the discriminator."""
        self.discriminator = Discriminator(self.net.backbone.width, self.hidden)

    def loss(self, step: Step) -> Tensor:
        """The sum of all terms from one forward pass, a scalar."""
        if not self.weight:
            return self.supervised(step)
        source_BD, target_BD = self.net.features(step.source.x, step.target)
        task = self.criterion(self.net.head(source_BD), step.source.y)
        features_BD = reverse_gradient(concatenated(source_BD, target_BD), reversal_schedule(step.progress, self.gamma))
        domain = domain_loss(self.discriminator(features_BD), len(source_BD))
        return task + self.weight * (domain + self.penalty * self.spectral_penalty(source_BD, target_BD))

    def spectral_penalty(self, source_BD: Tensor, target_BD: Tensor) -> Tensor:
        """Features (B, D) and (B', D) -> the sum of their squared largest singular values, a scalar."""
        return squared_spectral_norm(source_BD) + squared_spectral_norm(target_BD)
