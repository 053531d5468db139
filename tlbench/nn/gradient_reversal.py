"""Gradient reversal: the identity in the forward pass, multiplication of the gradient by -k in the backward pass.

Ganin and Lempitsky, Unsupervised domain adaptation by backpropagation, ICML 2015. https://arxiv.org/abs/1409.7495
"""

from __future__ import annotations

import math
from typing import Any, overload

import torch
from torch import Tensor


class _GradientReversal(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, k: float | Tensor) -> Tensor:
        ctx.k = k
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return -ctx.k * gradient, None


class _VmappableGradientReversal(torch.autograd.Function):
    """The same in the form that torch.func.vmap needs, for vmapped seeds; it takes longer."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, k: float | Tensor) -> Tensor:
        return x.view_as(x)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, float | Tensor], output: Tensor) -> None:
        ctx.k = inputs[1]

    backward = _GradientReversal.backward


def reverse_gradient(x: Tensor, k: float | Tensor = 1.0) -> Tensor:
    """Return x (...) unchanged; in the backward pass its gradient is multiplied by -k, a number or a tensor ()."""
    function = _VmappableGradientReversal if torch._C._are_functorch_transforms_active() else _GradientReversal
    output: Tensor = function.apply(x, k)
    return output


@overload
def reversal_schedule(progress: float, gamma: float = 10.0) -> float: ...
@overload
def reversal_schedule(progress: Tensor, gamma: float = 10.0) -> Tensor: ...
def reversal_schedule(progress: float | Tensor, gamma: float = 10.0) -> float | Tensor:
    """The schedule of k in Ganin et al.: 2 / (1 + exp(-gamma p)) - 1, from 0 to nearly 1 over the progress p in [0, 1].

    It depends on the progress instead of the step number, so that short and long runs reach the same k. In a compiled step the
    progress is a tensor (), and so is the result.
    """
    if isinstance(progress, Tensor):
        return 2.0 / (1.0 + (-gamma * progress).exp()) - 1.0
    return 2.0 / (1.0 + math.exp(-gamma * progress)) - 1.0
