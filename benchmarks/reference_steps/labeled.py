"""Methods that learn from labels alone."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.reference_steps.reweighting import weights
from benchmarks.reference_steps.shared import CHUNK, Data, Net, Result, Split, adam, images, update


def supervised(net: Net, split: Split, steps: int, smoothing: float = 0.0) -> list[Tensor]:
    """Train backbone and head on one labelled split, and return the loss of every step."""
    optimizer, losses = adam(net), []
    for x, y in split.labelled(steps):
        losses.append(update(optimizer, F.cross_entropy(net(images(x)), y, label_smoothing=smoothing)))
    return losses


def target_only(net: Net, data: Data, steps: int) -> Result:
    return supervised(net, data.target_labeled, steps), net


def fine_tune(net: Net, data: Data, steps: int) -> Result:
    """The first 50 % of the steps are on the source, the others on the labelled target samples, with a new Adam."""
    first = round(steps / 2)
    return supervised(net, data.source, first) + supervised(net, data.target_labeled, steps - first), net


def linear_probe(net: Net, data: Data, steps: int) -> Result:
    """The first 50 % of the steps are on the source; the others train a new head on features that are computed once."""
    first = round(steps / 2)
    losses = supervised(net, data.source, first)
    with torch.no_grad():
        features = torch.cat([net.backbone(images(x)) for x in data.target_labeled.x.split(CHUNK)])
    optimizer = adam(net.extra)
    for indices in data.target_labeled.order(steps - first):
        losses.append(update(optimizer, F.cross_entropy(net.extra(features[indices]), data.target_labeled.y[indices])))
    return losses, lambda x: net.extra(net.backbone(x))


def joint(net: Net, data: Data, steps: int) -> Result:
    optimizer, losses = adam(net), []
    for (x, y), (target_x, target_y) in zip(data.source.labelled(steps), data.target_labeled.labelled(steps), strict=True):
        logits = net(images(x, target_x))
        loss = F.cross_entropy(logits[: len(x)], y) + F.cross_entropy(logits[len(x) :], target_y)
        losses.append(update(optimizer, loss))
    return losses, net


def multi_task(net: Net, data: Data, steps: int) -> Result:
    """`head` is the head of the target, `extra` that of the source."""
    optimizer, losses = adam(net), []
    for (x, y), (target_x, target_y) in zip(data.source.labelled(steps), data.target_labeled.labelled(steps), strict=True):
        features = net.backbone(images(x, target_x))
        source = F.cross_entropy(net.extra(features[: len(x)]), y)
        target = F.cross_entropy(net.head(features[len(x) :]), target_y)
        losses.append(update(optimizer, (source + target) / 2))
    return losses, net


def pcgrad(net: Net, data: Data, steps: int) -> Result:
    """Of two conflicting gradients of the backbone, each is projected to be orthogonal to the other; each head has its own."""
    backbone, source_head, target_head = ([*module.parameters()] for module in (net.backbone, net.extra, net.head))
    optimizer, losses = adam(net), []
    for (x, y), (target_x, target_y) in zip(data.source.labelled(steps), data.target_labeled.labelled(steps), strict=True):
        features = net.backbone(images(x, target_x))
        source = F.cross_entropy(net.extra(features[: len(x)]), y)
        target = F.cross_entropy(net.head(features[len(x) :]), target_y)
        source_gradients = torch.autograd.grad(source, backbone + source_head, retain_graph=True)
        target_gradients = torch.autograd.grad(target, backbone + target_head)
        both = (source_gradients, target_gradients)
        a, b = (torch.cat([gradient.flatten() for gradient in gradients[: len(backbone)]]) for gradients in both)
        conflict = torch.dot(a, b).clamp_max(0)
        projected = a - conflict / b.square().sum() * b + b - conflict / a.square().sum() * a
        for parameter, gradient in zip(backbone, projected.split([p.numel() for p in backbone]), strict=True):
            parameter.grad = gradient.view_as(parameter)
        head_gradients = (*source_gradients[len(backbone) :], *target_gradients[len(backbone) :])
        for parameter, gradient in zip(source_head + target_head, head_gradients, strict=True):
            parameter.grad = gradient
        optimizer.step()
        losses.append((source + target).detach())
    return losses, net


def discriminator_reweight(net: Net, data: Data, steps: int) -> Result:
    """The loss is the mean over a batch of weight times cross-entropy."""
    source, target = (images(split.x).flatten(1).double() for split in (data.source, data.target))
    weight = weights(source, target)
    optimizer, losses = adam(net), []
    for indices in data.source.order(steps):
        logits = net(images(data.source.x.index_select(0, indices)))
        cross_entropy = F.cross_entropy(logits, data.source.y[indices], reduction="none")
        losses.append(update(optimizer, (weight[indices] * cross_entropy).mean()))
    return losses, net
