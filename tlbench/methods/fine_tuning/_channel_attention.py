"""The attention weights of DELTA: how much the loss rises where a channel of a stage is 0.

Li, Xiong, Wang, Rao, Liu, Chen and Huan, DELTA: deep learning transfer using feature map with attention for convolutional
networks, ICLR 2019, section 3.3. https://arxiv.org/abs/1901.09229
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from tlbench.methods.base import DeepMethod, Passes
from tlbench.nn.net import Backbone
from tlbench.solvers import base_learners

TEMPERATURE = 5.0
"""What standardised rises are divided by before the softmax, as in the authors' code."""


def channel_attention(method: DeepMethod, backbone: Backbone, passes: Passes) -> list[Tensor]:
    """The weights (C,) of the channels of every stage, each of sum 1.

    The classifier is a logistic regression (ridge for a regression) of the features of the labelled target samples.

    Args:
        method: gives the criterion and the number of classes.
        backbone: the source-trained one; its stages have the channels.
        passes: over the labelled target samples, of which each channel takes one pass.
    """
    channels: list[int] = []

    def features(x: Tensor) -> Tensor:
        outputs = backbone.stage_outputs(x)
        channels[:] = [output.shape[1] for output in outputs]
        return outputs[-1]

    features_ND, y = passes.map("target_labeled", features), passes.labels("target_labeled")
    classify = base_learners.fit_learner(
        "logistic", features_ND.double(), y, method.classes, regression=y.is_floating_point(), note=method.note
    )

    def loss(outputs_ND: Tensor) -> Tensor:
        return method.criterion(classify(outputs_ND.double()).to(features_ND), y)

    whole, weights = loss(features_ND), []
    for stage, count in zip(backbone.stages[:-1], channels, strict=False):
        rises = []
        for channel in range(count):
            with without_channel(stage, channel):
                rises.append(loss(passes.map("target_labeled", backbone)) - whole)
        weights.append(attention_weights(torch.stack(rises)))
    masks_DD = 1 - torch.eye(features_ND.shape[1]).to(features_ND)
    return [*weights, attention_weights(torch.stack([loss(features_ND * mask) - whole for mask in masks_DD]))]


def attention_weights(rises_C: Tensor) -> Tensor:
    """Rises of the loss (C,) -> weights (C,): the softmax of the standardised rises over the temperature."""
    standardised = ((rises_C - rises_C.mean()) / rises_C.std(correction=0)).nan_to_num()  # equal rises have no deviation
    return (standardised / TEMPERATURE).softmax(dim=0)


@contextlib.contextmanager
def without_channel(stage: nn.Module, channel: int) -> Iterator[None]:
    """A stage whose outputs (B, C, ...) are 0 in one channel."""

    def without(_: nn.Module, __: Any, output: Any) -> Any:
        first, *others = output if isinstance(output, tuple) else (output,)
        first = first.index_fill(1, torch.tensor([channel], device=first.device), 0.0)
        return (first, *others) if isinstance(output, tuple) else first

    last = [*stage.children()][-1] if isinstance(stage, nn.ModuleList) else stage
    handle = last.register_forward_hook(without)
    try:
        yield
    finally:
        handle.remove()
