"""Google's speech embedding: convolutions over log-mel frames, pre-trained on 200 million words of speech.

Lin et al., Training keyword spotters with limited and synthesized speech data, ICASSP 2020. https://arxiv.org/abs/2002.01322.
The network sees 76 frames of 10 ms in 32 mel bands and gives 96 features. Spectrograms of other bands are resized; shorter ones
are padded on both sides with their quietest value, longer ones cut to their middle.
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from tlbench.errors import TlbenchError
from tlbench.nn import weights
from tlbench.nn.net import Backbone

FRAMES, BANDS = 76, 32
WIDTHS = (*(24,) * 3, *(48,) * 4, *(72,) * 4, *(96,) * 8)
"""Output channels of the convolutions, which go along the frames and along the bands in turn."""
POOLING = {2: (2, 2), 6: (1, 2), 10: (2, 2), 14: (1, 2), 18: (2, 2)}
"""After which convolutions the maximum over frames and bands is taken."""
FLOOR_DECIBEL = 80.0
"""Values more than this below the loudest one are raised to it, as in pre-training."""


class Options(BaseModel):
    """Options of the backbone `speech_embedding`."""

    model_config = ConfigDict(extra="forbid")

    weights: str = Field("", description="empty for random weights, or file:PATH")
    decibel_scale: float = Field(1.0, description="samples times this, plus decibel_offset, are decibel")
    decibel_offset: float = Field(0.0, description="what is added")


def build(shape: tuple[int, ...], options: Options) -> Backbone:
    """Build the backbone: log-mel spectrograms (B, bands, frames) -> features (B, 96).

    The stages are five groups of convolutions, each up to a pooling, and the last convolution.

    Raises:
        TlbenchError: `shape` is no spectrogram, or the weights do not fit.
    """
    if len(shape) != 2:
        raise TlbenchError(
            f"The backbone speech_embedding takes log-mel spectrograms (bands, frames), not samples of shape {shape}."
        )
    layers: list[nn.Module] = []
    for index, (before, after) in enumerate(zip((1, *WIDTHS), WIDTHS, strict=False)):
        kernel, padding = ((3, 3), (0, 1)) if index == 0 else ((1, 3), (0, 1)) if index % 2 else ((3, 1), (0, 0))
        layers.append(nn.Conv2d(before, after, kernel, padding=padding))
    network = nn.Module()
    network.convs = nn.ModuleList(layers)
    network.last = nn.Conv2d(WIDTHS[-1], WIDTHS[-1], (3, 1), bias=False)
    holder = nn.ModuleDict({"net": network})
    if options.weights:
        weights.load(holder, Path(options.weights), name="speech_embedding", unused=("mel.",))
    stages: list[nn.Module] = []
    start = 0
    for index, size in POOLING.items():
        activated = [module for layer in layers[start : index + 1] for module in (layer, _Activation())]
        stages.append(nn.Sequential(*activated, nn.MaxPool2d(size)))
        start = index + 1
    stages[0] = nn.Sequential(_Frames(options.decibel_scale, options.decibel_offset), stages[0])
    return Backbone([*stages, nn.Sequential(network.last, nn.Flatten())], WIDTHS[-1])


class _Activation(nn.Module):
    """LeakyReLU of slope 0.2, cut off at -0.4."""

    def forward(self, x: Tensor) -> Tensor:
        """Maps of any shape."""
        return F.leaky_relu(x, 0.2).clamp_min(-0.4)


class _Frames(nn.Module):
    """Spectrograms (B, bands, frames) -> the network's frames (B, 1, 76, 32): decibel / 10 + 2, at most 80 dB below the top."""

    def __init__(self, scale: float, offset: float) -> None:
        super().__init__()
        self.scale, self.offset = scale, offset

    def forward(self, x: Tensor) -> Tensor:
        """Spectrograms (B, bands, frames)."""
        decibel = x * self.scale + self.offset
        decibel = torch.maximum(decibel, decibel.amax((1, 2), keepdim=True) - FLOOR_DECIBEL)
        frames = (decibel / 10 + 2).transpose(1, 2)[:, None]
        frames = F.interpolate(frames, size=(frames.shape[2], BANDS), mode="bilinear", align_corners=False)
        missing = FRAMES - frames.shape[2]
        if missing < 0:
            start = -missing // 2
            return frames[:, :, start : start + FRAMES]
        quietest = frames.amin((2, 3), keepdim=True)
        before = quietest.expand(-1, -1, missing // 2, BANDS)
        after = quietest.expand(-1, -1, missing - missing // 2, BANDS)
        return torch.cat([before, frames, after], dim=2)
