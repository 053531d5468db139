"""MDD: an adversarial head disagrees with the classifier on the target by a margin, and the features take the margin away.

Zhang, Liu, Long and Jordan, Bridging theory and algorithm for domain adaptation, ICML 2019. https://arxiv.org/abs/1904.05801
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from tlbench.methods.base import DeepMethod
from tlbench.nn.gradient_reversal import reversal_schedule, reverse_gradient
from tlbench.nn.net import concatenated
from tlbench.terms import Step


class MDD(DeepMethod):
    """CE(source) + weight * (margin * CE(h'(R_k(s)), h(s)) + mean -log(1 - p'_{h(t)}(R_k(t)))), h the predicted class.

    The adversarial head h' is a linear layer as h is, which gets no gradient of the bracket. k rises to `reversal`.
    """

    reads = frozenset({"source", "target"})
    soft_labels = True
    weight: float = Field(1.0, ge=0, description="of the margin disparity discrepancy")
    margin: float = Field(4.0, gt=0, description="weight of the source's disparity, gamma in the paper")
    reversal: float = Field(0.1, gt=0, description="the factor of the gradient reversal at the end of the training")

    def build(self) -> None:
        """Create the adversarial head, with other weights than the first."""
        self.adversary = self.net.new_head()

    def loss(self, step: Step) -> Tensor:
        """Both terms from one forward pass, a scalar."""
        if not self.weight:
            return self.supervised(step)
        features_BD = concatenated(*self.net.features(step.source.x, step.target))
        logits_BC = self.net.head(features_BD)
        adversary_BC = self.adversary(reverse_gradient(features_BD, self.reversal * reversal_schedule(step.progress)))
        n = len(step.source.y)
        task = F.cross_entropy(logits_BC[:n], step.source.y)
        return task + self.weight * self.disparity(adversary_BC, logits_BC.argmax(dim=1), n)

    def disparity(self, adversary_BC: Tensor, label_B: Tensor, n: int) -> Tensor:
        """The margin disparity discrepancy with its sign reversed, a scalar that is never negative.

        Args:
            adversary_BC: logits (B + B', C) of the adversarial head, the source's first.
            label_B: classes (B + B',) that the classifier predicts.
            n: B, the number of source samples.
        """
        source = F.cross_entropy(adversary_BC[:n], label_B[:n])
        target_BC = adversary_BC[n:].float()
        # log(1 - p) of one class as the logarithm of the sum over the others, which saturated predictions leave finite
        is_label = torch.zeros_like(target_BC, dtype=torch.bool).scatter(1, label_B[n:, None], True)
        others_B = target_BC.masked_fill(is_label, -torch.inf).logsumexp(dim=1)
        return self.margin * source + (target_BC.logsumexp(dim=1) - others_B).mean()
