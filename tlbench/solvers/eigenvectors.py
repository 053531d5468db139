"""Leading eigenvectors of a symmetric operator by a block Krylov space with restarts, and a sign convention for them."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

MAX_KRYLOV_COLUMNS = 600
"""Columns that the space grows to (six blocks at least): a restart costs more products than a wide space."""


def leading_eigenpairs(
    apply: Callable[[Tensor], Tensor],
    width: int,
    count: int,
    *,
    like: Tensor,
    tolerance: float = 1e-8,
    start: Tensor | None = None,
    rounds: int = 60,
    note: Callable[[str], None] | None = None,
) -> tuple[Tensor, Tensor]:
    """The leading eigenvalues (K,), the largest first, and eigenvectors (R, K) of a symmetric operator.

    The space grows by the residuals of a whole block, orthogonalised twice. The iteration stops where the residual of each of
    the K leading vectors is below `tolerance` times its own eigenvalue, or below the rounding of the largest one, or after
    `rounds`.

    Args:
        apply: vectors (R, B) -> the operator times the vectors (R, B).
        width: R.
        count: K; fewer come back where R is smaller.
        like: a tensor of the dtype and the device to work in.
        tolerance: of the residuals, each relative to its own eigenvalue: columns of small scale give small eigenvalues.
        start: vectors (R, K) to start from; the rest of the first block is drawn from a fixed seed.
        rounds: at most.
        note: is told where they end above the tolerance.
    """
    count = min(count, width)
    block = min(count + max(4, count // 10), width)
    initial = torch.randn(width, block, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).to(like)
    if start is not None:
        initial[:, : start.shape[1]] = start[:, :block]
    basis, _ = torch.linalg.qr(initial)
    images = apply(basis)
    rounding, smallest = width * torch.finfo(basis.dtype).eps / tolerance, torch.finfo(basis.dtype).tiny
    for _ in range(rounds):
        projected = basis.T @ images
        values, rotation = torch.linalg.eigh((projected + projected.T) / 2)
        values, rotation = values[-block:].flip(0), rotation[:, -block:].flip(1)
        vectors, mapped = basis @ rotation, images @ rotation
        residuals = mapped - vectors * values
        lengths_K, unit_K = residuals[:, :count].norm(dim=0), values[:count].abs()
        unit_K = unit_K.clamp_min(max(float(unit_K[0]) * rounding, smallest))
        size = float((lengths_K / unit_K).max())
        if size <= tolerance or basis.shape[1] == width:
            break
        if basis.shape[1] + block > min(max(MAX_KRYLOV_COLUMNS, 6 * block), width):
            basis, images = vectors, mapped
        for _ in range(2):
            residuals = residuals - basis @ (basis.T @ residuals)
            residuals, _ = torch.linalg.qr(residuals)
        residuals = residuals[:, : width - basis.shape[1]]
        basis, images = torch.cat([basis, residuals], dim=1), torch.cat([images, apply(residuals)], dim=1)
    else:
        if note is not None:
            note(
                f"The eigenvectors stopped after {rounds} iterations; the largest residual is {size:.1g} of its eigenvalue, "
                f"above the tolerance {tolerance:.0g}."
            )
    return values[:count], vectors[:, :count]


def fix_signs(vectors_RK: Tensor) -> Tensor:
    """Each column with its largest entry positive: an eigenvector has no sign of its own."""
    largest = vectors_RK.abs().argmax(dim=0, keepdim=True)
    return vectors_RK * vectors_RK.gather(0, largest).sign()
