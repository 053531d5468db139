"""The columns in which a kernel method's problem is smallest.

A method that looks for coefficients of kernel columns (transfer components and what is built on them) is given a `Design`: rows
as columns Z in which its coefficient vectors keep the length that they have in the dual.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from tlbench.errors import TlbenchError
from tlbench.solvers import nystrom as nearby
from tlbench.solvers.kernels import gram, median_gamma

Kernel = Literal["primal", "linear", "rbf"]
CHUNK = 4096
"""Rows that are mapped at a time."""
HELD = 100_000_000
"""Numbers that Z may have to be kept; beyond, its rows are made again where they are needed."""


@dataclass(frozen=True)
class KernelColumns:
    """Columns Z (N, R) of the pooled rows, and the same columns of any rows."""

    rows_ND: Tensor
    base: Callable[[Tensor], Tensor]
    """Rows (B, D) -> what the columns are made of (B, R0), float64."""
    factor: Tensor | None
    """Z is base times this (R0, R); None: the base itself. Kept apart: passes over many rows multiply by few columns."""
    width: int
    """R."""
    held: Tensor | None = None
    """Z itself where it is kept; of the exact Gaussian kernel it is the kernel matrix."""
    products: Tensor | None = None
    """Z'Z (R, R) where it is known already."""
    why_not_exact: str | None = None
    """What was approximated, for the record."""

    def parts(self) -> Iterator[Tensor]:
        """Z in chunks of rows, in order."""
        return (self.at(part) for part in self.rows_ND.split(CHUNK)) if self.held is None else iter(self.held.split(CHUNK))

    def at(self, x: Tensor) -> Tensor:
        """Rows (B, D) -> columns (B, R), float64."""
        base = self.base(x)
        return base if self.factor is None else base @ self.factor

    def gather(self, weights_NQ: Tensor) -> Tensor:
        """Z' weights: (R, Q)."""
        if self.held is not None:
            return self.held.T @ weights_NQ
        pieces = zip(self.rows_ND.split(CHUNK), weights_NQ.split(CHUNK), strict=True)
        gathered = torch.stack([self.base(part).T @ weight for part, weight in pieces]).sum(dim=0)
        return gathered if self.factor is None else self.factor.T @ gathered

    def map(self, coefficients_RK: Tensor) -> Tensor:
        """Z coefficients: (N, K)."""
        if self.held is not None:
            return self.held @ coefficients_RK
        weights = coefficients_RK if self.factor is None else self.factor @ coefficients_RK
        return torch.cat([self.base(part) @ weights for part in self.rows_ND.split(CHUNK)])


def kernel_columns(
    rows_ND: Tensor, kernel: Kernel, *, gamma: float | None = None, landmarks: int = 1000, exact: int = 10_000
) -> KernelColumns:
    """The columns of a kernel.

    Args:
        rows_ND: pooled rows, float64.
        kernel: `primal`, the rows themselves; `linear`, whose coefficients are those of the N rows; `rbf`, the same for the
            Gaussian kernel.
        gamma: of the Gaussian kernel; the median rule where it is None.
        landmarks: rows that stand for all in the Nystrom form, drawn by what the rows hold, see `landmarks.chosen`.
        exact: more rows than this take the Nystrom form of the Gaussian kernel (Williams and Seeger 2001).

    Raises:
        TlbenchError: the kernel of the rows is not finite.
    """
    if kernel == "primal":
        return KernelColumns(rows_ND, lambda x: x.double(), None, rows_ND.shape[1], held=rows_ND)
    if kernel == "linear":
        root = square_root(rows_ND)
        held = rows_ND @ root if len(rows_ND) * root.shape[1] <= HELD else None
        return KernelColumns(rows_ND, lambda x: x.double(), root, root.shape[1], held)
    width = median_gamma(nearby.random_landmarks(rows_ND, 1000)) if gamma is None else gamma
    if len(rows_ND) <= exact:
        held = _finite(gram(rows_ND, rows_ND, width))
        return KernelColumns(rows_ND, lambda x: gram(x.double(), rows_ND, width), None, len(rows_ND), held)
    chosen = nearby.random_landmarks(rows_ND, landmarks)
    # columns of the kernel times K_mm^(-1/2) have the Nystrom kernel as their products: the linear form of those is the rest
    values, vectors = torch.linalg.eigh(_finite(gram(chosen, chosen, width)))
    kept = values > 1e-10 * values[-1]
    whiten = vectors[:, kept] / values[kept].sqrt()
    columns = (gram(part, chosen, width) for part in rows_ND.split(CHUNK))
    products = whiten.T @ sum((part.T @ part for part in columns), start=rows_ND.new_zeros(())) @ whiten
    root = _root(products)
    why = f"Gaussian kernel of {len(rows_ND)} rows through {len(chosen)} landmarks (Nystrom)"
    known = root.T @ products @ root
    return KernelColumns(rows_ND, lambda x: gram(x.double(), chosen, width), whiten @ root, root.shape[1], None, known, why)


def square_root(rows_ND: Tensor) -> Tensor:
    """P (D, R) with P P' = X'X and R the rank of X: coefficients of the linear kernel X X' have the length that C has in X P C.

    Solved in the smaller of the two spaces, columns (D, D) or rows (N, N).
    """
    if rows_ND.shape[1] <= len(rows_ND):
        return _root(rows_ND.T @ rows_ND)
    values, vectors = torch.linalg.eigh(_finite(rows_ND @ rows_ND.T))
    return rows_ND.T @ vectors[:, _above_rounding(values)]


def _root(products_DD: Tensor) -> Tensor:
    values, vectors = torch.linalg.eigh(_finite(products_DD))
    kept = _above_rounding(values)
    return vectors[:, kept] * values[kept].sqrt()


def _above_rounding(values: Tensor) -> Tensor:
    kept = values > values[-1].clamp_min(0) * len(values) * torch.finfo(values.dtype).eps
    if not bool(kept.any()):
        raise TlbenchError("all rows are zero: there is nothing to find components of; look at `prepare` and the data")
    return kept


def _finite(matrix: Tensor) -> Tensor:
    if not bool(torch.isfinite(matrix.sum())):  # one pass over a large kernel, nothing as large made beside it
        raise TlbenchError("the kernel of these rows overflows; scale the columns (prepare = ['zscore']) or the rows ('l2')")
    return matrix
