"""RPL: TENT with robust pseudo-labels: the generalised cross-entropy of each prediction with its own largest class.

Rusak, Schneider, Pachitariu, Eck, Gehler, Bringmann, Brendel and Bethge, If your data distribution shifts, use self-learning,
TMLR 2022. https://arxiv.org/abs/2104.12928
"""

from __future__ import annotations

from pydantic import Field
from torch import Tensor

from tlbench.methods.norm_adaptation import NormAdaptation
from tlbench.methods.online import OnlineAdaptation


class RPL(NormAdaptation):
    """CE on the source; then each batch of the stream is predicted, and one step of SGD lowers (1 - p^q) / q of its classes."""

    lr: float = Field(7.5e-4, ge=0, description="learning rate of scale and shift on the stream")
    q: float = Field(
        0.8, gt=0, le=1, description="of the generalised cross-entropy: near 0 cross-entropy, 1 the absolute error"
    )

    def online(self) -> OnlineAdaptation:
        """Only the normalisation layers learn, by SGD."""
        return OnlineAdaptation(self.self_training, self.groups(), self.lr, "sgd", begin=self.begin)

    def self_training(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Network inputs (B, ...) -> logits (B, C) and the mean of (1 - p^q) / q over the batch, a scalar."""
        logits_BC = self.net(x)
        largest_B = logits_BC.float().softmax(dim=1).amax(dim=1)
        return logits_BC, ((1 - largest_B**self.q) / self.q).mean()
