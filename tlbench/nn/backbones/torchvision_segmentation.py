"""A segmentation network of torchvision by its name, as `torchvision_segmentation:lraspp_mobilenet_v3_large`, with new weights.

Chen et al., Rethinking atrous convolution for semantic image segmentation, 2017. https://arxiv.org/abs/1706.05587. Howard et
al., Searching for MobileNetV3, ICCV 2019. https://arxiv.org/abs/1905.02244. The last layer gives features.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from tlbench.errors import TlbenchError
from tlbench.nn.net import Backbone
from tlbench.nn.whole_network import ThreeChannels, WholeNetwork


class Options(BaseModel):
    """Options of the backbone `torchvision_segmentation`."""

    model_config = ConfigDict(extra="forbid")

    network: Literal["lraspp_mobilenet_v3_large", "deeplabv3_mobilenet_v3_large", "deeplabv3_resnet50", "fcn_resnet50"] = Field(
        "lraspp_mobilenet_v3_large", description="the network"
    )
    width: int = Field(32, ge=1, description="D, the features of each pixel")


def build(shape: tuple[int, ...], options: Options) -> Backbone:
    """Build the backbone: images (B, 1 or 3, height, width) -> features (B, height * width, D).

    Raises:
        TlbenchError: samples are no images of 1 or 3 channels, of 32 pixels a side at least.
    """
    from torchvision.models import segmentation

    if len(shape) != 3 or shape[0] not in (1, 3) or min(shape[1:]) < 32:
        raise TlbenchError(
            "The backbone torchvision_segmentation takes images of 1 or 3 channels and 32 pixels a side or more, not samples "
            f"of shape {shape}. Choose unet."
        )
    network = getattr(segmentation, options.network)(weights=None, weights_backbone=None, num_classes=options.width)
    backbone = WholeNetwork(_EachPixel(network), options.width, [network.backbone, network.classifier])
    backbone.positions = shape[1] * shape[2]
    return backbone


class _EachPixel(nn.Module):
    """Images (B, 1 or 3, H, W) -> the output of a network at each pixel (B, H * W, D)."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.channels, self.network = ThreeChannels(), network

    def forward(self, x: Tensor) -> Tensor:
        output_BDHW: Tensor = self.network(self.channels(x))["out"]
        return output_BDHW.flatten(2).transpose(1, 2)
