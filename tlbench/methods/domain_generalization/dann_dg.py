"""DANN between sources: features from which a discriminator cannot tell the sources apart.

Ganin et al., Domain-adversarial training of neural networks, JMLR 2016. https://arxiv.org/abs/1505.07818
Gulrajani and Lopez-Paz, In search of lost domain generalization, ICLR 2021. https://arxiv.org/abs/2007.01434
"""

from __future__ import annotations

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from tlbench.methods.base import DeepMethod
from tlbench.nn.gradient_reversal import reverse_gradient
from tlbench.terms import Step


class DANNGeneralization(DeepMethod):
    """CE(source) + weight * CE(d(R(features)), source), without a schedule, as in DomainBed.

    Discriminator and features learn at once, behind a gradient reversal; DomainBed makes their updates in turns. With one
    source there is nothing to tell apart: it is `source_only`.
    """

    reads = frozenset({"source"})
    soft_labels = True
    weight: float = Field(1.0, ge=0, description="of the domain loss, for the discriminator and the features alike")
    hidden: int = Field(256, ge=1, description="width of the discriminator's two hidden layers")

    def build(self) -> None:
        """Create the discriminator of the sources."""
        if self.source_count > 1:
            hidden = [
                nn.Linear(self.net.backbone.width, self.hidden),
                nn.ReLU(),
                nn.Linear(self.hidden, self.hidden),
                nn.ReLU(),
            ]
            self.discriminator = nn.Sequential(*hidden, nn.Linear(self.hidden, self.source_count))

    def loss(self, step: Step) -> Tensor:
        """Both terms from one forward pass, a scalar."""
        if not self.weight or self.source_count == 1 or step.source.domain is None:
            return self.supervised(step)
        features_BD = self.net.backbone(step.source.x)
        domain_loss = F.cross_entropy(self.discriminator(reverse_gradient(features_BD)), step.source.domain)
        return self.criterion(self.net.head(features_BD), step.source.y) + self.weight * domain_loss
