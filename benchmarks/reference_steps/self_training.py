"""Methods that learn from their own predictions on the target."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.optim.swa_utils import get_ema_multi_avg_fn

from benchmarks.reference_steps.shared import Data, Net, Result, adam, images, update

THRESHOLDS = {"mean_teacher": 0.105, "fixmatch": 0.2}
"""Confidence thresholds that some samples pass in the first steps; none passes the defaults of the methods there."""


def transformed(x: Tensor, draws: Tensor, shift: float, degrees: float = 0.0, scale: float = 0.0) -> Tensor:
    """Images (B, C, H, W) rotated, scaled and shifted, each by its own draws (4, B) from [0, 1)."""
    alternation, size, right, down = (2 * draws - 1) * torch.tensor([degrees * torch.pi / 180, scale, 2 * shift, 2 * shift])[
        :, None
    ]
    cos, sin = alternation.cos() * (1 + size), alternation.sin() * (1 + size)
    theta = torch.stack([cos, -sin, right, sin, cos, down], 1).view(-1, 2, 3)
    return F.grid_sample(x, F.affine_grid(theta, list(x.shape), False), padding_mode="border", align_corners=False)


def weak(x: Tensor) -> Tensor:
    """The weak view: shifted images. Rotation and scale are drawn as well, so that later draws are those of the engine."""
    return transformed(x, torch.rand(4, len(x)), shift=0.08)


def strong(x: Tensor) -> Tensor:
    """The strong view: rotated, scaled and shifted, with a square of a third of the side replaced by the mean of the image."""
    draws, side = torch.rand(6, len(x)), x.shape[2]
    x = transformed(x, draws[:4], shift=0.15, degrees=30.0, scale=0.25)
    first = (draws[4:] * (1 - 1 / 3) * side)[:, :, None]
    inside = (torch.arange(side) >= first) & (torch.arange(side) < first + side / 3)
    return torch.where((inside[0][:, :, None] & inside[1][:, None, :])[:, None], x.mean((1, 2, 3), keepdim=True), x)


def mean_teacher(net: Net, data: Data, steps: int) -> Result:
    """`extra` is the teacher: the moving average of backbone and head."""
    teacher = net.extra.requires_grad_(False)
    averaged, current = [*teacher.parameters()], [*net.backbone.parameters(), *net.head.parameters()]
    optimizer, losses, update_average = adam(net.backbone, net.head), [], get_ema_multi_avg_fn(0.99)
    for (stored, y), stored_target in zip(data.source.labelled(steps), data.target.unlabelled(steps), strict=True):
        x, target = images(stored), images(stored_target)
        logits = net(torch.cat([x, weak(target)]))
        of_teacher = teacher(weak(target)).softmax(1)
        mask = (of_teacher.amax(1) > THRESHOLDS["mean_teacher"]).float()
        of_student = logits[len(x) :].softmax(1)
        consistency = (mask * (of_student - of_teacher).square().mean(1)).mean()
        mean = of_student.mean(0)
        uniform = 1 / len(mean)
        balance = -(uniform * mean.log() + (1 - uniform) * (1 - mean).log()).sum() * mask.mean()
        losses.append(update(optimizer, F.cross_entropy(logits[: len(x)], y) + 3 * (consistency + 0.005 * balance)))
        update_average(averaged, current, 0)
    return losses, teacher


def fixmatch(net: Net, data: Data, steps: int) -> Result:
    """The source and the weak and strong views of the target share one forward."""
    optimizer, losses = adam(net), []
    for (stored, y), stored_target in zip(data.source.labelled(steps), data.target.unlabelled(steps), strict=True):
        x, target = images(stored), images(stored_target)
        of_source, of_weak, of_strong = net(torch.cat([x, weak(target), strong(target)])).split([len(x), *[len(target)] * 2])
        confidence, label = of_weak.detach().softmax(1).max(1)
        consistency = F.cross_entropy(of_strong, label, reduction="none") * (confidence >= THRESHOLDS["fixmatch"])
        losses.append(update(optimizer, F.cross_entropy(of_source, y) + consistency.mean()))
    return losses, net
