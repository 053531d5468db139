"""MobileNetV1: depthwise-separable convolutions for colour images, small enough for two cores at width 0.25.

Howard et al., MobileNets: efficient convolutional neural networks for mobile vision applications, 2017.
https://arxiv.org/abs/1704.04861. LeakyReLU of slope 0.1 follows each batch normalisation, and layers are grouped and
named as in the ImageNet weights of width 0.25 that came with RetinaFace (Deng et al., 2019, https://arxiv.org/abs/1905.00641).
"""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field
from torch import nn

from tlbench.errors import TlbenchError
from tlbench.nn import weights
from tlbench.nn.net import Backbone
from tlbench.nn.shapes import suitable_backbone
from tlbench.nn.whole_network import ThreeChannels

BLOCKS = {
    "stage1": ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1)),
    "stage2": ((512, 2), *((512, 1),) * 5),
    "stage3": ((1024, 2), (1024, 1)),
}
"""Output channels at width 1, and stride, of the depthwise-separable blocks."""


class Options(BaseModel):
    """Options of the backbone `mobilenet_v1`."""

    model_config = ConfigDict(extra="forbid")

    width: float = Field(0.25, gt=0, description="multiplier of all channels; the published weights have 0.25")
    weights: str = Field("", description="empty for random weights, or file:PATH")


def build(shape: tuple[int, ...], options: Options) -> Backbone:
    """Build the backbone: images (B, 3, height, width), or grey ones repeated to three channels -> features (B, 1024 x width).

    The stages are the first convolution, the blocks at an eighth of the resolution, those at a sixteenth, and the rest.

    Raises:
        TlbenchError: `shape` is no grey or colour image, or the weights do not fit.
    """
    if len(shape) != 3 or shape[0] not in (1, 3):
        raise TlbenchError(
            f"The backbone mobilenet_v1 takes grey or colour images, not samples of shape {shape}. "
            f"Choose {suitable_backbone(shape)}."
        )
    channels = round(32 * options.width)
    stem = nn.Sequential(nn.Conv2d(3, channels, 3, 2, 1, bias=False), *_norm(channels))
    groups = {name: nn.Sequential() for name in BLOCKS}
    groups["stage1"].append(stem)
    for name, blocks in BLOCKS.items():
        for full_width, stride in blocks:
            wider = round(full_width * options.width)
            groups[name].append(_separable(channels, wider, stride))
            channels = wider
    if options.weights:
        network = nn.Sequential(OrderedDict[str, nn.Module](groups))
        weights.load(network, Path(options.weights), name="mobilenet_v1", last="fc")
    first, middle, last = groups.values()
    pooling = (nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return Backbone([nn.Sequential(ThreeChannels(), stem), first[1:], middle, nn.Sequential(*last, *pooling)], channels)


def _separable(channels: int, wider: int, stride: int) -> nn.Sequential:
    """A 3x3 convolution of each channel, then a 1x1 convolution across channels."""
    return nn.Sequential(
        nn.Conv2d(channels, channels, 3, stride, 1, groups=channels, bias=False),
        *_norm(channels),
        nn.Conv2d(channels, wider, 1, bias=False),
        *_norm(wider),
    )


def _norm(channels: int) -> tuple[nn.Module, nn.Module]:
    return nn.BatchNorm2d(channels), nn.LeakyReLU(0.1)
