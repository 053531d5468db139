"""Last stages: after the source, only the last stages of the backbone and the head are fine-tuned.

Yosinski, Clune, Bengio and Lipson, How transferable are features in deep neural networks?, NeurIPS 2014.
https://arxiv.org/abs/1411.1792
"""

from __future__ import annotations

from pydantic import Field

from tlbench.errors import NotApplicableError
from tlbench.methods.base import Group, Phase
from tlbench.methods.source_then_target import SourceThenTarget


class LastStages(SourceThenTarget):
    """Fine-tuning whose first stages are frozen, batch statistics included; with `stages = 0` the head alone learns."""

    stages: int = Field(1, ge=0, description="how many of the backbone's last stages learn with the head")

    def phases(self) -> tuple[Phase, ...]:
        """The source; then the last stages and the head.

        Raises:
            NotApplicableError: the backbone has fewer stages than `stages`.
        """
        all_stages = [*self.net.backbone.stages]
        if self.stages > len(all_stages):
            raise NotApplicableError(f"stages = {self.stages}, but the backbone has {len(all_stages)} stages.")
        first = len(all_stages) - self.stages
        learning, frozen = Group((*all_stages[first:], self.net.head)), Group(tuple(all_stages[:first]), 0.0)
        return self.source_phase(), self.target_phase((learning, frozen))
