"""Layers over the tokens of a sentence, between word vectors and a tagger's head: convolutions, or an LSTM both ways."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn


class TokenConvolutions(nn.Module):
    """Token features (B, L, D) -> (B, L, width of the last layer), by convolutions over neighbouring tokens with ReLU.

    Args:
        widths: D, and the width of each layer.
        kernel: tokens that a layer sees, an odd number.
    """

    def __init__(self, widths: list[int], kernel: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Conv1d(before, after, kernel, padding=kernel // 2) for before, after in itertools.pairwise(widths)
        )

    def forward(self, x_BLD: Tensor) -> Tensor:
        """Every layer is followed by ReLU."""
        x_BDL = x_BLD.transpose(1, 2)
        for layer in self.layers:
            x_BDL = torch.relu(layer(x_BDL))
        return x_BDL.transpose(1, 2)


class TokenLSTM(nn.Module):
    """Token features (B, L, D) -> (B, L, 2 * hidden), by an LSTM in each direction.

    Padding is at the end of a sentence, and its features are zero.
    """

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(width, hidden, batch_first=True, bidirectional=True)

    def forward(self, x_BLD: Tensor) -> Tensor:
        """The outputs of both directions."""
        outputs_BLH: Tensor = self.lstm(x_BLD)[0]
        return outputs_BLH
