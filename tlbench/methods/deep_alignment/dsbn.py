"""DSBN: each domain has batch normalisation of its own, and all other weights are shared.

Chang et al., Domain-specific batch normalization for unsupervised domain adaptation, 2019. https://arxiv.org/abs/1906.03950
"""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from tlbench.errors import NotApplicableError
from tlbench.methods.base import DeepMethod, Group, Passes, Phase
from tlbench.nn.gradient_reversal import reversal_schedule, reverse_gradient
from tlbench.nn.heads import Discriminator, domain_loss
from tlbench.terms import Step


class DSBN(DeepMethod):
    """DANN on both branches; then CE(source) + CE(target, argmax((1 - k) p(teacher) + k p)), k rising from 0 to 1.

    The teacher is the target's branch after the first stage, which in the paper is MSTN: DANN with moving class centroids.
    """

    reads = frozenset({"source", "target"})
    soft_labels = True
    weight: float = Field(1.0, ge=0, description="of the domain loss in the first stage; at 0 all is training on the source")
    first_share: float = Field(0.5, gt=0, lt=1, description="share of the steps spent on the first stage")
    hidden: int = Field(256, ge=1, description="width of the discriminator's two hidden layers")

    def build(self) -> None:
        """Create the target's branch, the teacher and the discriminator."""
        self.target_net, self.teacher = copy.deepcopy(self.net), copy.deepcopy(self.net)
        self.target_norms = tuple(module for module in self.target_net.modules() if isinstance(module, _BatchNorm))
        self.discriminator = Discriminator(self.net.backbone.width, self.hidden)
        self.share()

    def share(self) -> None:
        """Make all parameters of the target's branch those of the network, but for batch normalisation."""
        for module, target_module in zip(self.net.modules(), self.target_net.modules(), strict=True):
            if not isinstance(module, _BatchNorm):
                target_module._parameters.update(module._parameters)

    def phases(self) -> tuple[Phase, ...]:
        """Both stages; at weight 0 the baseline. A backbone without batch normalisation raises NotApplicableError."""
        if not self.weight:
            return (Phase(self.supervised, self.reads),)
        if not self.target_norms:
            raise NotApplicableError("The backbone has no batch normalisation. Choose a backbone with batch norm for dsbn.")
        self.share()  # again, for a move to another device may give each module parameters of its own
        learners = (Group((self.net, *self.target_norms)), Group((self.discriminator,)))
        second = Phase(self.loss, self.reads, 1 - self.first_share, learners[:1], self.copy_branch)
        return Phase(self.align, self.reads, self.first_share, learners), second

    def align(self, step: Step) -> Tensor:
        """The first stage, DANN, a scalar; each domain goes through its branch in a forward pass of its own."""
        features = self.net.backbone(step.source.x), self.target_net.backbone(step.target)
        logits_B = self.discriminator(reverse_gradient(torch.cat(features), reversal_schedule(step.progress)))
        return F.cross_entropy(self.net.head(features[0]), step.source.y) + self.weight * domain_loss(
            logits_B, len(features[0])
        )

    def copy_branch(self, passes: Passes) -> None:
        """Make the teacher the target's branch."""
        self.teacher.load_state_dict(self.target_net.state_dict())

    def loss(self, step: Step) -> Tensor:
        """The second stage: cross-entropy on the source and on pseudo-labels of the target, a scalar."""
        target_BC, k = self.target_net(step.target), reversal_schedule(step.progress)
        with torch.no_grad():
            label_B = torch.lerp(self.teacher(step.target).softmax(dim=1), target_BC.softmax(dim=1), k).argmax(dim=1)
        return F.cross_entropy(self.net(step.source.x), step.source.y) + F.cross_entropy(target_BC, label_B)

    def predict(self, x: Tensor) -> Tensor:
        """The logits (B, C) of the target's branch; at weight 0 those of the network."""
        return torch.as_tensor(self.target_net(x) if self.weight else self.net(x))
