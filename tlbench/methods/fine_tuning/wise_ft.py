"""WiSE-FT: the weights in the middle between the source-trained network and the fine-tuned one.

Wortsman et al., Robust fine-tuning of zero-shot models, CVPR 2022. https://arxiv.org/abs/2109.01903
"""

from __future__ import annotations

import torch
from pydantic import Field

from tlbench.methods.base import Passes, Phase
from tlbench.methods.source_then_target import SourceThenTarget
from tlbench.nn.net import floating_state


class WiSEFT(SourceThenTarget):
    """Fine-tuning, and then (1 - alpha) times the weights after the source plus alpha times the fine-tuned ones.

    The statistics of batch normalisation are interpolated as the weights are.
    """

    alpha: float = Field(0.5, ge=0, le=1, description="share of the fine-tuned weights; 0 is the source's network, 1 fine_tune")

    def phases(self) -> tuple[Phase, ...]:
        """The source, the labelled target samples, and the interpolation."""
        interpolation = Phase(None, frozenset(), 0.0, begin=self.interpolate)
        return self.source_phase(), self.target_phase(begin=self.store_source), interpolation

    def store_source(self, passes: Passes) -> None:
        """Store the state of the network after the source."""
        self.source_state = [tensor.detach().clone() for tensor in floating_state(self.net)]

    def interpolate(self, passes: Passes) -> None:
        """Set the network to the interpolated weights; counters of batches stay."""
        with torch.no_grad():
            for tuned, source in zip(floating_state(self.net), self.source_state, strict=True):
                tuned.copy_(torch.lerp(source, tuned, self.alpha))
