"""A penalty for moving the parameters that a network's predictions on the source depend on."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

BATCH = 64
"""Samples of a batch whose gradient is squared."""


class FisherPenalty:
    """The squared distance from the values that some parameters have now, weighted by their Fisher information.

    Args:
        parameters: the parameters.
        limit: the number of samples that the information is measured on.
    """

    def __init__(self, parameters: Sequence[nn.Parameter], limit: int) -> None:
        self.parameters, self.limit = list(parameters), limit
        self.anchor = [parameter.detach().clone() for parameter in self.parameters]
        self.information = [torch.zeros_like(parameter) for parameter in self.anchor]
        self.batches = 0

    def add(self, net: Callable[[Tensor], Tensor], x: Tensor) -> None:
        """Add inputs (B, ...), in batches of 64: the squared gradients of the cross-entropy with the own predictions."""
        for batch in x.split(BATCH):
            if len(batch) < 2 or self.batches * BATCH >= self.limit:
                continue  # one sample has no batch statistics
            with torch.enable_grad():
                logits_BC = net(batch)
                gradients = torch.autograd.grad(F.cross_entropy(logits_BC, logits_BC.argmax(dim=1)), self.parameters)
            self.batches += 1
            for information, gradient in zip(self.information, gradients, strict=True):
                information += (gradient.square() - information) / self.batches

    def __call__(self) -> Tensor:
        """The penalty, a scalar."""
        triples = zip(self.information, self.parameters, self.anchor, strict=True)
        return torch.stack([(information * (now - anchor).square()).sum() for information, now, anchor in triples]).sum()
