"""What methods share that train on the source first and then go on with the labelled target samples, as fine_tune does."""

from __future__ import annotations

from collections.abc import Callable

from pydantic import Field
from torch import Tensor

from tlbench.methods.base import DeepMethod, Group, Passes, Phase
from tlbench.terms import Step

SOURCE, TARGET_LABELED = frozenset({"source"}), frozenset({"target_labeled"})


class SourceThenTarget(DeepMethod):
    """`source_share` of the steps on the source, the others on labelled target samples; the head is carried over.

    Without changes it is plain fine-tuning: the network starts from the same weights and sees the same batches as `fine_tune`.
    """

    reads = SOURCE | TARGET_LABELED
    soft_labels = True
    tasks = frozenset({"classification", "regression"})
    source_share: float = Field(0.5, gt=0, lt=1, description="share of the steps spent on the source")

    def phases(self) -> tuple[Phase, ...]:
        """The source, then the labelled target samples."""
        return self.source_phase(), self.target_phase()

    def source_phase(self, groups: tuple[Group, ...] | None = None) -> Phase:
        """The phase on the source; by default all of the network learns, and nothing beside it."""
        return Phase(self.supervised, SOURCE, self.source_share, groups or (Group((self.net,)),))

    def target_phase(self, groups: tuple[Group, ...] | None = None, begin: Callable[[Passes], None] | None = None) -> Phase:
        """The phase on the labelled target samples; by default all of the method learns."""
        return Phase(self.loss, TARGET_LABELED, 1 - self.source_share, groups, begin)

    def loss(self, step: Step) -> Tensor:
        """CE(labelled target samples), a scalar."""
        return self.criterion(self.net(step.target_labeled.x), step.target_labeled.y)
