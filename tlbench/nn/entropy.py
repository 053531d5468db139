"""Entropies of predictions, in nats."""

from __future__ import annotations

from torch import Tensor


def entropy(logits_BC: Tensor) -> Tensor:
    """The entropy (B,) of the softmax of logits (B, C), in float32 at least; in [0, log C]."""
    logs_BC = logits_BC.float().log_softmax(dim=1) if logits_BC.itemsize < 4 else logits_BC.log_softmax(dim=1)
    value: Tensor = -(logs_BC.exp() * logs_BC).sum(dim=1)
    return value


def entropy_of_mean(logits_BC: Tensor) -> Tensor:
    """The entropy of the mean over the batch of the softmax of logits (B, C), a scalar in [0, log C]."""
    mean_C = (logits_BC.float() if logits_BC.itemsize < 4 else logits_BC).softmax(dim=1).mean(dim=0)
    value: Tensor = -(mean_C * mean_C.clamp_min(1e-8).log()).sum()
    return value
