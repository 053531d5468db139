"""MixUp and CutMix: each sample of a batch blended with the one before it, and its labels in the same shares."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

COLUMNS = 6
"""The parameters of a sample: its share in the mixed labels, its share in the pixels outside a rectangle, and the edges of that
rectangle (first line, last line plus one, first column, last column plus one), in which the other sample stands."""


def draw(shape: tuple[int, ...], alphas: Mapping[str, float], sample_shape: tuple[int, ...], source: torch.Generator) -> Tensor:
    """Draw the parameters of mixed samples; where both kinds are declared, each sample draws one of them.

    Args:
        shape: how many are drawn.
        alphas: `mixup` and `cutmix`, or one of them, and the parameter of its Beta distribution.
        sample_shape: of a sample; channels, height and width for `cutmix`.
        source: of the random numbers.

    Returns:
        Parameters (*shape, COLUMNS).
    """
    seed = int(torch.randint(2**62, (), generator=source))
    rng = np.random.default_rng(seed)  # torch's Beta distribution takes no generator
    share = {name: torch.from_numpy(rng.beta(alpha, alpha, shape)) for name, alpha in alphas.items()}
    zero = torch.zeros(shape, dtype=torch.float64)
    by_kind = {}
    if "mixup" in alphas:
        by_kind["mixup"] = torch.stack([share["mixup"], share["mixup"], zero, zero, zero, zero], dim=-1)
    if "cutmix" in alphas:
        height, width = sample_shape[1:]
        center_y, center_x = (torch.randint(size, shape, generator=source) for size in (height, width))
        top, bottom, left, right = rectangle(share["cutmix"], center_y, center_x, height, width)
        own_area = 1 - (bottom - top) * (right - left) / (height * width)
        by_kind["cutmix"] = torch.stack([own_area, zero + 1, top, bottom, left, right], dim=-1)
    if len(by_kind) == 1:
        return next(iter(by_kind.values())).float()
    is_cutmix = torch.randint(2, shape, generator=source).bool()
    return torch.where(is_cutmix[..., None], by_kind["cutmix"], by_kind["mixup"]).float()


def rectangle(
    share: Tensor, center_y: Tensor, center_x: Tensor, height: int, width: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The rectangle of CutMix: it has the image's proportions and covers 1 - share of its area, before it is cut at the edges.

    Args:
        share: of the image that is left (...), in [0, 1].
        center_y: the line of its centre (...).
        center_x: the column of its centre (...).
        height: of the image.
        width: of the image.

    Returns:
        The first line, the last line plus one, the first column, the last column plus one, each (...) in double precision.
    """
    reach = 0.5 * (1 - share).sqrt()
    reach_y, reach_x = (reach * height).floor(), (reach * width).floor()
    return (
        (center_y - reach_y).clamp_min(0),
        (center_y + reach_y).clamp_max(height),
        (center_x - reach_x).clamp_min(0),
        (center_x + reach_x).clamp_max(width),
    )


def mixed_samples(x: Tensor, parameters: Tensor, batch_size: int) -> Tensor:
    """Samples blended with those before them.

    Args:
        x: float samples (B, ...), of one batch or of several, one after the other.
        parameters: (B, COLUMNS).
        batch_size: samples of a batch; its first sample is blended with its last.
    """
    other = _previous(x, batch_size)
    share = parameters[:, 1].view(-1, *(1,) * (x.ndim - 1))
    if x.ndim == 4:
        lines, columns = (torch.arange(size, device=x.device) for size in x.shape[2:])
        top, bottom, left, right = (column[:, None] for column in parameters[:, 2:].unbind(1))
        in_lines, in_columns = (lines >= top) & (lines < bottom), (columns >= left) & (columns < right)
        share = torch.where((in_lines[:, :, None] & in_columns[:, None, :])[:, None], 0.0, share)
    return other * (1 - share) + x * share


def mixed_labels(y: Tensor, parameters: Tensor, batch_size: int, classes: int) -> Tensor:
    """Labels mixed as their samples are.

    Args:
        y: classes (B,) int64, of one batch or of several; or targets (B, K) of a regression.
        parameters: (B, COLUMNS).
        batch_size: samples of a batch.
        classes: C, the number of classes.

    Returns:
        Class probabilities (B, C); targets (B, K) of a regression.
    """
    if y.ndim == 1:
        y = (y[:, None] == torch.arange(classes, device=y.device)).float()
    share = parameters[:, :1]
    return _previous(y, batch_size) * (1 - share) + y * share


def _previous(x: Tensor, batch_size: int) -> Tensor:
    """For each sample (B, ...) the one before it in its batch."""
    batches = x.unflatten(0, (math.ceil(len(x) / batch_size), batch_size))
    return batches.roll(1, dims=1).flatten(0, 1)
