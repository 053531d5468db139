"""Samples and the positions that a step draws of them, in one tensor.

A method passes a batch on as a tensor, concatenates it with others, and may look at a part of it; the drawn positions travel in
the tensor itself, in one more slice along its first axis after B (for token ids, in K more columns).
"""

from __future__ import annotations

import torch
from torch import Tensor


def pack(x: Tensor, positions_BK: Tensor) -> Tensor:
    """Network inputs and their drawn positions as one tensor.

    Args:
        x: token ids (B, L), features of positions (B, P, D), or images (B, C, H, W).
        positions_BK: indices of K positions of each sample.

    Returns:
        (B, L + K), (B, P, D + 1) or (B, C + 1, H, W), of the type of x.

    Raises:
        ValueError: more positions are drawn than a sample has.
    """
    if x.ndim == 2:
        return torch.cat([x, positions_BK.to(x.dtype)], dim=1)
    most = x.shape[1] if x.ndim == 3 else x.shape[2] * x.shape[3]
    if positions_BK.shape[1] > most:
        raise ValueError(f"{positions_BK.shape[1]} positions do not fit into samples of {most}.")
    slots = x.new_zeros(len(x), most)
    slots[:, : positions_BK.shape[1]] = positions_BK
    if x.ndim == 3:
        return torch.cat([x, slots[:, :, None]], dim=2)
    packed = torch.cat([x, slots.view(len(x), 1, *x.shape[2:])], dim=1)
    channels_last = x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()
    return packed.contiguous(memory_format=torch.channels_last) if channels_last else packed


def is_packed(x: Tensor, shape: tuple[int, ...]) -> bool:
    """Whether network inputs hold drawn positions beside samples of a shape."""
    axis = 2 if x.ndim == 3 else 1
    return x.shape[axis] != shape[axis - 1]


def unpack(x: Tensor, shape: tuple[int, ...], count: int) -> tuple[Tensor, Tensor]:
    """Packed inputs -> the network inputs (B, *shape), and the indices (B, K) int64 of the drawn positions.

    Args:
        x: what `pack` returned.
        shape: of a sample.
        count: K.
    """
    if x.ndim == 2:
        return x[:, : shape[0]], x[:, shape[0] :].long()
    if x.ndim == 3:
        return x[:, :, : shape[1]], x[:, :count, shape[1]].long()
    return x[:, : shape[0]], x[:, shape[0]].flatten(1)[:, :count].long()
