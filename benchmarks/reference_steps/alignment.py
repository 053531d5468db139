"""Methods that make the features of the two domains alike."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.reference_loop import ramp, reverse
from benchmarks.reference_steps.shared import MAP, Data, Net, Result, adam, images, update


def dan(net: Net, data: Data, steps: int) -> Result:
    """MMD with five Gaussian kernels, whose widths are multiples of the mean squared distance in the batch."""
    optimizer, losses = adam(net), []
    for (x, y), target in zip(data.source.labelled(steps), data.target.unlabelled(steps), strict=True):
        n, features = len(x), net.backbone(images(x, target))
        squares = features.square().sum(1)
        distance = (squares[:, None] + squares - 2 * features @ features.T).clamp_min(0)
        base = distance.detach().sum() / (len(features) * (len(features) - 1))
        kernel = torch.stack([torch.exp(-distance / (base * 2.0**j)) for j in range(-2, 3)]).sum(0)
        mmd = kernel[:n, :n].mean() + kernel[n:, n:].mean() - 2 * kernel[:n, n:].mean()
        losses.append(update(optimizer, F.cross_entropy(net.head(features[:n]), y) + mmd))
    return losses, net


def cdan(net: Net, data: Data, steps: int) -> Result:
    """The product of features and predictions is too wide, so that the paper's randomized multilinear map stands for it."""
    optimizer, losses = adam(net), []
    is_source = torch.cat([torch.ones(data.source.batch), torch.zeros(data.target.batch)])
    batches = zip(data.source.labelled(steps), data.target.unlabelled(steps), strict=True)
    for step, ((x, y), target) in enumerate(batches):
        features = net.backbone(images(x, target))
        logits = net.head(features)
        probabilities = logits.detach().softmax(1)
        mapped = (reverse(features, ramp(step / steps)) @ net.map_features) * (probabilities @ net.map_probabilities) / MAP**0.5
        domain = F.binary_cross_entropy_with_logits(net.extra(mapped).squeeze(1), is_source)
        losses.append(update(optimizer, F.cross_entropy(logits[: len(x)], y) + domain))
    return losses, net


def mcd(net: Net, data: Data, steps: int) -> Result:
    """Each step trains all on the source, the heads for discrepancy on the target, and the backbone four times against it.

    The losses returned are those of the first of these updates.
    """
    optimizer_backbone, optimizer_heads, losses = adam(net.backbone), adam(net.head, net.extra), []

    def source_loss(features: Tensor, y: Tensor) -> Tensor:
        return F.cross_entropy(net.head(features), y) + F.cross_entropy(net.extra(features), y)

    def discrepancy(features: Tensor) -> Tensor:
        return (net.head(features).softmax(1) - net.extra(features).softmax(1)).abs().mean()

    for (stored, y), target in zip(data.source.labelled(steps), data.target.unlabelled(steps), strict=True):
        x, n = images(stored, target), len(stored)
        net.zero_grad()
        loss = source_loss(net.backbone(x[:n]), y)
        loss.backward()
        optimizer_backbone.step()
        optimizer_heads.step()
        losses.append(loss.detach())
        with torch.no_grad():
            features = net.backbone(x)
        update(optimizer_heads, source_loss(features[:n], y) - discrepancy(features[n:]))
        for _ in range(4):
            optimizer_backbone.zero_grad()
            discrepancy(net.backbone(x[n:])).backward(inputs=[*net.backbone.parameters()])
            optimizer_backbone.step()
    return losses, lambda x: net.head(net.backbone(x)) + net.extra(net.backbone(x))
