"""Components in which two domains agree: the generalised eigenproblem of TCA, JDA, BDA and TJM.

Over coefficients C (R, K) of the columns of a design Z (N, R): maximise tr(C' Z'H Z C) subject to C'(G + F F')C = I, where
F = Z'E, the columns of E (N, Q) are contrasts between means whose squares are the mismatch of the domains, and G is a positive
diagonal penalty. F has few columns, so that (G + F F')^(-1/2) is a diagonal and a correction of rank Q, and the problem becomes
an ordinary symmetric one. It is solved densely, or by `eigenvectors.leading_eigenpairs` and its stopping rule.

Pan, Tsang, Kwok and Yang, Domain adaptation via transfer component analysis, IEEE Transactions on Neural Networks 2011.
https://doi.org/10.1109/TNN.2010.2091281
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from tlbench.errors import TlbenchError
from tlbench.solvers.eigenvectors import fix_signs, leading_eigenpairs
from tlbench.solvers.kernels.design import KernelDesign
from tlbench.solvers.softmax import Note

DENSE_COLUMNS = 1200
"""Up to so many columns, and 10 for each component, all eigenvectors are computed; else the leading ones, by iteration."""


def mean_contrast(ns: int, nt: int, like: Tensor) -> Tensor:
    """e_0 (N, 1): 1 / N_s on the source samples, -1 / N_t on the target samples."""
    return torch.cat([like.new_full((ns, 1), 1 / ns), like.new_full((nt, 1), -1 / nt)])


def class_contrasts(y_source: Tensor, y_target: Tensor, classes: int, like: Tensor) -> Tensor:
    """e_c (N, C): 1 / N_sc on source samples of class c, -1 / N_tc on target samples of pseudo-label c; an empty class is 0.

    Args:
        y_source: source classes (N_s,).
        y_target: pseudo-labels of the target (N_t,).
        classes: C.
        like: a tensor whose type and device the result has.
    """
    source = F.one_hot(y_source, classes).to(like)
    target = F.one_hot(y_target, classes).to(like)
    return torch.cat([source / source.sum(dim=0).clamp_min(1), -target / target.sum(dim=0).clamp_min(1)])


def normalize_contrasts(contrasts_NQ: Tensor) -> Tensor:
    """E scaled such that M = E E' has Frobenius norm 1, which is that of the small matrix E'E."""
    return contrasts_NQ / (contrasts_NQ.T @ contrasts_NQ).norm().sqrt().clamp_min(torch.finfo(contrasts_NQ.dtype).tiny)


class Scatter:
    """Z'HZ of a design, H the centring matrix: a matrix where it is small enough, else a product with vectors."""

    def __init__(self, design: KernelDesign) -> None:
        self.width = design.width
        self.dense: Tensor | None = None
        self._cached = design.cached
        if design.cached is None or design.width <= max(DENSE_COLUMNS, len(design.cached) // 4):
            like = design.samples_ND
            total = design.transpose_matmul(like.new_ones(len(like), 1)).squeeze(1)
            square = design.inner_products
            if square is None:
                square = sum((chunk.T @ chunk for chunk in design.chunks()), start=like.new_zeros(()))
            self.dense = square - torch.outer(total, total) / len(like)

    def __call__(self, vectors_RK: Tensor) -> Tensor:
        """Z'H Z vectors: (R, K)."""
        if self.dense is not None:
            return self.dense @ vectors_RK
        assert self._cached is not None
        mapped = self._cached @ vectors_RK
        return self._cached.T @ (mapped - mapped.mean(dim=0))


def leading_components(
    scatter: Scatter,
    mismatch_RQ: Tensor,
    penalty: Tensor | float,
    count: int,
    *,
    tolerance: float = 1e-8,
    start: Tensor | None = None,
    note: Note | None = None,
) -> tuple[Tensor, Tensor]:
    """The leading generalised eigenvectors of (Z'HZ, G + F F').

    Args:
        scatter: Z'HZ.
        mismatch_RQ: F = Z'E.
        penalty: the diagonal of G (R,), or one number for all of it.
        count: K; fewer come back where there are fewer columns.
        tolerance: of the iteration, for each component relative to its own eigenvalue.
        start: coefficients (R, K) to start the iteration from.
        note: is told where the iteration ends above the tolerance.

    Returns:
        Eigenvalues (K,), the largest first, and coefficients C (R, K) with C'(G + F F')C = I and signs as in `fix_signs`.
    """
    root = torch.as_tensor(penalty, dtype=mismatch_RQ.dtype, device=mismatch_RQ.device).expand(scatter.width).sqrt()[:, None]
    # G + F F' = G^(1/2) (I + f f') G^(1/2), and (I + f f')^(-1/2) = I - Q (1 - (1 + s^2)^(-1/2)) Q' with f = Q s R'
    left, singular, _ = torch.linalg.svd(mismatch_RQ / root, full_matrices=False)
    shrink = 1 - (1 + singular.square()).rsqrt()

    def inverse_root(x: Tensor) -> Tensor:
        return x - left @ (shrink[:, None] * (left.T @ x))

    if scatter.dense is not None and scatter.width <= min(DENSE_COLUMNS, max(200, 10 * count)):
        inner = inverse_root(inverse_root(scatter.dense / root / root.T).T)
        values, vectors = torch.linalg.eigh((inner + inner.T) / 2)
        values, vectors = values[-count:].flip(0), vectors[:, -count:].flip(1)
    else:
        begin = None if start is None else root * start
        values, vectors = leading_eigenpairs(
            lambda x: inverse_root(scatter(inverse_root(x) / root) / root),
            scatter.width,
            count,
            like=mismatch_RQ,
            tolerance=tolerance,
            start=begin,
            note=note,
        )
    return values, fix_signs(inverse_root(vectors) / root)


def scale_components(values_K: Tensor, coefficients_RK: Tensor, scale: str, note: Note | None = None) -> Tensor:
    """Coefficients of unit length (`coefficients`), or with components of unit scatter, C'Z'HZ C = I (`scatter`).

    Components without scatter are left out: they are the same for every sample, or hidden by columns of far larger scale.

    Args:
        values_K: eigenvalues (K,), the largest first.
        coefficients_RK: their coefficients (R, K).
        scale: `coefficients` or `scatter`.
        note: is told of components that are left out.

    Raises:
        TlbenchError: No component has any scatter.
    """
    retained = values_K > values_K[0] * len(values_K) * torch.finfo(values_K.dtype).eps
    if not bool(retained.any()):
        raise TlbenchError("All samples are identical, so that there are no components to find. Check the data and `prepare`.")
    if note is not None and not bool(retained.all()):
        note(f"{int((~retained).sum())} of {len(retained)} components have a scatter below rounding and are left out.")
    values, coefficients = values_K[retained], coefficients_RK[:, retained]
    return coefficients / (coefficients.norm(dim=0) if scale == "coefficients" else values.sqrt())
