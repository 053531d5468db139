"""A residual network for small images, such as ResNet-20 on CIFAR-10: 6n + 2 layers, 16 to 64 channels.

He et al., Deep residual learning for image recognition, CVPR 2016, section 4.2. https://arxiv.org/abs/1512.03385. Shortcuts add
no parameters: where the channels double, they take every second pixel and fill with zeros (option A of the paper). Layers are
named as in Idelbayev's weights (https://github.com/akamaster/pytorch_resnet_cifar10).
"""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from tlbench.errors import TlbenchError
from tlbench.nn import weights
from tlbench.nn.net import Backbone
from tlbench.nn.shapes import suitable_backbone

PIXELS = 8
"""The least side of an image: the last stage then has two by two pixels."""


class Options(BaseModel):
    """Options of the backbone `resnet`."""

    model_config = ConfigDict(extra="forbid")

    depth: int = Field(20, ge=8, description="number of layers, 6n + 2: 8, 14, 20, 32, 44, 56, 110")
    channels: int = Field(
        16, ge=1, description="of the first stage; the last has four times as many, the width of the features"
    )
    weights: str = Field("", description="empty for random weights, or file:PATH")


def build(shape: tuple[int, ...], options: Options) -> Backbone:
    """Build the backbone: images (B, channels, height, width) -> features (B, 4 x channels).

    The stages are the first convolution and the three groups of blocks; pooling is in the last.

    Raises:
        TlbenchError: `shape` is no image of at least 8 pixels a side, the depth is not 6n + 2, or the weights do not fit.
    """
    if len(shape) != 3 or min(shape[1:]) < PIXELS:
        raise TlbenchError(
            f"The backbone resnet takes images of at least {PIXELS} pixels a side, not samples of shape {shape}. "
            f"Choose {suitable_backbone(shape)}."
        )
    if (options.depth - 2) % 6:
        raise TlbenchError(
            f"net.depth: A residual network for small images has 6n + 2 layers, not {options.depth}: 8, 14, 20 ..."
        )
    widths = [options.channels, 2 * options.channels, 4 * options.channels]
    network = nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(shape[0], widths[0], 3, 1, 1, bias=False),
            bn1=nn.BatchNorm2d(widths[0]),
            relu=nn.ReLU(),
            layer1=_group(widths[0], widths[0], options.depth),
            layer2=_group(widths[0], widths[1], options.depth),
            layer3=_group(widths[1], widths[2], options.depth),
        )
    )
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)
    if options.weights:
        weights.load(network, Path(options.weights), name=f"resnet of {options.depth} layers", last="linear")
    stages: list[nn.Module] = [network[:3], network[3], network[4]]
    return Backbone([*stages, nn.Sequential(network[5], nn.AdaptiveAvgPool2d(1), nn.Flatten())], widths[2])


def _group(channels: int, wider: int, depth: int) -> nn.Sequential:
    blocks = [_Block(channels, wider), *(_Block(wider, wider) for _ in range((depth - 2) // 6 - 1))]
    return nn.Sequential(*blocks)


class _Block(nn.Module):
    """Two 3x3 convolutions and the shortcut around them; the first halves the resolution where the channels double."""

    def __init__(self, channels: int, wider: int) -> None:
        super().__init__()
        self.stride, self.added = (1, 0) if channels == wider else (2, wider - channels)
        self.conv1 = nn.Conv2d(channels, wider, 3, self.stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(wider)
        self.conv2 = nn.Conv2d(wider, wider, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(wider)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (B, C, H, W) -> (B, wider, H / stride, W / stride)."""
        residual = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        shortcut = x[:, :, :: self.stride, :: self.stride]
        if self.added:
            shortcut = F.pad(shortcut, (0, 0, 0, 0, self.added // 2, self.added - self.added // 2))
        return F.relu(residual + shortcut)
