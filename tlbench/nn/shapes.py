"""Which of the small backbones suits samples of a shape."""

from __future__ import annotations

LENET_PIXELS = 20
"""From so many pixels a side on, lenet is chosen for images, and convnet for smaller ones."""
CONVNET_PIXELS = 4
CONV1D_STEPS = 8
"""The least that convnet and conv1d take."""


def suitable_backbone(shape: tuple[int, ...]) -> str:
    """The backbone for samples of a shape: (D,), (channels, time) or (channels, height, width)."""
    if len(shape) == 2 and shape[1] >= CONV1D_STEPS:
        return "conv1d"
    if len(shape) == 3 and min(shape[1:]) >= CONVNET_PIXELS:
        return "lenet" if min(shape[1:]) >= LENET_PIXELS else "convnet"
    return "mlp"
