"""Methods that add one term to the cross-entropy on the source, from one forward of source and target."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.reference_loop import ramp, reverse
from benchmarks.reference_steps.shared import CLASSES, Data, Net, Result, adam, images, update


@dataclass(frozen=True)
class Batch:
    """Features (2B, D) and logits (2B, C) of a step, those of the source first, its classes (B,), and the progress."""

    features: Tensor
    logits: Tensor
    y: Tensor
    progress: float

    def target_predictions(self) -> Tensor:
        """The softmax (B, C) of the target."""
        return self.logits[len(self.y) :].softmax(1)


def train_with(net: Net, data: Data, steps: int, term: Callable[[Batch], Tensor]) -> Result:
    """Train on the sum of the cross-entropy and the term."""
    optimizer, losses = adam(net), []
    batches = zip(data.source.labelled(steps), data.target.unlabelled(steps), strict=True)
    for step, ((x, y), target) in enumerate(batches):
        features = net.backbone(images(x, target))
        logits = net.head(features)
        loss = F.cross_entropy(logits[: len(y)], y) + term(Batch(features, logits, y, step / steps))
        losses.append(update(optimizer, loss))
    return losses, net


def entropies(predictions: Tensor) -> Tensor:
    """The entropies (B,) of predictions (B, C)."""
    return torch.special.entr(predictions).sum(1)


def min_entropy(net: Net, data: Data, steps: int) -> Result:
    """The mean entropy on the target."""
    return train_with(net, data, steps, lambda batch: 0.1 * entropies(batch.target_predictions()).mean())


def im(net: Net, data: Data, steps: int) -> Result:
    """The mean entropy on the target, less the entropy of the mean."""

    def term(batch: Batch) -> Tensor:
        predictions = batch.target_predictions()
        return entropies(predictions).mean() - torch.special.entr(predictions.mean(0)).sum()

    return train_with(net, data, steps, term)


def bnm(net: Net, data: Data, steps: int) -> Result:
    """The nuclear norm on the target, by singular values."""

    def term(batch: Batch) -> Tensor:
        return -torch.linalg.matrix_norm(batch.target_predictions(), "nuc") / len(batch.y)

    return train_with(net, data, steps, term)


def pseudo_label(net: Net, data: Data, steps: int) -> Result:
    """The cross-entropy on own predictions, with a rising weight."""

    def term(batch: Batch) -> Tensor:
        logits = batch.logits[len(batch.y) :]
        return 3 * batch.progress * F.cross_entropy(logits, logits.detach().argmax(1))

    return train_with(net, data, steps, term)


def squared_distances(x: Tensor) -> Tensor:
    """The squared distances (N, N) of all pairs of samples (N, D)."""
    x = x - x.detach().mean(0)
    squares = x.square().sum(1)
    return (squares[:, None] + squares - 2 * x @ x.T).clamp_min(0)


def kernel(features: Tensor) -> Tensor:
    """The sum of five Gaussians (N, N), whose widths are multiples of the mean squared distance."""
    distance = squared_distances(features)
    base = distance.detach().sum() / (len(features) * (len(features) - 1))
    return torch.stack([torch.exp(-distance / (base * 2.0**j)) for j in range(-2, 3)]).sum(0)


def jan(net: Net, data: Data, steps: int) -> Result:
    """MMD with the product of a kernel on features and one on predictions."""

    def term(batch: Batch) -> Tensor:
        n = len(batch.y)
        joint = kernel(batch.features) * (-squared_distances(batch.logits.softmax(1)) / 1.68).exp()
        return joint[:n, :n].mean() + joint[n:, n:].mean() - 2 * joint[:n, n:].mean()

    return train_with(net, data, steps, term)


def dsan(net: Net, data: Data, steps: int) -> Result:
    """MMD of each class, weighted by labels and predictions."""

    def term(batch: Batch) -> Tensor:
        predictions = batch.target_predictions().detach()
        of_source = F.one_hot(batch.y, CLASSES).float()
        predicted = F.one_hot(predictions.argmax(1), CLASSES)
        present = ((of_source.sum(0) > 0) & (predicted.sum(0) > 0)).float()
        shares = [weights * present / weights.sum(0).clamp_min(1e-12) for weights in (of_source, predictions)]
        signed = torch.cat([shares[0], -shares[1]])
        local = (signed * (kernel(batch.features) @ signed)).sum() / present.sum().clamp_min(1)
        return 0.5 * ramp(batch.progress) * local

    return train_with(net, data, steps, term)


def homm(net: Net, data: Data, steps: int) -> Result:
    """The squared difference of the third moments, from products of samples."""

    def term(batch: Batch) -> Tensor:
        source, target = (x - x.mean(0) for x in batch.features.split(len(batch.y)))
        width = source.shape[1]
        same = (source @ source.T / width).pow(3).mean() + (target @ target.T / width).pow(3).mean()
        return 1e4 * (same - 2 * (source @ target.T / width).pow(3).mean())

    return train_with(net, data, steps, term)


def bsp(net: Net, data: Data, steps: int) -> Result:
    """DANN, and the squared largest singular values of the features."""

    def term(batch: Batch) -> Tensor:
        n = len(batch.y)
        domain = net.extra(reverse(batch.features, ramp(batch.progress))).squeeze(1)
        is_source = (torch.arange(2 * n) < n).float()
        largest = torch.stack([torch.linalg.matrix_norm(x, 2).square() for x in batch.features.split(n)])
        return F.binary_cross_entropy_with_logits(domain, is_source) + 1e-4 * largest.sum()

    return train_with(net, data, steps, term)


def mdd(net: Net, data: Data, steps: int) -> Result:
    """A second head agrees with the first on the source and disagrees on the target, behind a gradient reversal."""

    def term(batch: Batch) -> Tensor:
        n, label = len(batch.y), batch.logits.argmax(1)
        logits = net.extra(reverse(batch.features, 0.1 * ramp(batch.progress)))
        is_label = F.one_hot(label[n:], CLASSES).bool()
        others = logits[n:].masked_fill(is_label, -torch.inf).logsumexp(1)
        return 4 * F.cross_entropy(logits[:n], label[:n]) + (logits[n:].logsumexp(1) - others).mean()

    return train_with(net, data, steps, term)


def daln(net: Net, data: Data, steps: int) -> Result:
    """The head raises the difference of the nuclear norms of both domains, the features lower it."""

    def term(batch: Batch) -> Tensor:
        n = len(batch.y)
        source, target = net.head(reverse(batch.features, ramp(batch.progress))).softmax(1).split(n)
        return (torch.linalg.matrix_norm(target, "nuc") - torch.linalg.matrix_norm(source, "nuc")) / n

    return train_with(net, data, steps, term)


def m3sda(net: Net, data: Data, steps: int) -> Result:
    """The lengths of the differences of the means of features and of their squares, for one source."""

    def term(batch: Batch) -> Tensor:
        source, target = batch.features.split(len(batch.y))
        of_order = [((source**k).mean(0) - (target**k).mean(0)).norm() for k in (1, 2)]
        return 0.01 * torch.stack(of_order).sum()

    losses, _ = train_with(net, data, steps, term)
    return losses, lambda x: net(x).log_softmax(1)


def mdan(net: Net, data: Data, steps: int) -> Result:
    """DANN with a linear discriminator and without a schedule, for one source."""

    def term(batch: Batch) -> Tensor:
        of_source, of_target = net.extra(reverse(batch.features, 1.0)).split(len(batch.y))
        return 0.01 * (F.softplus(-of_source).mean() + F.softplus(of_target).mean())

    return train_with(net, data, steps, term)


TERM_METHODS = (min_entropy, im, bnm, pseudo_label, jan, dsan, homm, bsp, mdd, daln, m3sda, mdan)
