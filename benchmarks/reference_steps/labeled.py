"""Methods that learn from labels alone."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.reference_steps.reweighting import weights
from benchmarks.reference_steps.shared import CHUNK, Data, Net, Result, Rows, adam, images, update


def supervised(net: Net, rows: Rows, steps: int, smoothing: float = 0.0) -> list[Tensor]:
    optimizer, losses = adam(net), []
    for x, y in rows.labelled(steps):
        losses.append(update(optimizer, F.cross_entropy(net(images(x)), y, label_smoothing=smoothing)))
    return losses


def target_only(net: Net, data: Data, steps: int) -> Result:
    return supervised(net, data.target_labeled, steps), net


def fine_tune(net: Net, data: Data, steps: int) -> Result:
    """Half of the steps on the source, the others on the few; Adam starts anew."""
    first = round(steps / 2)
    return supervised(net, data.source, first) + supervised(net, data.target_labeled, steps - first), net


def linear_probe(net: Net, data: Data, steps: int) -> Result:
    """Half of the steps on the source, the others for a new head on features that are made once."""
    first = round(steps / 2)
    losses = supervised(net, data.source, first)
    with torch.no_grad():
        features = torch.cat([net.backbone(images(x)) for x in data.target_labeled.x.split(CHUNK)])
    optimizer = adam(net.extra)
    for rows in data.target_labeled.order(steps - first):
        losses.append(update(optimizer, F.cross_entropy(net.extra(features[rows]), data.target_labeled.y[rows])))
    return losses, lambda x: net.extra(net.backbone(x))


def joint(net: Net, data: Data, steps: int) -> Result:
    optimizer, losses = adam(net), []
    for (x, y), (few_x, few_y) in zip(data.source.labelled(steps), data.target_labeled.labelled(steps), strict=True):
        logits = net(images(x, few_x))
        loss = F.cross_entropy(logits[: len(x)], y) + F.cross_entropy(logits[len(x) :], few_y)
        losses.append(update(optimizer, loss))
    return losses, net


def multi_task(net: Net, data: Data, steps: int) -> Result:
    """`head` is the target's, `extra` the source's."""
    optimizer, losses = adam(net), []
    for (x, y), (few_x, few_y) in zip(data.source.labelled(steps), data.target_labeled.labelled(steps), strict=True):
        features = net.backbone(images(x, few_x))
        source = F.cross_entropy(net.extra(features[: len(x)]), y)
        few = F.cross_entropy(net.head(features[len(x) :]), few_y)
        losses.append(update(optimizer, (source + few) / 2))
    return losses, net


def pcgrad(net: Net, data: Data, steps: int) -> Result:
    """Of two gradients that conflict each loses its part along the other; the heads have their own."""
    backbone, source_head, few_head = ([*module.parameters()] for module in (net.backbone, net.extra, net.head))
    optimizer, losses = adam(net), []
    for (x, y), (few_x, few_y) in zip(data.source.labelled(steps), data.target_labeled.labelled(steps), strict=True):
        features = net.backbone(images(x, few_x))
        source = F.cross_entropy(net.extra(features[: len(x)]), y)
        few = F.cross_entropy(net.head(features[len(x) :]), few_y)
        of_source = torch.autograd.grad(source, backbone + source_head, retain_graph=True)
        of_few = torch.autograd.grad(few, backbone + few_head)
        a, b = (torch.cat([g.flatten() for g in gradients[: len(backbone)]]) for gradients in (of_source, of_few))
        conflict = torch.dot(a, b).clamp_max(0)
        projected = a - conflict / b.square().sum() * b + b - conflict / a.square().sum() * a
        for parameter, gradient in zip(backbone, projected.split([p.numel() for p in backbone]), strict=True):
            parameter.grad = gradient.view_as(parameter)
        own = (*of_source[len(backbone) :], *of_few[len(backbone) :])
        for parameter, gradient in zip(source_head + few_head, own, strict=True):
            parameter.grad = gradient
        optimizer.step()
        losses.append((source + few).detach())
    return losses, net


def discriminator_reweight(net: Net, data: Data, steps: int) -> Result:
    """The mean over a batch of weight times loss."""
    source, target = (images(rows.x).flatten(1).double() for rows in (data.source, data.target))
    weight = weights(source, target)
    optimizer, losses = adam(net), []
    for rows in data.source.order(steps):
        each = F.cross_entropy(net(images(data.source.x.index_select(0, rows))), data.source.y[rows], reduction="none")
        losses.append(update(optimizer, (weight[rows] * each).mean()))
    return losses, net
