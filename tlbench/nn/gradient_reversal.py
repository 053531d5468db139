"""Gradient reversal: the identity forward, the gradient times -k backward.

Ganin and Lempitsky, Unsupervised domain adaptation by backpropagation, ICML 2015. https://arxiv.org/abs/1409.7495
"""

from __future__ import annotations

import math
from typing import Any, overload

import torch
from torch import Tensor


class _Reverse(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, k: float | Tensor) -> Tensor:
        ctx.k = k
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return -ctx.k * gradient, None


class _Vectorised(torch.autograd.Function):
    """The same for several networks in one vectorised program, which asks for this form; it takes longer."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, k: float | Tensor) -> Tensor:
        return x.view_as(x)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, float | Tensor], output: Tensor) -> None:
        ctx.k = inputs[1]

    backward = _Reverse.backward


def reverse_gradient(x: Tensor, k: float | Tensor = 1.0) -> Tensor:
    """The same values; on the way back the gradient is multiplied by -k."""
    form = _Vectorised if torch._C._are_functorch_transforms_active() else _Reverse
    reversed_: Tensor = form.apply(x, k)
    return reversed_


@overload
def reversal_schedule(progress: float, gamma: float = 10.0) -> float: ...
@overload
def reversal_schedule(progress: Tensor, gamma: float = 10.0) -> Tensor: ...
def reversal_schedule(progress: float | Tensor, gamma: float = 10.0) -> float | Tensor:
    """The authors' schedule of k: 2 / (1 + exp(-gamma p)) - 1, from 0 to nearly 1 over the progress p of the training.

    Tied to the progress, not to an absolute step number: else a short run trains with a weaker k than a long one. A compiled
    step gives the progress as a tensor ().
    """
    if isinstance(progress, Tensor):
        return 2.0 / (1.0 + (-gamma * progress).exp()) - 1.0
    return 2.0 / (1.0 + math.exp(-gamma * progress)) - 1.0
