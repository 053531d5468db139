"""ADDA: a target encoder, which starts from the source's, learns to pass its features off as the source encoder's.

Tzeng, Hoffman, Saenko and Darrell, Adversarial discriminative domain adaptation, CVPR 2017. https://arxiv.org/abs/1702.05464
"""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from tlbench.methods.base import AlternatingUpdate, DeepMethod, Group, Passes, Phase
from tlbench.nn.heads import Discriminator, domain_loss
from tlbench.terms import Step


class ADDA(DeepMethod):
    """CE(source); then the discriminator learns to tell source from target features, and the target encoder inverted labels.

    In the second phase the source encoder and the head are frozen, and no label is read. Nothing ties classes to classes, so
    that a long second phase, or a large learning rate in it, may exchange them.
    """

    reads = frozenset({"source", "target"})
    soft_labels = True
    source_share: float = Field(0.5, gt=0, lt=1, description="share of the steps spent on the source")
    hidden: int = Field(500, ge=1, description="width of the discriminator's two hidden layers")
    adversarial_lr: float = Field(0.2, gt=0, description="learning rate of the second phase, as a multiple of the suite's")

    def build(self) -> None:
        """Create the source encoder, a copy that is fixed in the second phase, and the discriminator."""
        self.source_backbone = copy.deepcopy(self.net.backbone)
        self.discriminator = Discriminator(self.net.backbone.width, self.hidden)

    def phases(self) -> tuple[Phase, ...]:
        """The source; then alternating updates of discriminator and target encoder, which is the network's backbone."""
        fixed = Group((self.source_backbone, self.net.head), 0.0)
        groups = (Group((self.discriminator, self.net.backbone), self.adversarial_lr), fixed)
        updates = (
            AlternatingUpdate(self.discriminate, (self.discriminator,)),
            AlternatingUpdate(self.invert, (self.net.backbone,)),
        )
        return (
            Phase(self.supervised, frozenset({"source"}), self.source_share, (Group((self.net,)),)),
            Phase(updates, self.reads, 1 - self.source_share, groups, self.copy_encoder),
        )

    def copy_encoder(self, passes: Passes) -> None:
        """Make the source encoder that of the first phase."""
        self.source_backbone.load_state_dict(self.net.backbone.state_dict())

    def discriminate(self, step: Step) -> Tensor:
        """The discriminator's cross-entropy, a mean over both domains' features, which are fixed; a scalar."""
        with torch.no_grad():
            features_BD = torch.cat([self.source_backbone(step.source.x), self.net.backbone(step.target)])
        return domain_loss(self.discriminator(features_BD), len(step.source.y))

    def invert(self, step: Step) -> Tensor:
        """The discriminator's cross-entropy on target features as if they were the source's, a scalar."""
        logits_B = self.discriminator(self.net.backbone(step.target))
        return F.binary_cross_entropy_with_logits(logits_B, torch.ones_like(logits_B))
