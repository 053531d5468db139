"""Statistics of batch normalisation over several forward passes of different sizes."""

from __future__ import annotations

from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm


class PooledStatistics:
    """Mean and variance (D,) of all inputs of a layer of D channels, from its creation until `store`.

    They are those of one large batch, however the samples fall into forward passes.

    Args:
        norm: a layer with running statistics, which is in training mode in these forward passes; its momentum becomes 1.
    """

    def __init__(self, norm: _BatchNorm) -> None:
        self.norm, self.count = norm, 0
        self.mean: Tensor
        self.squares: Tensor
        """Sums (D,) of squared deviations from the mean."""
        norm.momentum = 1.0  # the running statistics are then those of the last chunk
        self.hook = norm.register_forward_hook(self.add)

    def add(self, norm: _BatchNorm, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        """Pool the statistics of a chunk, by Chan's formula."""
        assert norm.running_mean is not None and norm.running_var is not None
        count = output.numel() // norm.num_features
        mean, squares = norm.running_mean.clone(), norm.running_var * (count - 1)
        if self.count:
            difference, share = mean - self.mean, count / (self.count + count)
            mean, squares = self.mean + difference * share, self.squares + squares + difference.square() * self.count * share
        self.mean, self.squares, self.count = mean, squares, self.count + count

    def store(self) -> None:
        """Make the pooled statistics those of the layer."""
        self.hook.remove()
        if self.count:
            assert self.norm.running_mean is not None and self.norm.running_var is not None
            self.norm.running_mean.copy_(self.mean)
            self.norm.running_var.copy_(self.squares / (self.count - 1))
