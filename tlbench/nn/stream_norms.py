"""Batch normalisation on a stream of test samples: by the statistics of the batch, of the source, or of both."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

PLAIN = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
"""The layers that can be wrapped; a subclass of a library may do more than normalise."""


def batch_norms(net: nn.Module) -> list[_BatchNorm]:
    """The batch-normalisation layers of a network."""
    return [module for module in net.modules() if isinstance(module, _BatchNorm)]


def values_per_channel(norm: _BatchNorm, x: Tensor) -> int:
    """The number of values of a channel in inputs (B, D) or (B, D, ...)."""
    return x.numel() // norm.num_features


def use_batch_statistics(norms: list[_BatchNorm]) -> None:
    """Normalise by the statistics of each batch; a single value per channel is normalised by the running statistics."""
    for norm in norms:
        if _set_mode not in norm._forward_pre_hooks.values():
            norm.register_forward_pre_hook(_set_mode)


def _set_mode(norm: nn.Module, inputs: tuple[Tensor, ...]) -> None:
    assert isinstance(norm, _BatchNorm)
    norm.train(values_per_channel(norm, inputs[0]) > 1)


def wrap_norms(net: nn.Module, wrapper: Callable[[_BatchNorm], StreamNorm]) -> list[StreamNorm]:
    """Put a wrapper around each layer of batch normalisation in a network, and return the wrappers."""
    wrapped = []
    for parent in list(net.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, _BatchNorm) and type(child) in PLAIN:
                wrapped.append(wrapper(child))
                setattr(parent, name, wrapped[-1])
    return wrapped


class StreamNorm(nn.Module):
    """A layer of batch normalisation with statistics of its own on the stream; in the training on the source it is the layer.

    Args:
        norm: the layer, with running statistics; inputs are (B, D) or (B, D, ...).
    """

    def __init__(self, norm: _BatchNorm) -> None:
        super().__init__()
        self.norm = norm
        self.streaming = False
        """Whether the statistics are the layer's own, or those of `statistics`."""

    def forward(self, x: Tensor) -> Tensor:
        """Inputs (B, D, ...) -> the same shape."""
        if not self.streaming:
            outputs: Tensor = self.norm(x)
            return outputs
        mean, variance = self.statistics(x)
        normalized = (x - mean) * (variance + self.norm.eps).rsqrt()
        if not self.norm.affine:
            return normalized
        return normalized * self.by_channel(self.norm.weight, x) + self.by_channel(self.norm.bias, x)

    def statistics(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The mean and the variance for inputs (B, D, ...), each of a shape that is broadcast to theirs."""
        raise NotImplementedError

    def source_statistics(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The running mean and variance, each (1, D, 1, ...)."""
        assert self.norm.running_mean is not None and self.norm.running_var is not None
        return self.by_channel(self.norm.running_mean, x), self.by_channel(self.norm.running_var, x)

    @staticmethod
    def by_channel(values_D: Tensor, x: Tensor) -> Tensor:
        """Values (D,) in a shape (1, D, 1, ...) that is broadcast to inputs (B, D, ...)."""
        return values_D.view(1, -1, *[1] * (x.ndim - 2))

    @staticmethod
    def batch_statistics(x: Tensor, unbiased: bool) -> tuple[Tensor, Tensor]:
        """The mean and the variance of each channel of inputs (B, D, ...), each (1, D, 1, ...)."""
        variance, mean = torch.var_mean(x, dim=[0, *range(2, x.ndim)], correction=int(unbiased), keepdim=True)
        return mean, variance


class MixedStatistics(StreamNorm):
    """The source's statistics and those of a batch of n samples, weighted N : n.

    Args:
        norm: the layer.
        prior: N, the number of samples that the source's statistics count as.
        count: n; None: the samples of the batch.
    """

    def __init__(self, norm: _BatchNorm, prior: float, count: int | None = None) -> None:
        super().__init__(norm)
        self.prior, self.count = prior, count

    def statistics(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The weighted mean and variance; those of the source for a single value per channel."""
        mean, variance = self.source_statistics(x)
        if values_per_channel(self.norm, x) == 1:
            return mean, variance
        weight = self.prior / (self.prior + (self.count or len(x)))
        batch_mean, batch_variance = self.batch_statistics(x, unbiased=True)
        return weight * mean + (1 - weight) * batch_mean, weight * variance + (1 - weight) * batch_variance


class MovingStatistics(StreamNorm):
    """A moving average that starts from the source's statistics, and moves with each batch in training mode.

    Args:
        norm: the layer; its running statistics are the moving average.
        momentum: the weight of a batch.
    """

    def __init__(self, norm: _BatchNorm, momentum: float) -> None:
        super().__init__(norm)
        self.momentum = momentum

    def statistics(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The average after the batch, through whose part in it gradients flow; in evaluation mode the average so far."""
        mean, variance = self.source_statistics(x)
        if not self.training:
            return mean, variance
        batch_mean, batch_variance = self.batch_statistics(x, unbiased=False)
        moved_mean = (1 - self.momentum) * mean + self.momentum * batch_mean
        moved_variance = (1 - self.momentum) * variance + self.momentum * batch_variance
        with torch.no_grad():
            mean.copy_(moved_mean)
            variance.copy_(moved_variance)
        return moved_mean, moved_variance


class InstanceAwareNorm(StreamNorm):
    """Instance-aware batch normalisation: the statistics of a sample count where they differ from the batch's by far.

    In evaluation mode the running statistics stand for the batch's. It normalises so from the start of the source training.

    Args:
        norm: the layer.
        deviations: k, how many standard errors a sample's statistic may differ and still be taken for the batch's.
    """

    def __init__(self, norm: _BatchNorm, deviations: float) -> None:
        super().__init__(norm)
        self.deviations, self.streaming = deviations, True

    def statistics(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Means and variances (B, D, 1, ...); those of the batch where a sample has one value per channel."""
        if self.training:
            self.norm(x)  # moves the running statistics
            mean, variance = self.batch_statistics(x, unbiased=True)
        else:
            mean, variance = self.source_statistics(x)
        values = x[0, 0].numel()
        if values == 1:
            return mean, variance
        own_variance, own_mean = torch.var_mean(x, dim=[*range(2, x.ndim)], correction=1, keepdim=True)
        scale = variance + self.norm.eps
        mean_error, variance_error = (scale / values).sqrt(), scale * (2 / (values - 1)) ** 0.5
        shifted_mean = mean + _shrunk(own_mean - mean, self.deviations * mean_error)
        shifted_variance = variance + _shrunk(own_variance - variance, self.deviations * variance_error)
        return shifted_mean, shifted_variance.relu()


def _shrunk(difference: Tensor, limit: Tensor) -> Tensor:
    """Differences beyond a limit, less the limit; 0 for the others."""
    return (difference - limit).relu() - (-difference - limit).relu()
