"""Adam for a small vector whose gradient is known in closed form; its state is in buffers, and so in checkpoints.

Kingma and Ba, Adam: a method for stochastic optimization, ICLR 2015. https://arxiv.org/abs/1412.6980
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

DECAYS, EPSILON = (0.9, 0.999), 1e-8


class AdamVector(nn.Module):
    """K numbers that follow given gradients, as `torch.optim.Adam` would move them.

    Args:
        start: (K,), where they start.
        lr: the learning rate.
        weight_decay: added to the gradient, times the numbers.
    """

    value: Tensor
    first: Tensor
    second: Tensor
    steps: Tensor

    def __init__(self, start: Tensor, lr: float, weight_decay: float = 0.0) -> None:
        super().__init__()
        self.lr, self.weight_decay = lr, weight_decay
        self.register_buffer("value", start.clone())
        self.register_buffer("first", torch.zeros_like(start))
        self.register_buffer("second", torch.zeros_like(start))
        self.register_buffer("steps", torch.zeros(()))

    def step(self, gradient_K: Tensor) -> None:
        """Move the numbers against a gradient (K,)."""
        gradient = gradient_K.to(self.value) + self.weight_decay * self.value
        self.steps += 1
        self.first.lerp_(gradient, 1 - DECAYS[0])
        self.second.mul_(DECAYS[1]).addcmul_(gradient, gradient, value=1 - DECAYS[1])
        unbiased = (self.second / (1 - DECAYS[1] ** self.steps)).sqrt() + EPSILON
        self.value -= self.lr * (self.first / (1 - DECAYS[0] ** self.steps)) / unbiased
