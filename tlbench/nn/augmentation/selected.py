"""One of several operations for each sample of a batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

Operation = Callable[[Tensor, Tensor], Tensor]
"""Float images (B, C, H, W) and an amount (B,) for each -> images (B, C, H, W)."""


def apply_selected(x: Tensor, operations: Sequence[Operation | None], choice: Tensor, amount: Tensor) -> Tensor:
    """Apply to each sample the operation that was drawn for it; None leaves it unchanged.

    On a CPU each operation gets the samples that drew it. Elsewhere each gets all samples, for how many drew it is known on
    the device alone, and a step must not ask for it.

    Args:
        x: float images (B, C, H, W).
        operations: the operations.
        choice: the index of the operation of each sample (B,).
        amount: its amount (B,).
    """
    apply = _to_those_that_drew_it if x.device.type == "cpu" else _to_all
    result = x.clone()
    for number, operation in enumerate(operations):
        if operation is not None:
            result = apply(x, result, operation, choice == number, amount)
    return result


def _to_those_that_drew_it(x: Tensor, result: Tensor, operation: Operation, is_chosen: Tensor, amount: Tensor) -> Tensor:
    positions = is_chosen.nonzero()[:, 0]
    if len(positions):
        result[positions] = operation(x[positions], amount[positions])
    return result


def _to_all(x: Tensor, result: Tensor, operation: Operation, is_chosen: Tensor, amount: Tensor) -> Tensor:
    return torch.where(is_chosen[:, None, None, None], operation(x, amount), result)
