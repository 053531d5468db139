"""ATDOC: pseudo-labels of target samples are the mean predictions of their nearest neighbours in a memory of the target.

Liang, Hu and Feng, Domain adaptation with auxiliary target domain-oriented classifier, CVPR 2021.
https://arxiv.org/abs/2007.04171
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from tlbench.methods.base import DeepMethod, Group, Passes, Phase
from tlbench.terms import Step


class ATDOC(DeepMethod):
    """CE(source) + weight * progress * sum w CE(target, label) / sum w, label and w the argmax and maximum of the neighbours.

    The memory has the unit features and the sharpened predictions p^2 / sum of p^2 over the batch of all target samples, from
    the step that drew each last; at first predictions are uniform. A sample is no neighbour of itself.
    """

    reads = frozenset({"source", "target"})
    soft_labels = True
    weight: float = Field(0.2, ge=0, description="of the loss on pseudo-labels at the end of the training")
    neighbors: int = Field(5, ge=1, description="neighbours whose predictions are averaged")
    features_ND: Tensor
    softmax_NC: Tensor

    def phases(self) -> tuple[Phase, ...]:
        """One phase, which begins with a pass over the target; at weight 0 the baseline."""
        if not self.weight:
            return (Phase(self.supervised, self.reads),)
        return (Phase(self.loss, self.reads, 1.0, (Group((self.net,)),), self.start_memory, after=self.publish),)

    def start_memory(self, passes: Passes) -> None:
        """Fill the memory, and its next state, which the steps write."""
        self.features_ND = F.normalize(passes.map("target", self.net.backbone))
        self.softmax_NC = torch.full_like(self.features_ND[:, :1], 1 / self.classes).repeat(1, self.classes)
        self.next_features_ND, self.next_softmax_NC = self.features_ND.clone(), self.softmax_NC.clone()

    def publish(self, progress: float) -> None:
        """Make what the step wrote the memory of the next one."""
        self.features_ND.copy_(self.next_features_ND)
        self.softmax_NC.copy_(self.next_softmax_NC)

    def loss(self, step: Step) -> Tensor:
        """The sum of both terms, a scalar; both come from one forward pass, which is also what the memory gets."""
        source_BD, target_BD = self.net.features(step.source.x, step.target)
        logits_BC, index_B = self.net.head(target_BD), step.indices["target"]
        with torch.no_grad():
            unit_BD, squared_BC = F.normalize(target_BD), logits_BC.float().softmax(dim=1).square()
            weight_B, label_B = self.vote(unit_BD, index_B)
            self.next_features_ND[index_B] = unit_BD.to(self.features_ND)
            self.next_softmax_NC[index_B] = (squared_BC / squared_BC.sum(dim=0)).to(self.softmax_NC)
        losses_B = F.cross_entropy(logits_BC, label_B, reduction="none")
        task = F.cross_entropy(self.net.head(source_BD), step.source.y)
        return task + self.weight * step.progress * (weight_B * losses_B).sum() / weight_B.sum()

    def vote(self, unit_BD: Tensor, index_B: Tensor) -> tuple[Tensor, Tensor]:
        """Unit features (B, D) of target samples with indices (B,) -> weights (B,) and pseudo-labels (B,)."""
        cosines_BN = unit_BD.to(self.features_ND) @ self.features_ND.T
        cosines_BN.scatter_(1, index_B[:, None], -torch.inf)
        nearest_BK = cosines_BN.topk(min(self.neighbors, cosines_BN.shape[1]), dim=1).indices
        weight_B, label_B = self.softmax_NC[nearest_BK].mean(dim=1).max(dim=1)
        return weight_B, label_B
