"""NRC: source-free adaptation; a prediction follows those of its neighbours, most of all of reciprocal ones.

Yang, Wang, van de Weijer, Herranz and Jui, Exploiting the intrinsic neighborhood structure for source-free domain adaptation,
NeurIPS 2021. https://arxiv.org/abs/2110.04202
"""

from __future__ import annotations

from pydantic import Field
from torch import Tensor

from tlbench.methods.source_free._banks import BankedSourceFree
from tlbench.nn.entropy import entropy_of_mean
from tlbench.terms import Step


class NRC(BankedSourceFree):
    """Mean over samples of - (sum over neighbours k of a_k <p, q_k> + affinity sum over theirs l of <p, q_l>), minus H(mean p).

    p is the prediction, q_k and q_l are those in a bank; a_k is 1 where the sample is a neighbour of its neighbour k, too, and
    `affinity` elsewhere. As in the authors' code, a sample may be a neighbour of its neighbours, which takes the place of the
    paper's term for itself.
    """

    neighbors: int = Field(5, ge=1, description="nearest neighbours of a sample")
    expanded: int = Field(5, ge=1, description="nearest neighbours of each of these")
    affinity: float = Field(0.1, ge=0, le=1, description="of neighbours that are not reciprocal, and of their neighbours")

    def loss(self, step: Step) -> Tensor:
        """The loss of a batch, a scalar; its entries in the banks are replaced first."""
        features_BD, index_B = self.net.backbone(step.target), step.indices["target"]
        logits_BC = self.net.head(features_BD)
        softmax_BC = logits_BC.softmax(dim=1)
        unit_BD = self.banks.write(index_B, features_BD.detach(), softmax_BC.detach())
        return -(softmax_BC * self.neighborhood(unit_BD, index_B)).sum(dim=1).mean() - entropy_of_mean(logits_BC)

    def neighborhood(self, unit_BD: Tensor, index_B: Tensor) -> Tensor:
        """Unit features (B, D) of the entries (B,) -> the weighted sums (B, C) of the predictions around them."""
        near_BK = self.banks.nearest(unit_BD, index_B, self.neighbors)
        near_Q = near_BK.flatten()
        around_BKM = self.banks.nearest(self.banks.features_ND[near_Q], near_Q, self.expanded).view(*near_BK.shape, -1)
        mutual_BK = (around_BKM == index_B[:, None, None]).any(dim=2)
        weight_BK = mutual_BK.to(unit_BD.dtype).clamp_min(self.affinity)
        near_BC = (weight_BK[:, :, None] * self.banks.softmax_NC[near_BK]).sum(dim=1)
        return near_BC + self.affinity * self.banks.softmax_NC[around_BKM].sum(dim=(1, 2))
