"""What methods share that insert layers into the backbone, which alone learn on the target, with the head."""

from __future__ import annotations

from pydantic import Field
from torch import nn

from tlbench.errors import NotApplicableError
from tlbench.methods.base import Group, Phase
from tlbench.methods.source_then_target import SourceThenTarget


class InsertedLayers(SourceThenTarget):
    """Fine-tuning of inserted layers and the head; all other weights and the batch statistics stay those of the source.

    The inserted layers change nothing until they learn, so that the training on the source is that of `fine_tune`.
    """

    target_lr: float = Field(1.0, gt=0, description="the learning rate on the target, as a multiple of the suite's")
    inserted: tuple[nn.Module, ...]
    """The modules that are inserted; `build` sets them."""
    unfrozen: tuple[nn.Module, ...] = ()
    """Modules of the backbone that learn on the target, too."""

    def phases(self) -> tuple[Phase, ...]:
        """The source without the inserted layers; then these and the head.

        Raises:
            NotApplicableError: nothing could be inserted into the backbone.
        """
        if not self.inserted:
            raise NotApplicableError(
                f"{type(self).__name__} adapts layers of the backbone, and this backbone has none that it can adapt."
            )
        source = self.source_phase((Group((self.net,)), Group(self.inserted, 0.0)))
        learning = Group((*self.inserted, *self.unfrozen, self.net.head), self.target_lr)
        return source, self.target_phase((Group((self.net,), 0.0), learning))
