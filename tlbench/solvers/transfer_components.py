"""Components that bring two domains together: the eigenproblem of TCA, JDA, BDA and TJM.

Over coefficients C (R, K) of columns Z (N, R): maximise tr(C' Z'H Z C) subject to C'(G + F F')C = I, where F = Z'E, the
columns of E (N, Q) are differences of means whose squares are the mismatch, and G is a positive diagonal penalty. F has a few
columns only, so that (G + F F')^(-1/2) is a diagonal and a correction of rank Q, and the problem is one symmetric matrix.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from tlbench.errors import TlbenchError
from tlbench.solvers.kernel_columns import KernelColumns

DENSE = 1200
"""Up to so many columns, and 10 for each component, every eigenvector is computed; else the leading ones, by iteration."""
SPACE = 600
"""Columns that the iteration's space grows to, and at least six blocks: a restart costs more products than a wide space."""


def contrasts(ns: int, nt: int, like: Tensor) -> Tensor:
    """e_0 (N, 1): 1 / N_s on the source rows, -1 / N_t on the target rows."""
    return torch.cat([like.new_full((ns, 1), 1 / ns), like.new_full((nt, 1), -1 / nt)])


def class_contrasts(y_source: Tensor, y_target: Tensor, classes: int, like: Tensor) -> Tensor:
    """e_c (N, C): 1 / N_sc on source rows of class c, -1 / N_tc on target rows given class c; an empty part is 0."""
    source = F.one_hot(y_source, classes).to(like)
    target = F.one_hot(y_target, classes).to(like)
    return torch.cat([source / source.sum(dim=0).clamp_min(1), -target / target.sum(dim=0).clamp_min(1)])


def unit(contrasts_NQ: Tensor) -> Tensor:
    """E scaled so that M = E E' has Frobenius norm 1, which is read off the small matrix E'E."""
    return contrasts_NQ / (contrasts_NQ.T @ contrasts_NQ).norm().sqrt().clamp_min(torch.finfo(contrasts_NQ.dtype).tiny)


class Scatter:
    """Z'HZ of a design: a matrix where it is small enough, else a product with vectors."""

    def __init__(self, design: KernelColumns) -> None:
        self.width = design.width
        self.dense: Tensor | None = None
        self._held = design.held
        if design.held is None or design.width <= max(DENSE, len(design.held) // 4):
            like = design.rows_ND
            total = design.gather(like.new_ones(len(like), 1)).squeeze(1)
            square = design.products
            if square is None:
                square = sum((part.T @ part for part in design.parts()), start=like.new_zeros(()))
            self.dense = square - torch.outer(total, total) / len(like)

    def __call__(self, vectors_RK: Tensor) -> Tensor:
        """Z'H Z vectors: (R, K)."""
        if self.dense is not None:
            return self.dense @ vectors_RK
        assert self._held is not None
        mapped = self._held @ vectors_RK
        return self._held.T @ (mapped - mapped.mean(dim=0))


def components(
    scatter: Scatter,
    mismatch_RQ: Tensor,
    penalty: Tensor | float,
    count: int,
    *,
    tolerance: float = 1e-8,
    start: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """The leading generalised eigenvectors of (Z'HZ, G + F F').

    Args:
        scatter: Z'HZ.
        mismatch_RQ: F = Z'E.
        penalty: the diagonal of G (R,), or one number for all of it.
        count: K; fewer come back where there are fewer columns.
        tolerance: of the iteration, relative to the largest eigenvalue.
        start: coefficients (R, K) to start the iteration from.

    Returns:
        Eigenvalues (K,), the largest first, and coefficients C (R, K) with C'(G + F F')C = I. The sign of each is free.
    """
    root = torch.as_tensor(penalty, dtype=mismatch_RQ.dtype, device=mismatch_RQ.device).expand(scatter.width).sqrt()[:, None]
    # G + F F' = G^(1/2) (I + f f') G^(1/2), and (I + f f')^(-1/2) = I - Q (1 - (1 + s^2)^(-1/2)) Q' with f = Q s R'
    left, singular, _ = torch.linalg.svd(mismatch_RQ / root, full_matrices=False)
    shrink = 1 - (1 + singular.square()).rsqrt()

    def halve(x: Tensor) -> Tensor:
        return x - left @ (shrink[:, None] * (left.T @ x))

    if scatter.dense is not None and scatter.width <= min(DENSE, max(200, 10 * count)):
        inner = halve(halve(scatter.dense / root / root.T).T)
        values, vectors = torch.linalg.eigh((inner + inner.T) / 2)
        values, vectors = values[-count:].flip(0), vectors[:, -count:].flip(1)
    else:
        begin = None if start is None else root * start
        values, vectors = leading(
            lambda x: halve(scatter(halve(x) / root) / root),
            scatter.width,
            count,
            like=mismatch_RQ,
            tolerance=tolerance,
            start=begin,
        )
    return values, signed(halve(vectors) / root)


def leading(
    apply: Callable[[Tensor], Tensor],
    width: int,
    count: int,
    *,
    like: Tensor,
    tolerance: float = 1e-8,
    start: Tensor | None = None,
    rounds: int = 60,
) -> tuple[Tensor, Tensor]:
    """Leading eigenpairs of a symmetric operator by a block Krylov space with restarts: values (K,), vectors (R, K).

    The space grows by the residuals of a whole block, orthogonalised twice; the start is drawn from a fixed seed.
    """
    count = min(count, width)
    block = min(count + max(4, count // 10), width)
    drawn = torch.randn(width, block, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).to(like)
    if start is not None:
        drawn[:, : start.shape[1]] = start[:, :block]
    basis, _ = torch.linalg.qr(drawn)
    images = apply(basis)
    for _ in range(rounds):
        small = basis.T @ images
        values, turns = torch.linalg.eigh((small + small.T) / 2)
        values, turns = values[-block:].flip(0), turns[:, -block:].flip(1)
        vectors, mapped = basis @ turns, images @ turns
        rest = mapped - vectors * values
        if float(rest[:, :count].norm(dim=0).max()) <= tolerance * float(values[0].abs()) or basis.shape[1] == width:
            break
        if basis.shape[1] + block > min(max(SPACE, 6 * block), width):
            basis, images = vectors, mapped
        for _ in range(2):
            rest = rest - basis @ (basis.T @ rest)
            rest, _ = torch.linalg.qr(rest)
        rest = rest[:, : width - basis.shape[1]]
        basis, images = torch.cat([basis, rest], dim=1), torch.cat([images, apply(rest)], dim=1)
    return values[:count], vectors[:, :count]


def signed(vectors_RK: Tensor) -> Tensor:
    """Each column with its largest entry positive: eigenvectors have no sign of their own."""
    largest = vectors_RK.abs().argmax(dim=0, keepdim=True)
    return vectors_RK * vectors_RK.gather(0, largest).sign()


def scaled(values_K: Tensor, coefficients_RK: Tensor, scale: str) -> Tensor:
    """Coefficients of unit length (`coefficients`), or with components of unit scatter, C'Z'HZ C = I (`scatter`).

    Components without scatter are left out: they are the same for every row.

    Raises:
        TlbenchError: no component has any.
    """
    kept = values_K > values_K[0] * len(values_K) * torch.finfo(values_K.dtype).eps
    if not bool(kept.any()):
        raise TlbenchError("all rows are alike: there is nothing to find components of; look at `prepare` and the data")
    values, coefficients = values_K[kept], coefficients_RK[:, kept]
    return coefficients / (coefficients.norm(dim=0) if scale == "coefficients" else values.sqrt())
