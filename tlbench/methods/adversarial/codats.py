"""CoDATS: DANN for time series from several sources, whose discriminator tells each source and the target apart.

Wilson, Doppa and Cook, Multi-source deep domain adaptation with weak supervision for time-series sensor data, KDD 2020.
https://arxiv.org/abs/2005.10996
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from tlbench.methods.base import DeepMethod
from tlbench.nn.gradient_reversal import reversal_schedule, reverse_gradient
from tlbench.nn.net import concatenated
from tlbench.terms import Step


class CoDATS(DeepMethod):
    """CE(source) + weight * CE(d(R_k(features)), domain), a mean over both batches; domain 0 is the target, 1 to S the sources.

    The discriminator is the paper's: two layers of 500 with batch normalisation, ReLU and dropout. The paper's backbone is a
    convolutional network on series; here it is the suite's. The weak supervision by class proportions is left out.
    """

    reads = frozenset({"source", "target"})
    soft_labels = True
    draws_per_sample = True
    weight: float = Field(1.0, ge=0, description="of the domain loss, for the discriminator and the features alike")
    hidden: int = Field(500, ge=1, description="width of the discriminator's two hidden layers")
    dropout: float = Field(0.3, ge=0, lt=1, description="share of the discriminator's hidden units that are dropped")
    gamma: float = Field(10.0, gt=0, description="steepness of the schedule of the gradient reversal")

    def build(self) -> None:
        """Create the discriminator of S + 1 domains."""
        layers: list[nn.Module] = []
        width = self.net.backbone.width
        for _ in range(2):
            normalized = [nn.Linear(width, self.hidden, bias=False), nn.BatchNorm1d(self.hidden)]
            layers += [*normalized, nn.ReLU(), nn.Dropout(self.dropout)]
            width = self.hidden
        self.discriminator = nn.Sequential(*layers, nn.Linear(width, self.source_count + 1))

    def loss(self, step: Step) -> Tensor:
        """Both terms from one forward pass, a scalar."""
        if not self.weight:
            return self.supervised(step)
        source_BD, target_BD = self.net.features(step.source.x, step.target)
        task = F.cross_entropy(self.net.head(source_BD), step.source.y)
        features_BD = reverse_gradient(concatenated(source_BD, target_BD), reversal_schedule(step.progress, self.gamma))
        source = torch.zeros_like(step.source.y) if step.source.domain is None else step.source.domain
        domain = torch.cat([source + 1, source.new_zeros(len(target_BD))])
        return task + self.weight * F.cross_entropy(self.discriminator(features_BD), domain)
