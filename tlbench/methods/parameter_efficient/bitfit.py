"""BitFit: after the source, only the biases of the backbone and the head are fine-tuned.

Ben Zaken, Goldberg and Ravfogel, BitFit: simple parameter-efficient fine-tuning for transformer-based masked language-models,
ACL 2022. https://arxiv.org/abs/2106.10199
"""

from __future__ import annotations

from pydantic import Field
from torch import nn

from tlbench.errors import NotApplicableError
from tlbench.methods.base import Group, Phase
from tlbench.methods.source_then_target import SourceThenTarget


class BitFit(SourceThenTarget):
    """Fine-tuning of all biases, those of normalisation layers among them; batch statistics stay those of the source."""

    target_lr: float = Field(1.0, gt=0, description="the learning rate on the target, as a multiple of the suite's")

    def phases(self) -> tuple[Phase, ...]:
        """The source; then the biases and the head.

        Raises:
            NotApplicableError: the backbone has no biases.
        """
        named = self.net.backbone.named_parameters()
        biases = [parameter for name, parameter in named if name.rpartition(".")[2].endswith("bias")]
        if not biases:
            raise NotApplicableError("bitfit trains the biases of the backbone, and this one has none.")
        learning = Group((nn.ParameterList(biases), self.net.head), self.target_lr)
        return self.source_phase(), self.target_phase((Group((self.net,), 0.0), learning))
