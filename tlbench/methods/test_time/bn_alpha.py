"""BN-alpha: the statistics of batch normalisation are those of the source and of the test batch, mixed; nothing learns.

Schneider, Rusak, Eck, Bringmann, Brendel and Bethge, Improving robustness against common corruptions by covariate shift
adaptation, NeurIPS 2020. https://arxiv.org/abs/2006.16971
"""

from __future__ import annotations

from pydantic import Field
from torch import Tensor

from tlbench.errors import NotApplicableError
from tlbench.methods.base import DeepMethod
from tlbench.methods.online import OnlineAdaptation, OnlineUpdate
from tlbench.nn.stream_norms import MixedStatistics, wrap_norms
from tlbench.terms import Step


class BNAlpha(DeepMethod):
    """CE on the source; then the source's mean and variance count as `prior` samples, beside the B of a batch of the stream."""

    reads = frozenset({"source", "stream"})
    prior: float = Field(16.0, ge=0, description="samples that the source's statistics count as; 0: those of the batch alone")

    def build(self) -> None:
        """Wrap the layers of batch normalisation, which change nothing before the stream."""
        self.norms = wrap_norms(self.net, lambda norm: MixedStatistics(norm, self.prior))

    def loss(self, step: Step) -> Tensor:
        """CE(source), a scalar.

        Raises:
            NotApplicableError: the network has no batch normalisation.
        """
        if not self.norms:
            raise NotApplicableError("bn_alpha adapts batch normalisation, and the backbone has none.")
        return self.supervised(step)

    def online(self) -> OnlineAdaptation:
        """Nothing learns by gradients."""
        return OnlineAdaptation(adapt=self.predict_batch, begin=self.begin)

    def begin(self) -> None:
        """Mix the statistics from now on."""
        for norm in self.norms:
            norm.streaming = True

    def predict_batch(self, x: Tensor, update: OnlineUpdate) -> Tensor:
        """Network inputs (B, ...) -> logits (B, C)."""
        logits: Tensor = self.net(x)
        return logits
