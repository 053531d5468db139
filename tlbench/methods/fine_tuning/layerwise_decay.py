"""Layer-wise learning-rate decay: the lower a stage, the lower its rate in fine-tuning.

Clark, Luong, Le and Manning, ELECTRA, ICLR 2020. https://arxiv.org/abs/2003.10555. The decay of 0.75 is that of He et al.,
Masked autoencoders are scalable vision learners, CVPR 2022. https://arxiv.org/abs/2111.06377
"""

from __future__ import annotations

from pydantic import Field

from tlbench.methods.base import Group, Phase
from tlbench.methods.source_then_target import SourceThenTarget


class LayerwiseDecay(SourceThenTarget):
    """Fine-tuning in which the head has the suite's rate, and stage i of S that rate times decay^(S - i)."""

    decay: float = Field(0.75, gt=0, le=1, description="the rate of a stage divided by that of the one above")

    def phases(self) -> tuple[Phase, ...]:
        """The source; then every stage at its own rate."""
        stages = [*self.net.backbone.stages]
        groups = [Group((stage,), self.decay ** (len(stages) - depth)) for depth, stage in enumerate(stages)]
        return self.source_phase(), self.target_phase((*groups, Group((self.net.head,))))
