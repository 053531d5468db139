"""AaD: source-free adaptation; predictions attract those of their neighbours and disperse from the rest of the batch.

Yang, Wang, Wang, Jui and van de Weijer, Attracting and dispersing: a simple approach for source-free domain adaptation,
NeurIPS 2022. https://arxiv.org/abs/2205.04183
"""

from __future__ import annotations

from pydantic import Field
from torch import Tensor

from tlbench.methods.source_free._banks import BankedSourceFree
from tlbench.terms import Step


class AaD(BankedSourceFree):
    """Mean over samples of (- sum over neighbours k of <p, q_k> + (1 + 10 progress)^-decay sum over the others j of <p, p_j>).

    p is the prediction, q_k are those in a bank, p_j those of the batch, so that the second sum grows with the batch size.
    """

    neighbors: int = Field(5, ge=1, description="nearest neighbours of a sample")
    decay: float = Field(5.0, ge=0, description="of the dispersion; the authors take 0.75 to 5, larger for larger data")

    def loss(self, step: Step) -> Tensor:
        """The loss of a batch, a scalar; its entries in the banks are replaced first."""
        features_BD, index_B = self.net.backbone(step.target), step.indices["target"]
        softmax_BC = self.net.head(features_BD).softmax(dim=1)
        unit_BD = self.banks.write(index_B, features_BD.detach(), softmax_BC.detach())
        near_BKC = self.banks.softmax_NC[self.banks.nearest(unit_BD, index_B, self.neighbors)]
        attraction = -(softmax_BC[:, None] * near_BKC).sum(dim=(1, 2)).mean()
        products = softmax_BC.sum(dim=0).square().sum() - softmax_BC.square().sum()  # over all pairs of different samples
        return attraction + (1 + 10 * step.progress) ** -self.decay * products / len(softmax_BC)
