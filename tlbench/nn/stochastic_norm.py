"""Stochastic normalisation: each channel takes the statistics of the batch or the moving ones, by chance."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

KINDS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


class StochasticNorm(_BatchNorm):
    """In training, each channel of a batch takes the batch's statistics with `batch_probability`, or else the moving ones.

    The moving statistics are those before the batch, which then moves them, as in batch normalisation. In evaluation, and at
    probability 1, it is batch normalisation.

    Args:
        norm: a layer with moving statistics, whose parameters and statistics it takes over.
    """

    batch_probability = 1.0

    def __init__(self, norm: _BatchNorm) -> None:
        super().__init__(norm.num_features, norm.eps, norm.momentum, norm.affine)
        self._parameters, self._buffers = norm._parameters, norm._buffers
        self.training = norm.training

    def forward(self, x: Tensor) -> Tensor:
        """Inputs (B, C, ...) -> normalised outputs of the same shape."""
        if not self.training or self.batch_probability == 1:
            return super().forward(x)
        assert self.running_mean is not None and self.running_var is not None
        mean, var = self.running_mean.clone(), self.running_var.clone()  # the batch moves them
        moving = F.batch_norm(x, mean, var, self.weight, self.bias, training=False, eps=self.eps)
        takes_batch_C = torch.rand(self.num_features, device=x.device) < self.batch_probability
        return torch.where(takes_batch_C.view(-1, *(1,) * (x.ndim - 2)), super().forward(x), moving)

    def _check_input_dim(self, input: Tensor) -> None:
        """Inputs of any number of dimensions are taken, as the replaced layer got them."""


def replace_batch_norms(network: nn.Module) -> list[StochasticNorm]:
    """Replace every batch normalisation with moving statistics by the stochastic one, in place; the new layers."""
    replaced = []
    for parent in [*network.modules()]:
        for name, child in parent.named_children():
            if type(child) in KINDS and isinstance(child, _BatchNorm) and child.track_running_stats:
                replaced.append(StochasticNorm(child))
                setattr(parent, name, replaced[-1])
    return replaced
