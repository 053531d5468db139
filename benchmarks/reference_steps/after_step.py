"""Methods that adapt after the training on the source, over the first `steps` batches of the target."""

from __future__ import annotations

import itertools

import torch
from torch import nn

from benchmarks.reference_steps.shared import CHUNK, Data, Net, Result, adam, images, update


def norms(net: Net) -> list[nn.BatchNorm1d | nn.BatchNorm2d]:
    return [module for module in net.modules() if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d)]


@torch.no_grad()
def adabn(net: Net, data: Data, steps: int) -> Result:
    """The statistics of batch normalisation become those of the target, as averages over its chunks by their sizes."""
    net.eval()
    samples = 0
    for x in data.target.x[: steps * data.target.batch].split(CHUNK):
        samples += len(x)
        for norm in norms(net):
            norm.train().momentum = len(x) / samples
        net.backbone(images(x))
    return [], net.eval()


def tent(net: Net, data: Data, steps: int) -> Result:
    """Batch statistics are used, and the scales and shifts learn from each batch after it is predicted."""
    net.eval().requires_grad_(False)
    for norm in norms(net):
        norm.train().requires_grad_(True)
    optimizer, losses = adam(*norms(net)), []
    for x in itertools.islice(data.target.x.split(data.target.batch), steps):
        log_probabilities = net(images(x)).log_softmax(1)
        losses.append(update(optimizer, -(log_probabilities.exp() * log_probabilities).sum(1).mean()))
    return losses, net
