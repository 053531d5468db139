"""Source-free methods: half of the steps on the source with smoothed labels, the others on the target alone."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.reference_steps.labeled import supervised
from benchmarks.reference_steps.shared import CHUNK, CLASSES, Data, Net, Result, adam, images, update

AdaptationLoss = Callable[[Tensor, Tensor, float], Tensor]
"""Network inputs (B, ...), sample indices (B,) and the progress -> the loss."""


def adapt(
    net: Net,
    data: Data,
    steps: int,
    loss: AdaptationLoss,
    begin: Callable[[], None],
    *,
    head_scale: float = 1.0,
    every_epoch: bool = False,
) -> Result:
    """Train on the source, then on the target; `begin` runs before the first step there, or at the start of each epoch."""
    first = round(steps / 2)
    losses, target_steps = supervised(net, data.source, first, smoothing=0.1), steps - first
    net.head.requires_grad_(head_scale > 0)
    optimizer = adam(net.backbone, net.head)
    if head_scale != 1:
        rates = {net.backbone: 1e-3, net.head: head_scale * 1e-3}
        groups = [{"params": [*module.parameters()], "lr": lr} for module, lr in rates.items()]
        optimizer = torch.optim.Adam(groups, fused=True)
    epoch = len(data.target.x) // data.target.batch
    for step, indices in enumerate(data.target.order(target_steps)):
        if step == 0 or (every_epoch and step % epoch == 0):
            with torch.no_grad():
                net.eval()
                begin()
                net.train()
        x = images(data.target.x.index_select(0, indices))
        losses.append(update(optimizer, loss(x, indices, step / target_steps)))
    return losses, net.eval()


def target_features(net: Net, data: Data) -> Tensor:
    """The features (N, D) of all target samples."""
    return torch.cat([net.backbone(images(x)) for x in data.target.x.split(CHUNK)])


def information_loss(logits: Tensor) -> Tensor:
    """The mean entropy of predictions less the entropy of their mean."""
    logs = logits.log_softmax(1)
    mean = logs.exp().mean(0)
    return (mean * mean.clamp_min(1e-8).log()).sum() - (logs.exp() * logs).sum(1).mean()


def shot_im(net: Net, data: Data, steps: int) -> Result:
    """Information maximisation with a frozen head."""
    return adapt(net, data, steps, lambda x, _, __: information_loss(net(x)), lambda: None, head_scale=0.0)


def shot(net: Net, data: Data, steps: int) -> Result:
    """The same with pseudo-labels, which are computed at the start of each epoch."""
    label = torch.empty(len(data.target.x), dtype=torch.int64)

    def loss(x: Tensor, indices: Tensor, progress: float) -> Tensor:
        logits = net(x)
        return information_loss(logits) + 0.3 * F.cross_entropy(logits, label[indices])

    def begin() -> None:
        label.copy_(pseudo_labels(net, data))

    return adapt(net, data, steps, loss, begin, head_scale=0.0, every_epoch=True)


def pseudo_labels(net: Net, data: Data) -> Tensor:
    """The class (N,) of the nearest centroid by cosine; centroids are weighted by predictions first, then by those labels."""
    features = target_features(net, data)
    weights = net.head(features).softmax(1)
    label = weights.argmax(1)
    unit = F.normalize(F.pad(features, (0, 1), value=1.0))
    for _ in range(2):
        absent = torch.bincount(label, minlength=CLASSES) == 0
        centroids = F.normalize(weights.T @ unit / weights.sum(0)[:, None].clamp_min(1e-8))
        label = (unit @ centroids.T).masked_fill(absent, -2).argmax(1)
        weights = F.one_hot(label, CLASSES).float()
    return label


class Banks:
    """The unit features and the predictions of all target samples."""

    def __init__(self, net: Net, data: Data) -> None:
        self.net, self.data = net, data

    def fill(self) -> None:
        features = target_features(self.net, self.data)
        self.predictions, self.features = self.net.head(features).softmax(1), F.normalize(features)

    def write(self, indices: Tensor, features: Tensor, predictions: Tensor) -> Tensor:
        unit = F.normalize(features.detach())
        self.features[indices], self.predictions[indices] = unit, predictions.detach()
        return unit

    def nearest(self, unit: Tensor, own: Tensor) -> Tensor:
        """The indices (Q, 5) of the nearest samples other than their own."""
        return (unit @ self.features.T).scatter_(1, own[:, None], -torch.inf).topk(5).indices


def nrc(net: Net, data: Data, steps: int) -> Result:
    """Predictions follow those of five neighbours and of five neighbours of each."""
    banks = Banks(net, data)

    def loss(x: Tensor, indices: Tensor, progress: float) -> Tensor:
        features = net.backbone(x)
        predictions = net.head(features).softmax(1)
        with torch.no_grad():
            near = banks.nearest(banks.write(indices, features, predictions), indices)
            around = banks.nearest(banks.features[near.flatten()], near.flatten()).view(len(indices), 5, 5)
            weights = torch.where((around == indices[:, None, None]).any(2), 1.0, 0.1)[:, :, None]
            around_predictions = 0.1 * banks.predictions[around].sum((1, 2))
            attraction = (weights * banks.predictions[near]).sum(1) + around_predictions
        mean = predictions.mean(0)
        return (mean * mean.clamp_min(1e-8).log()).sum() - (predictions * attraction).sum(1).mean()

    return adapt(net, data, steps, loss, banks.fill)


def aad(net: Net, data: Data, steps: int) -> Result:
    """Predictions follow those of five neighbours and avoid those of the rest of the batch, less and less."""
    banks = Banks(net, data)

    def loss(x: Tensor, indices: Tensor, progress: float) -> Tensor:
        features = net.backbone(x)
        predictions = net.head(features).softmax(1)
        near = banks.predictions[banks.nearest(banks.write(indices, features, predictions), indices)]
        products = predictions.sum(0).square().sum() - predictions.square().sum()
        return (1 + 10 * progress) ** -5 * products / len(indices) - (predictions[:, None] * near).sum((1, 2)).mean()

    return adapt(net, data, steps, loss, banks.fill)


def cowa(net: Net, data: Data, steps: int) -> Result:
    """Mixed samples learn the labels of a Gaussian mixture, weighted by their scores."""
    label = torch.empty(len(data.target.x), CLASSES)
    score = torch.empty(len(data.target.x))

    def begin() -> None:
        features = target_features(net, data)
        predictions = net.head(features).softmax(1)
        unit = F.normalize(features).double()
        posteriors = gaussian_posteriors(unit, predictions.double(), torch.ones(len(unit), CLASSES, dtype=torch.float64))
        logs = gaussian_posteriors(unit, posteriors.exp(), posteriors.exp())
        largest, classes = logs.topk(2)
        gap = largest[:, 0] - largest[:, 1]
        score.copy_((gap / gap.max()).float() * predictions.gather(1, classes[:, :1])[:, 0])
        label.copy_(F.one_hot(classes[:, 0], CLASSES))

    def loss(x: Tensor, indices: Tensor, progress: float) -> Tensor:
        order = torch.rand(len(x)).argsort()
        alpha = torch.full((len(x),), 0.2)
        share = torch.distributions.Beta(alpha, alpha).sample()
        column = share[:, None]
        mixed = share[:, None, None, None] * x + (1 - share[:, None, None, None]) * x[order]
        labels, scores = label[indices], score[indices]
        labels, scores = column * labels + (1 - column) * labels[order], share * scores + (1 - share) * scores[order]
        return (scores * F.cross_entropy(net(mixed), labels, reduction="none")).mean()

    return adapt(net, data, steps, loss, begin, head_scale=0.1, every_epoch=True)


def gaussian_posteriors(unit: Tensor, weights: Tensor, spread: Tensor) -> Tensor:
    """The log posteriors (N, C) of Gaussians whose priors and means come from weights (N, C), and covariances from others."""
    priors = weights.sum(0)
    logs = []
    for mean, share, prior in zip(weights.T @ unit / priors[:, None], spread.T, priors, strict=True):
        centered = unit - mean
        covariance = centered.T @ (share[:, None] * centered) / share.sum()
        factor = torch.linalg.cholesky(covariance + 1e-6 * torch.eye(unit.shape[1], dtype=unit.dtype))
        distances = torch.linalg.solve_triangular(factor, centered.T, upper=False).square().sum(0)
        logs.append(prior.log() - factor.diagonal().log().sum() - distances / 2)
    return torch.stack(logs, 1).log_softmax(1)
