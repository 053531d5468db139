"""Adversarial methods of several forward passes or updates a step, and those with a discriminator of their own."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.reference_loop import ramp, reverse
from benchmarks.reference_steps.shared import MAP, Data, Net, Result, adam, images, update
from benchmarks.reference_steps.terms import Batch, entropies, train_with


def codats(net: Net, data: Data, steps: int) -> Result:
    """A discriminator of the target, 0, and the source, 1, with batch normalisation and dropout."""

    def term(batch: Batch) -> Tensor:
        is_source = (torch.arange(len(batch.features)) < len(batch.y)).long()
        return F.cross_entropy(net.extra(reverse(batch.features, ramp(batch.progress))), is_source)

    return train_with(net, data, steps, term)


def darn(net: Net, data: Data, steps: int) -> Result:
    """For one source the weight is 1, and the length of the weights a constant."""

    def term(batch: Batch) -> Tensor:
        of_source, of_target = net.extra(reverse(batch.features, 1.0)).split(len(batch.y))
        return 0.01 * (F.softplus(-of_source).mean() + F.softplus(of_target).mean()) + 1

    return train_with(net, data, steps, term)


def safn(net: Net, data: Data, steps: int) -> Result:
    """The norms of the features of both domains grow by 1."""

    def term(batch: Batch) -> Tensor:
        norms = batch.features.norm(dim=1)
        return 0.05 * (norms - norms.detach() - 1).square().view(2, -1).mean(1).sum()

    losses, _ = train_with(net, data, steps, term)
    return losses, net.eval()


def toalign(net: Net, data: Data, steps: int) -> Result:
    """DANN on predictions of the target, and of source features times the head's weights of their classes, at their norms."""

    def term(batch: Batch) -> Tensor:
        source, target = batch.features.split(len(batch.y))
        weighted = source * net.head.weight.detach()[batch.y]
        positive = weighted * (source.norm(dim=1, keepdim=True) / weighted.norm(dim=1, keepdim=True))
        predictions = net.head(torch.cat([positive, target])).softmax(1)
        domain = net.extra(reverse(predictions, ramp(batch.progress))).squeeze(1)
        return F.binary_cross_entropy_with_logits(domain, (torch.arange(len(domain)) < len(batch.y)).float())

    return train_with(net, data, steps, term)


def sdat(net: Net, data: Data, steps: int) -> Result:
    """The gradient of CDAN where backbone and head are displaced by 0.02 along the gradient of the cross-entropy."""
    optimizer, losses = adam(net), []
    learning: list[Tensor] = [*net.backbone.parameters(), *net.head.parameters()]
    is_source = torch.cat([torch.ones(data.source.batch), torch.zeros(data.target.batch)])
    batches = zip(data.source.labelled(steps), data.target.unlabelled(steps), strict=True)
    for step, ((stored, y), target) in enumerate(batches):
        x, n = images(stored, target), len(y)
        gradients = torch.autograd.grad(F.cross_entropy(net.head(net.backbone(x)[:n]), y), learning)
        length = torch.stack(torch._foreach_norm(gradients)).norm()
        uphill: list[Tensor] = [*torch._foreach_mul(gradients, 0.02 / length)]
        with torch.no_grad():
            torch._foreach_add_(learning, uphill)
        features = net.backbone(x)
        logits = net.head(features)
        shares = logits.detach().softmax(1)
        mapped = (reverse(features, ramp(step / steps)) @ net.map_features) * (shares @ net.map_probabilities) / MAP**0.5
        domain = F.binary_cross_entropy_with_logits(net.extra(mapped).squeeze(1), is_source)
        loss = F.cross_entropy(logits[:n], y) + domain
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        with torch.no_grad():
            torch._foreach_sub_(learning, uphill)
        optimizer.step()
        losses.append(loss.detach())
    return losses, net


def vada(net: Net, data: Data, steps: int) -> Result:
    """Three forward passes: the losses, the direction of the perturbation, and the predictions on perturbed inputs."""
    optimizer, losses = adam(net), []

    def unit(x: Tensor) -> Tensor:
        return F.normalize(x.flatten(1)).view_as(x)

    for (stored, y), target in zip(data.source.labelled(steps), data.target.unlabelled(steps), strict=True):
        x, n = images(stored, target), len(y)
        features = net.backbone(x)
        logits = net.head(features)
        predictions = logits.detach().softmax(1)
        noise = (0.01 * unit(torch.randn_like(x))).requires_grad_()
        (direction,) = torch.autograd.grad(F.cross_entropy(net(x + noise), predictions, reduction="sum"), noise)
        changes = F.cross_entropy(net(x + 0.063 * 28 * unit(direction)), predictions, reduction="none")
        is_source = (torch.arange(len(x)) < n).float()
        domain = F.binary_cross_entropy_with_logits(net.extra(reverse(features, 0.01)).squeeze(1), is_source)
        of_target = changes[n:].mean() + entropies(logits[n:].softmax(1)).mean()
        losses.append(update(optimizer, F.cross_entropy(logits[:n], y) + domain + changes[:n].mean() + 0.01 * of_target))
    return losses, net


def wdgrl(net: Net, data: Data, steps: int) -> Result:
    """Each step makes five updates of the critic, on fixed features, and one of the network.

    The losses returned are those of the first of these updates.
    """
    of_critic, of_network, losses = adam(net.extra), adam(net.backbone, net.head), []

    def distance(features: Tensor) -> Tensor:
        source, target = net.extra(features).chunk(2)
        return source.mean() - target.mean()

    for (stored, y), unlabelled in zip(data.source.labelled(steps), data.target.unlabelled(steps), strict=True):
        x = images(stored, unlabelled)
        with torch.no_grad():
            features = net.backbone(x)
        source, target = features.chunk(2)
        first: list[Tensor] = []
        for _ in range(5):
            between = source + torch.rand(len(source), 1) * (target - source)
            points = torch.cat([between, features]).requires_grad_()
            (slopes,) = torch.autograd.grad(net.extra(points).sum(), points, create_graph=True)
            first.append(update(of_critic, 10 * (slopes.norm(dim=1) - 1).square().mean() - distance(features)))
        losses.append(first[0])
        features = net.backbone(x)
        of_network.zero_grad(set_to_none=True)
        loss = F.cross_entropy(net.head(features[: len(y)]), y) + distance(features)
        loss.backward(inputs=[*net.backbone.parameters(), *net.head.parameters()])
        of_network.step()
    return losses, net
