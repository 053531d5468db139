"""The kernel of all samples as a factorised design: columns Z (N, R) in which a kernel method's problem is smallest.

Methods that look for coefficients of kernel functions (transfer components and what is built on them) solve for coefficients
of the columns of Z instead. The columns are chosen such that a coefficient vector has the length that it has in the dual
problem, so that penalties on the length are unchanged. For the Gaussian kernel of many samples Z is the Nystrom approximation.

Williams and Seeger, Using the Nystrom method to speed up kernel machines, NIPS 2000.
https://papers.nips.cc/paper/2000/hash/19de10adbaa1b2ee13f77f679fa1483a-Abstract.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from tlbench.errors import TlbenchError
from tlbench.solvers import sampling
from tlbench.solvers.kernels.gaussian import gram, median_gamma

Kernel = Literal["primal", "linear", "rbf"]
CHUNK = 4096
"""Samples that are mapped at a time."""
MAX_CACHED_NUMBERS = 100_000_000
"""Numbers up to which Z is stored; a larger Z is computed again in chunks wherever it is needed."""


@dataclass(frozen=True)
class KernelDesign:
    """Columns Z (N, R) of the pooled samples, and the same columns for any samples."""

    samples_ND: Tensor
    base: Callable[[Tensor], Tensor]
    """Samples (B, D) -> base columns (B, R0), float64."""
    factor: Tensor | None
    """Z is the base columns times this (R0, R); None: Z is the base. A product with few vectors multiplies the factor first."""
    width: int
    """R."""
    cached: Tensor | None = None
    """Z where it is stored; for the exact Gaussian kernel it is the kernel matrix."""
    inner_products: Tensor | None = None
    """Z'Z (R, R) where it is known already."""
    approximation: str | None = None
    """A sentence for the record where Z is approximate."""

    def chunks(self) -> Iterator[Tensor]:
        """Z in chunks of samples, in order."""
        if self.cached is None:
            return (self.columns(chunk) for chunk in self.samples_ND.split(CHUNK))
        return iter(self.cached.split(CHUNK))

    def columns(self, x: Tensor) -> Tensor:
        """The columns of any samples: (B, D) -> (B, R), float64."""
        base = self.base(x)
        return base if self.factor is None else base @ self.factor

    def transpose_matmul(self, weights_NQ: Tensor) -> Tensor:
        """Z' weights: (R, Q)."""
        if self.cached is not None:
            return self.cached.T @ weights_NQ
        pairs = zip(self.samples_ND.split(CHUNK), weights_NQ.split(CHUNK), strict=True)
        total = torch.stack([self.base(chunk).T @ weight for chunk, weight in pairs]).sum(dim=0)
        return total if self.factor is None else self.factor.T @ total

    def matmul(self, coefficients_RK: Tensor) -> Tensor:
        """Z coefficients: (N, K)."""
        if self.cached is not None:
            return self.cached @ coefficients_RK
        weights = coefficients_RK if self.factor is None else self.factor @ coefficients_RK
        return torch.cat([self.base(chunk) @ weights for chunk in self.samples_ND.split(CHUNK)])


def kernel_design(
    samples_ND: Tensor, kernel: Kernel, *, gamma: float | None = None, landmarks: int = 1000, exact: int = 10_000
) -> KernelDesign:
    """The design of a kernel.

    Args:
        samples_ND: the pooled samples (N, D), float64.
        kernel: `primal`, whose columns are those of the samples; `linear`, whose coefficients are those of the N samples in
            the dual; `rbf`, the same for the Gaussian kernel.
        gamma: of the Gaussian kernel exp(-gamma |x - y|^2); the median rule where it is None.
        landmarks: number of landmarks of the Nystrom form, drawn by `sampling.random_subset`.
        exact: largest N for which the Gaussian kernel is exact; more samples take the Nystrom form.

    Raises:
        TlbenchError: The kernel of the samples is not finite, or all samples are zero.
    """
    if kernel == "primal":
        return KernelDesign(samples_ND, lambda x: x.double(), None, samples_ND.shape[1], cached=samples_ND)
    if kernel == "linear":
        root = linear_kernel_root(samples_ND)
        cached = samples_ND @ root if len(samples_ND) * root.shape[1] <= MAX_CACHED_NUMBERS else None
        return KernelDesign(samples_ND, lambda x: x.double(), root, root.shape[1], cached)
    width = median_gamma(sampling.random_subset(samples_ND, 1000)) if gamma is None else gamma
    if len(samples_ND) <= exact:
        cached = _require_finite(gram(samples_ND, samples_ND, width))
        return KernelDesign(samples_ND, lambda x: gram(x.double(), samples_ND, width), None, len(samples_ND), cached)
    return _nystrom_design(samples_ND, sampling.random_subset(samples_ND, landmarks), width)


def _nystrom_design(samples_ND: Tensor, landmarks_MD: Tensor, gamma: float) -> KernelDesign:
    # K_nm K_mm^(-1/2) has the Nystrom kernel as its inner products; the linear form of these columns is the design
    values, vectors = torch.linalg.eigh(_require_finite(gram(landmarks_MD, landmarks_MD, gamma)))
    retained = values > 1e-10 * values[-1]
    whitening = vectors[:, retained] / values[retained].sqrt()
    kernel_chunks = (gram(chunk, landmarks_MD, gamma) for chunk in samples_ND.split(CHUNK))
    products = whitening.T @ sum((chunk.T @ chunk for chunk in kernel_chunks), start=samples_ND.new_zeros(())) @ whitening
    root = _matrix_root(products)
    return KernelDesign(
        samples_ND,
        lambda x: gram(x.double(), landmarks_MD, gamma),
        whitening @ root,
        root.shape[1],
        inner_products=root.T @ products @ root,
        approximation=f"The Gaussian kernel of {len(samples_ND)} samples goes through {len(landmarks_MD)} landmarks (Nystrom).",
    )


def linear_kernel_root(x_ND: Tensor) -> Tensor:
    """P (D, R) with P P' = X'X, R the rank of X: coefficients C of X P are as long as those of the linear kernel X X'.

    The eigenproblem is solved in the smaller of the two spaces, columns (D, D) or samples (N, N).
    """
    if x_ND.shape[1] <= len(x_ND):
        return _matrix_root(x_ND.T @ x_ND)
    values, vectors = torch.linalg.eigh(_require_finite(x_ND @ x_ND.T))
    return x_ND.T @ vectors[:, _above_rounding(values)]


def _matrix_root(products_DD: Tensor) -> Tensor:
    values, vectors = torch.linalg.eigh(_require_finite(products_DD))
    retained = _above_rounding(values)
    return vectors[:, retained] * values[retained].sqrt()


def _above_rounding(values: Tensor) -> Tensor:
    retained = values > values[-1].clamp_min(0) * len(values) * torch.finfo(values.dtype).eps
    if not bool(retained.any()):
        raise TlbenchError("All samples are zero, so that there are no components to find. Check the data and `prepare`.")
    return retained


def _require_finite(matrix: Tensor) -> Tensor:
    if not bool(torch.isfinite(matrix.sum())):  # the sum needs no second matrix of the size of the kernel
        raise TlbenchError(
            "The kernel of these samples overflows. Scale the columns (prepare = ['zscore']) or the samples (prepare = ['l2'])."
        )
    return matrix
