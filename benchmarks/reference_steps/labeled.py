"""Methods that learn from labels alone."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.reference_steps.reweighting import weights
from benchmarks.reference_steps.shared import CHUNK, Data, Net, Result, Split, adam, images, update


def supervised(net: Net, samples: Split, steps: int, smoothing: float = 0.0) -> list[Tensor]:
    optimizer, losses = adam(net), []
    for x, y in samples.labelled(steps):
        losses.append(update(optimizer, F.cross_entropy(net(images(x)), y, label_smoothing=smoothing)))
    return losses


def target_only(net: Net, data: Data, steps: int) -> Result:
    return supervised(net, data.target_labeled, steps), net


def fine_tune(net: Net, data: Data, steps: int) -> Result:
    """Half of the steps on the source, the others on the labelled target samples; Adam starts anew."""
    first = round(steps / 2)
    return supervised(net, data.source, first) + supervised(net, data.target_labeled, steps - first), net


def linear_probe(net: Net, data: Data, steps: int) -> Result:
    """Half of the steps on the source, the others for a new head on features that are made once."""
    first = round(steps / 2)
    losses = supervised(net, data.source, first)
    with torch.no_grad():
        features = torch.cat([net.backbone(images(x)) for x in data.target_labeled.x.split(CHUNK)])
    optimizer = adam(net.extra)
    for samples in data.target_labeled.order(steps - first):
        losses.append(update(optimizer, F.cross_entropy(net.extra(features[samples]), data.target_labeled.y[samples])))
    return losses, lambda x: net.extra(net.backbone(x))


def joint(net: Net, data: Data, steps: int) -> Result:
    optimizer, losses = adam(net), []
    for (x, y), (target_labeled_x, target_labeled_y) in zip(
        data.source.labelled(steps), data.target_labeled.labelled(steps), strict=True
    ):
        logits = net(images(x, target_labeled_x))
        loss = F.cross_entropy(logits[: len(x)], y) + F.cross_entropy(logits[len(x) :], target_labeled_y)
        losses.append(update(optimizer, loss))
    return losses, net


def multi_task(net: Net, data: Data, steps: int) -> Result:
    """`head` is the target's, `extra` the source's."""
    optimizer, losses = adam(net), []
    for (x, y), (target_labeled_x, target_labeled_y) in zip(
        data.source.labelled(steps), data.target_labeled.labelled(steps), strict=True
    ):
        features = net.backbone(images(x, target_labeled_x))
        source = F.cross_entropy(net.extra(features[: len(x)]), y)
        target_labeled = F.cross_entropy(net.head(features[len(x) :]), target_labeled_y)
        losses.append(update(optimizer, (source + target_labeled) / 2))
    return losses, net


def pcgrad(net: Net, data: Data, steps: int) -> Result:
    """Of two gradients that conflict each loses its part along the other; the heads have their own."""
    backbone, source_head, target_head = ([*module.parameters()] for module in (net.backbone, net.extra, net.head))
    optimizer, losses = adam(net), []
    for (x, y), (target_labeled_x, target_labeled_y) in zip(
        data.source.labelled(steps), data.target_labeled.labelled(steps), strict=True
    ):
        features = net.backbone(images(x, target_labeled_x))
        source = F.cross_entropy(net.extra(features[: len(x)]), y)
        target_labeled = F.cross_entropy(net.head(features[len(x) :]), target_labeled_y)
        of_source = torch.autograd.grad(source, backbone + source_head, retain_graph=True)
        labeled_loss = torch.autograd.grad(target_labeled, backbone + target_head)
        a, b = (torch.cat([g.flatten() for g in gradients[: len(backbone)]]) for gradients in (of_source, labeled_loss))
        conflict = torch.dot(a, b).clamp_max(0)
        projected = a - conflict / b.square().sum() * b + b - conflict / a.square().sum() * a
        for parameter, gradient in zip(backbone, projected.split([p.numel() for p in backbone]), strict=True):
            parameter.grad = gradient.view_as(parameter)
        own = (*of_source[len(backbone) :], *labeled_loss[len(backbone) :])
        for parameter, gradient in zip(source_head + target_head, own, strict=True):
            parameter.grad = gradient
        optimizer.step()
        losses.append((source + target_labeled).detach())
    return losses, net


def discriminator_reweight(net: Net, data: Data, steps: int) -> Result:
    """The mean over a batch of weight times loss."""
    source, target = (images(samples.x).flatten(1).double() for samples in (data.source, data.target))
    weight = weights(source, target)
    optimizer, losses = adam(net), []
    for samples in data.source.order(steps):
        each = F.cross_entropy(net(images(data.source.x.index_select(0, samples))), data.source.y[samples], reduction="none")
        losses.append(update(optimizer, (weight[samples] * each).mean()))
    return losses, net
