"""Kernel mean matching: quadratic programs over a box and a band, the kernel as a matrix or through Nystrom features.

`quadratic_program` solves them, and its docstring has the stopping rule.

Huang, Smola, Gretton, Borgwardt and Schölkopf, Correcting sample selection bias by unlabeled data, NIPS 2006.
https://proceedings.neurips.cc/paper/2006/hash/a2186aa7c086b46ad4e8bf81e2a3a19b-Abstract.html
"""

from __future__ import annotations

import torch
from torch import Tensor

from tlbench.solvers import sampling
from tlbench.solvers.kernels import gaussian, nystrom
from tlbench.solvers.reweighting.quadratic_program import SemidefiniteMatrix

MIN_MEAN_KERNEL = 1e-12
"""Mean kernel between a source sample and the target below which the two domains do not overlap."""


def kernel_and_mean(
    source_ND: Tensor, target_MD: Tensor, gamma: float, landmarks: int | None
) -> tuple[SemidefiniteMatrix, Tensor]:
    """The source's kernel matrix K (N, N), and kappa (N,) = (N / M) k(source, target) 1.

    Args:
        source_ND: source samples (N, D).
        target_MD: target samples (M, D).
        gamma: kernel exp(-gamma d^2).
        landmarks: pooled samples whose Nystrom features replace the kernel, N x R numbers instead of N x N; None: exact.
    """
    ratio = len(source_ND) / len(target_MD)
    if landmarks is None:
        pieces = sampling.chunks(source_ND, len(source_ND))
        matrix = torch.cat([gaussian.gram(chunk, source_ND, gamma) for chunk in pieces])
        sums = [gaussian.gram(chunk, target_MD, gamma).sum(dim=1) for chunk in sampling.chunks(source_ND, len(target_MD))]
        return SemidefiniteMatrix(dense=matrix), ratio * torch.cat(sums)
    features = nystrom.nystrom_features(sampling.random_subset(torch.cat([source_ND, target_MD]), landmarks), gamma)
    source = torch.cat([features(chunk) for chunk in sampling.chunks(source_ND, landmarks)])
    mean = torch.stack([features(chunk).sum(dim=0) for chunk in sampling.chunks(target_MD, landmarks)]).sum(dim=0)
    return SemidefiniteMatrix(factor=source), source @ (ratio * mean)


def smoothed(
    matrix: SemidefiniteMatrix, kappa_N: Tensor, y_NK: Tensor, ridge: float, landmarks: int
) -> tuple[SemidefiniteMatrix, Tensor]:
    """S K S and S kappa with S = L (L + ridge N I)^-1, L the Gaussian kernel of the columns by the median rule.

    Args:
        matrix: K.
        kappa_N: kappa (N,).
        y_NK: the columns (N, K).
        ridge: of the smoother, per sample.
        landmarks: L goes through so many (Nystrom), and S K S has as many columns.
    """
    chosen = sampling.random_subset(y_NK, landmarks)
    features = nystrom.nystrom_features(chosen, gaussian.median_gamma(chosen))(y_NK)
    inner = features.T @ features + ridge * len(y_NK) * torch.eye(features.shape[1]).to(features)
    if matrix.factor is None:
        assert matrix.dense is not None
        middle = features.T @ matrix.dense @ features
    else:
        projected = features.T @ matrix.factor
        middle = projected @ projected.T
    inverse = torch.linalg.inv(inner)
    values, vectors = torch.linalg.eigh(inverse @ (middle + middle.T) @ inverse / 2)
    factor = features @ (vectors * values.clamp_min(0).sqrt())
    return SemidefiniteMatrix(factor=factor), features @ (inverse @ (features.T @ kappa_N))


def remarks(kappa_N: Tensor, landmarks: int | None) -> list[str]:
    """Sentences for the record: whether the kernel is approximate, and whether the domains overlap at all.

    Args:
        kappa_N: (N / M) k(source, target) 1, from `kernel_and_mean`.
        landmarks: number of landmarks of the kernel; None: it is exact.
    """
    sentences = []
    if landmarks is not None:
        sentences.append(f"The kernel of {len(kappa_N)} source samples goes through {landmarks} landmarks (Nystrom).")
    if not float(kappa_N.max()) > MIN_MEAN_KERNEL * len(kappa_N):
        sentences.append("No target sample is within the kernel's reach of a source sample: the weights are uninformative.")
    return sentences
