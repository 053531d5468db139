"""StochNorm: in fine-tuning, each channel of batch normalisation takes the batch's or the moving statistics, by chance.

Kou, You, Long and Wang, Stochastic normalization, NeurIPS 2020.
https://proceedings.neurips.cc/paper/2020/hash/bc573864331a9e42e4511de6f678aa83-Abstract.html
"""

from __future__ import annotations

from pydantic import Field

from tlbench.errors import NotApplicableError
from tlbench.methods.base import Passes, Phase
from tlbench.methods.source_then_target import SourceThenTarget
from tlbench.nn.stochastic_norm import replace_batch_norms


class StochNorm(SourceThenTarget):
    """Fine-tuning with stochastic normalisation; on the source and in evaluation it is batch normalisation."""

    probability: float = Field(0.5, ge=0, le=1, description="that a channel takes the statistics of the batch")

    def build(self) -> None:
        """Replace the batch normalisation of the network."""
        self.norms = replace_batch_norms(self.net)

    def phases(self) -> tuple[Phase, ...]:
        """The source with batch normalisation; then the labelled target samples with the stochastic one.

        Raises:
            NotApplicableError: the backbone has no batch normalisation.
        """
        if not self.norms:
            raise NotApplicableError("stochnorm replaces batch normalisation, and the backbone has none.")
        return self.source_phase(), self.target_phase(begin=self.mix)

    def mix(self, passes: Passes) -> None:
        """Let the layers choose between the two statistics."""
        for norm in self.norms:
            norm.batch_probability = self.probability
