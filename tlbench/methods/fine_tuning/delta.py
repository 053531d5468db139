"""DELTA: in fine-tuning, the outputs of the backbone's stages stay near those of the source-trained backbone.

Li, Xiong, Wang, Rao, Liu, Chen and Huan, DELTA: deep learning transfer using feature map with attention for convolutional
networks, ICLR 2019. https://arxiv.org/abs/1901.09229
"""

from __future__ import annotations

import copy

import torch
from pydantic import Field
from torch import Tensor

from tlbench.methods.base import Group, Passes, Phase
from tlbench.methods.source_then_target import SourceThenTarget
from tlbench.terms import Step


class DELTA(SourceThenTarget):
    """CE + alpha / 2 sum over stages and samples of |F(x) - F0(x)|^2 / P + beta / 2 |v|^2 over the head's parameters v.

    F are the outputs (B, channels, P positions) of a stage and F0 those of the source-trained backbone in evaluation mode.
    Simplified: all channels have the same attention weight, where the authors weigh each by how much the loss rises without it,
    which takes a pass over the samples per channel. As in their code the term is a sum over the batch, not a mean.
    """

    alpha: float = Field(0.01, ge=0, description="of the distance between the outputs of the stages")
    beta: float = Field(0.01, ge=0, description="of the decay of the head towards 0")

    def build(self) -> None:
        """Create the backbone that holds the weights after the source."""
        self.start = copy.deepcopy(self.net.backbone)

    def phases(self) -> tuple[Phase, ...]:
        """The source; then the labelled target samples, beside the frozen copy of the backbone."""
        groups = (Group((self.net,)), Group((self.start,), 0.0))
        return self.source_phase(), self.target_phase(groups, self.copy_backbone)

    def copy_backbone(self, passes: Passes) -> None:
        """Copy the weights and the batch statistics after the source."""
        self.start.load_state_dict(self.net.backbone.state_dict())

    def loss(self, step: Step) -> Tensor:
        """The sum of the three terms, a scalar."""
        if not self.alpha:
            total = super().loss(step)
        else:
            outputs = self.net.backbone.stage_outputs(step.target_labeled.x)
            with torch.no_grad():
                start_outputs = self.start.stage_outputs(step.target_labeled.x)
            total = self.criterion(self.net.head(outputs[-1]), step.target_labeled.y)
            total = total + self.alpha * behavior_distance(outputs, start_outputs)
        if self.beta:
            total = total + self.beta / 2 * sum(parameter.square().sum() for parameter in self.net.head.parameters())
        return total


def behavior_distance(outputs: list[Tensor], start_outputs: list[Tensor]) -> Tensor:
    """Outputs (B, channels, ...) of every stage of two backbones -> half of their squared distance per position, a scalar."""
    distances = [
        (output - start).square().sum() / output[0, 0].numel() for output, start in zip(outputs, start_outputs, strict=True)
    ]
    return torch.stack(distances).sum() / 2
