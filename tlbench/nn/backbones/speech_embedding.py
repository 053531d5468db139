"""Encoders of speech over log-mel frames: Google's speech embedding, or Resemblyzer's voice encoder.

`words` is pre-trained on 200 million words of speech: Lin et al., Training keyword spotters with limited and synthesized speech
data, ICASSP 2020. https://arxiv.org/abs/2002.01322. It sees 76 frames of 10 ms in 32 mel bands and gives 96 features; shorter
spectrograms are padded on both sides with their quietest value, longer ones cut to their middle.

`voices` is pre-trained to tell speakers apart: Wan et al., Generalized end-to-end loss for speaker verification, ICASSP 2018.
https://arxiv.org/abs/1710.10467. It sees the power of all frames of 10 ms in 40 mel bands, at the volume that they have, and
gives 256 features of norm 1. Spectrograms of other bands are resized for both.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from tlbench.errors import TlbenchError
from tlbench.nn import weights
from tlbench.nn.net import Backbone

FRAMES, BANDS = 76, 32
WIDTHS = (*(24,) * 3, *(48,) * 4, *(72,) * 4, *(96,) * 8)
"""Output channels of the convolutions of `words`, which go along the frames and along the bands in turn."""
POOLING = {2: (2, 2), 6: (1, 2), 10: (2, 2), 14: (1, 2), 18: (2, 2)}
"""After which convolutions the maximum over frames and bands is taken."""
FLOOR_DECIBEL = 80.0
"""Values more than this below the loudest one are raised to it, as in pre-training."""
VOICE_BANDS, VOICE_WIDTH, VOICE_LAYERS = 40, 256, 3


class Options(BaseModel):
    """Options of the backbone `speech_embedding`."""

    model_config = ConfigDict(extra="forbid")

    network: Literal["words", "voices"] = Field("words", description="what the encoder is trained to tell apart")
    weights: str = Field("", description="empty for random weights, or file:PATH")
    decibel_scale: float = Field(1.0, description="samples times this, plus decibel_offset, are decibel")
    decibel_offset: float = Field(0.0, description="what is added")


def build(shape: tuple[int, ...], options: Options) -> Backbone:
    """Build the backbone: log-mel spectrograms (B, bands, frames) or (B, 1, bands, frames) -> features (B, 96 or 256).

    The stages of `words` are five groups of convolutions, each up to a pooling, and the last convolution; those of `voices` the
    LSTM and the last layer.

    Raises:
        TlbenchError: `shape` is no spectrogram, or the weights do not fit.
    """
    if len(shape) != 2 and (len(shape) != 3 or shape[0] != 1):
        raise TlbenchError(
            "The backbone speech_embedding takes log-mel spectrograms (bands, frames) or (1, bands, frames), not samples of "
            f"shape {shape}."
        )
    decibels = _Decibels(options.decibel_scale, options.decibel_offset)
    return _words(decibels, options.weights) if options.network == "words" else _voices(decibels, options.weights)


def _words(decibels: _Decibels, file: str) -> Backbone:
    """The convolutions of Google's speech embedding."""
    layers: list[nn.Module] = []
    for index, (before, after) in enumerate(zip((1, *WIDTHS), WIDTHS, strict=False)):
        kernel, padding = ((3, 3), (0, 1)) if index == 0 else ((1, 3), (0, 1)) if index % 2 else ((3, 1), (0, 0))
        layers.append(nn.Conv2d(before, after, kernel, padding=padding))
    network = nn.Module()
    network.convs = nn.ModuleList(layers)
    network.last = nn.Conv2d(WIDTHS[-1], WIDTHS[-1], (3, 1), bias=False)
    holder = nn.ModuleDict({"net": network})
    if file:
        weights.load(holder, Path(file), name="speech_embedding:words", unused=("mel.",))
    stages: list[nn.Module] = []
    start = 0
    for index, size in POOLING.items():
        activated = [module for layer in layers[start : index + 1] for module in (layer, _Activation())]
        stages.append(nn.Sequential(*activated, nn.MaxPool2d(size)))
        start = index + 1
    stages[0] = nn.Sequential(nn.Sequential(decibels, _Frames()), stages[0])
    return Backbone([*stages, nn.Sequential(network.last, nn.Flatten())], WIDTHS[-1])


def _voices(decibels: _Decibels, file: str) -> Backbone:
    """The LSTM of Resemblyzer, https://github.com/resemble-ai/Resemblyzer."""
    lstm, linear = nn.LSTM(VOICE_BANDS, VOICE_WIDTH, VOICE_LAYERS, batch_first=True), nn.Linear(VOICE_WIDTH, VOICE_WIDTH)
    if file:
        weights.load(nn.ModuleDict({"lstm": lstm, "linear": linear}), Path(file), name="speech_embedding:voices")
    last = nn.Sequential(linear, nn.ReLU(), _UnitNorm())
    return Backbone([nn.Sequential(decibels, _LastState(lstm)), last], VOICE_WIDTH)


class _Decibels(nn.Module):
    """Spectrograms -> decibel (B, frames, bands): samples times a scale, plus an offset."""

    def __init__(self, scale: float, offset: float) -> None:
        super().__init__()
        self.scale, self.offset = scale, offset

    def forward(self, x: Tensor) -> Tensor:
        """Spectrograms (B, bands, frames) or (B, 1, bands, frames)."""
        return (x.flatten(1, -2) * self.scale + self.offset).transpose(1, 2)


class _Activation(nn.Module):
    """LeakyReLU of slope 0.2, cut off at -0.4."""

    def forward(self, x: Tensor) -> Tensor:
        """Maps of any shape."""
        return F.leaky_relu(x, 0.2).clamp_min(-0.4)


class _Frames(nn.Module):
    """Decibel (B, frames, bands) -> frames (B, 1, 76, 32) of decibel / 10 + 2, at most 80 dB below the top."""

    def forward(self, decibel: Tensor) -> Tensor:
        """Decibel (B, frames, bands)."""
        decibel = torch.maximum(decibel, decibel.amax((1, 2), keepdim=True) - FLOOR_DECIBEL)
        frames = _resized(decibel / 10 + 2, BANDS)
        missing = FRAMES - frames.shape[2]
        if missing < 0:
            start = -missing // 2
            return frames[:, :, start : start + FRAMES]
        quietest = frames.amin((2, 3), keepdim=True)
        before = quietest.expand(-1, -1, missing // 2, BANDS)
        after = quietest.expand(-1, -1, missing - missing // 2, BANDS)
        return torch.cat([before, frames, after], dim=2)


class _LastState(nn.Module):
    """Decibel (B, frames, bands) -> the state (B, 256) of the last layer of an LSTM after the last frame."""

    def __init__(self, lstm: nn.LSTM) -> None:
        super().__init__()
        self.lstm = lstm

    def forward(self, decibel: Tensor) -> Tensor:
        """Decibel (B, frames, bands)."""
        states: Tensor = self.lstm(_resized(10 ** (decibel / 10), VOICE_BANDS)[:, 0])[0]
        return states[:, -1]


class _UnitNorm(nn.Module):
    """Features (B, D) -> features of Euclidean norm 1."""

    def forward(self, x: Tensor) -> Tensor:
        """Features (B, D)."""
        return F.normalize(x, dim=1)


def _resized(frames: Tensor, bands: int) -> Tensor:
    """Frames (B, frames, bands) -> (B, 1, frames, bands) of so many bands, by interpolation."""
    return F.interpolate(frames[:, None], size=(frames.shape[1], bands), mode="bilinear", align_corners=False)
