"""Methods whose own predictions on the target teach the network."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.optim.swa_utils import get_ema_multi_avg_fn

from benchmarks.reference_steps.labeled import supervised
from benchmarks.reference_steps.shared import CHUNK, CLASSES, Data, Net, Result, adam, images, update

THRESHOLDS = {"mean_teacher": 0.105, "fixmatch": 0.2}
"""Above these a network that has hardly learnt is confident on some rows; above the methods' defaults it is on none."""


def moved(x: Tensor, draws: Tensor, shift: float, degrees: float = 0.0, scale: float = 0.0) -> Tensor:
    """Images turned, scaled and shifted, each by its own draws (4, B) from [0, 1)."""
    alternation, size, right, down = (2 * draws - 1) * torch.tensor([degrees * torch.pi / 180, scale, 2 * shift, 2 * shift])[
        :, None
    ]
    cos, sin = alternation.cos() * (1 + size), alternation.sin() * (1 + size)
    theta = torch.stack([cos, -sin, right, sin, cos, down], 1).view(-1, 2, 3)
    return F.grid_sample(x, F.affine_grid(theta, list(x.shape), False), padding_mode="border", align_corners=False)


def weak(x: Tensor) -> Tensor:
    """Shifted alone; a turn and a size are drawn all the same, so that the next draws are those of the engine."""
    return moved(x, torch.rand(4, len(x)), shift=0.08)


def strong(x: Tensor) -> Tensor:
    """Moved further, and a square of a third covered by the mean of the image."""
    draws, side = torch.rand(6, len(x)), x.shape[2]
    x = moved(x, draws[:4], shift=0.15, degrees=30.0, scale=0.25)
    first = (draws[4:] * (1 - 1 / 3) * side)[:, :, None]
    inside = (torch.arange(side) >= first) & (torch.arange(side) < first + side / 3)
    return torch.where((inside[0][:, :, None] & inside[1][:, None, :])[:, None], x.mean((1, 2, 3), keepdim=True), x)


def mean_teacher(net: Net, data: Data, steps: int) -> Result:
    """`extra` is the teacher: the moving average of backbone and head."""
    teacher = net.extra.requires_grad_(False)
    old, new = [*teacher.parameters()], [*net.backbone.parameters(), *net.head.parameters()]
    optimizer, losses, follow = adam(net.backbone, net.head), [], get_ema_multi_avg_fn(0.99)
    for (stored, y), target_stored in zip(data.source.labelled(steps), data.target.unlabelled(steps), strict=True):
        x, target = images(stored), images(target_stored)
        logits = net(torch.cat([x, weak(target)]))
        taught = teacher(weak(target)).softmax(1)
        mask = (taught.amax(1) > THRESHOLDS["mean_teacher"]).float()
        text = logits[len(x) :].softmax(1)
        unlike = (mask * (text - taught).square().mean(1)).mean()
        text = text.mean(0)
        even = 1 / len(text)
        uneven = -(even * text.log() + (1 - even) * (1 - text).log()).sum() * mask.mean()
        losses.append(update(optimizer, F.cross_entropy(logits[: len(x)], y) + 3 * (unlike + 0.005 * uneven)))
        follow(old, new, 0)
    return losses, teacher


def fixmatch(net: Net, data: Data, steps: int) -> Result:
    """Source, weak and strong view in one forward."""
    optimizer, losses = adam(net), []
    for (stored, y), target_stored in zip(data.source.labelled(steps), data.target.unlabelled(steps), strict=True):
        x, target = images(stored), images(target_stored)
        of_source, of_weak, of_strong = net(torch.cat([x, weak(target), strong(target)])).split([len(x), *[len(target)] * 2])
        sure, label = of_weak.detach().softmax(1).max(1)
        taught = F.cross_entropy(of_strong, label, reduction="none") * (sure >= THRESHOLDS["fixmatch"])
        losses.append(update(optimizer, F.cross_entropy(of_source, y) + taught.mean()))
    return losses, net


def shot(net: Net, data: Data, steps: int) -> Result:
    """Half of the steps on the source; then the backbone alone, with the target's pseudo-labels made anew five times."""
    first = round(steps / 2)
    losses, rest = supervised(net, data.source, first, smoothing=0.1), steps - first
    net.head.requires_grad_(False)
    optimizer, label = adam(net.backbone), torch.empty(0)
    due = {round(k * rest / 5) for k in range(5)}
    for step, samples in enumerate(data.target.order(rest)):
        if step in due:
            label = pseudo_labels(net, data.target.x)
        logits = net(images(data.target.x.index_select(0, samples)))
        logs = logits.log_softmax(1)
        mean = logs.exp().mean(0)
        information = (mean * mean.clamp_min(1e-8).log()).sum() - (logs.exp() * logs).sum(1).mean()
        losses.append(update(optimizer, information + 0.3 * F.cross_entropy(logits, label[samples])))
    return losses, net


@torch.no_grad()
def pseudo_labels(net: Net, target: Tensor) -> Tensor:
    """The nearest centroid by cosine: of the predictions first, then of those labels."""
    features = torch.cat([net.backbone(images(x)) for x in target.split(CHUNK)])
    share = net.head(features).softmax(1)
    unit = F.normalize(F.pad(features, (0, 1), value=1.0))
    absent = torch.bincount(share.argmax(1), minlength=CLASSES) == 0
    label = share.argmax(1)
    for _ in range(2):
        centroids = F.normalize(share.T @ unit / share.sum(0)[:, None].clamp_min(1e-8))
        label = (unit @ centroids.T).masked_fill(absent, -2).argmax(1)
        share = F.one_hot(label, CLASSES).float()
    return label
