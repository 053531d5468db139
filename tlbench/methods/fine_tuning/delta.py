"""DELTA: in fine-tuning, the outputs of the backbone's stages stay near those of the source-trained backbone.

Li, Xiong, Wang, Rao, Liu, Chen and Huan, DELTA: deep learning transfer using feature map with attention for convolutional
networks, ICLR 2019. https://arxiv.org/abs/1901.09229
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from pydantic import Field
from torch import Tensor

from tlbench.methods.base import Group, Passes, Phase
from tlbench.methods.fine_tuning._channel_attention import channel_attention
from tlbench.methods.source_then_target import SourceThenTarget
from tlbench.terms import Step


class DELTA(SourceThenTarget):
    """CE + alpha / 2 sum over stages and samples of |F(x) - F0(x)|^2 / P + beta / 2 |v|^2 over the head's parameters v.

    F are the outputs (B, channels, P positions) of a stage and F0 those of the source-trained backbone in evaluation mode. With
    `attention`, the paper's main form, channel j of C counts C W_j times: W = softmax_j(L without j - L), how much the loss of
    a linear classifier of the source-trained features rises where channel j is 0. As in the authors' code the term is a sum
    over the batch, not a mean, and the rises are standardised and divided by 5 before the softmax.
    """

    alpha: float = Field(0.01, ge=0, description="of the distance between the outputs of the stages")
    beta: float = Field(0.01, ge=0, description="of the decay of the head towards 0")
    attention: bool = Field(
        False, description="weigh channels by the loss without them: a pass over the samples for each channel"
    )

    def build(self) -> None:
        """Create the backbone that holds the weights after the source."""
        self.start = copy.deepcopy(self.net.backbone)
        self.weights: list[Tensor] | None = None

    def phases(self) -> tuple[Phase, ...]:
        """The source; then the labelled target samples, beside the frozen copy of the backbone."""
        groups = (Group((self.net,)), Group((self.start,), 0.0))
        return self.source_phase(), self.target_phase(groups, self.copy_backbone)

    def copy_backbone(self, passes: Passes) -> None:
        """Copy the weights and the batch statistics after the source, and weigh the channels by them."""
        self.start.load_state_dict(self.net.backbone.state_dict())
        if self.attention and self.alpha:
            self.weights = channel_attention(self, self.start, passes)

    def loss(self, step: Step) -> Tensor:
        """The sum of the three terms, a scalar."""
        if not self.alpha:
            total = super().loss(step)
        else:
            outputs = self.net.backbone.stage_outputs(step.target_labeled.x)
            with torch.no_grad():
                start_outputs = self.start.stage_outputs(step.target_labeled.x)
            total = self.criterion(self.net.head(outputs[-1]), step.target_labeled.y)
            total = total + self.alpha * behavior_distance(outputs, start_outputs, self.weights)
        if self.beta:
            total = total + self.beta / 2 * sum(parameter.square().sum() for parameter in self.net.head.parameters())
        return total


def behavior_distance(outputs: list[Tensor], start_outputs: list[Tensor], weights: Sequence[Tensor] | None = None) -> Tensor:
    """Outputs (B, C, ...) of every stage of two backbones -> half of their squared distance per position, a scalar.

    The weights (C,) of a stage's channels have sum 1; None: all are 1 / C.
    """
    distances = []
    for number, (output, start) in enumerate(zip(outputs, start_outputs, strict=True)):
        squares = (output - start).square()
        if weights is not None:
            squares = squares.reshape(*output.shape[:2], -1) * (output.shape[1] * weights[number])[:, None]
        distances.append(squares.sum() / output[0, 0].numel())
    return torch.stack(distances).sum() / 2
