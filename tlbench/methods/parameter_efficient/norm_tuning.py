"""Norm tuning: after the source, only the normalisation layers of the backbone and the head are fine-tuned.

Mudrakarta, Sandler, Zhmoginov and Howard, K for the price of 1: parameter-efficient multi-task and transfer learning, ICLR 2019
(scale-and-bias patches). https://arxiv.org/abs/1810.10703
"""

from __future__ import annotations

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from tlbench.errors import NotApplicableError
from tlbench.methods.base import Group, Phase
from tlbench.methods.source_then_target import SourceThenTarget

NORMS = (_BatchNorm, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)


class NormTuning(SourceThenTarget):
    """Fine-tuning of the scale and shift of every normalisation layer; the statistics of batch normalisation move as well."""

    def build(self) -> None:
        """Collect the normalisation layers of the backbone."""
        self.norms = tuple(module for module in self.net.backbone.modules() if isinstance(module, NORMS))

    def phases(self) -> tuple[Phase, ...]:
        """The source; then the normalisation layers and the head.

        Raises:
            NotApplicableError: the backbone has no normalisation layers.
        """
        if not self.norms:
            raise NotApplicableError("norm_tuning trains normalisation layers of the backbone, and this one has none.")
        return self.source_phase(), self.target_phase((Group((self.net,), 0.0), Group((*self.norms, self.net.head))))
