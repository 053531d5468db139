"""Linear models that start from another model: Gaussian priors centred at it, their posteriors, and tasks that share a mean."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from tlbench.solvers import nystrom

ROUNDS = 100
"""Fixed-point rounds of the evidence, at most."""
EVIDENCE_TOLERANCE = 30
"""L-BFGS steps of a fit that only helps to choose."""


def leave_one_out(
    x_ND: Tensor,
    y: Tensor,
    regression: bool,
    candidates: Sequence[float],
    fit: Callable[[float, Tensor], Callable[[Tensor], Tensor]],
    folds: int = 5,
) -> float:
    """The candidate with the least mean loss on rows left out (folds, or fewer rows one at a time); the first of equals.

    Args:
        x_ND: rows.
        y: classes (N,), the loss is cross-entropy; or columns (N, K), it is the squared error.
        regression: which of the two.
        candidates: what is tried, the one to take in doubt first.
        fit: (candidate, numbers of the rows to learn from) -> scorer.
        folds: parts, those of a class dealt out alike.
    """
    fold = nystrom.stratified_folds(x_ND, torch.zeros(len(y), device=y.device) if regression else y, min(folds, len(y)))
    losses = {}
    for candidate in candidates:
        total = 0.0
        for k in fold.unique().tolist():
            scores = fit(candidate, (fold != k).nonzero().squeeze(1))(x_ND[fold == k])
            right = y[fold == k]
            total += float((scores - right).square().sum() if regression else F.cross_entropy(scores, right, reduction="sum"))
        losses[candidate] = total if math.isfinite(total) else math.inf
    return min(candidates, key=losses.__getitem__)


def with_ones(x_ND: Tensor) -> Tensor:
    """A last column of ones (N, D + 1), in float64."""
    return torch.cat([x_ND.double(), x_ND.new_ones(len(x_ND), 1, dtype=torch.float64)], dim=1)


# --- a Gaussian posterior as the next prior ------------------------------------------------------------------------


def posterior(
    x_ND: Tensor, y_NK: Tensor, precision_DD: Tensor, mean_DK: Tensor, noise: float, power: float = 1.0
) -> tuple[Tensor, Tensor]:
    """Precision (D, D) and mean (D, K) of linear weights after rows of noise variance `noise`, their likelihood to a power.

    P' = P + power X'X / noise, and m' solves P' m' = P m + power X'y / noise.
    """
    after = precision_DD + power * (x_ND.T @ x_ND) / noise
    mean = torch.linalg.solve(after, precision_DD @ mean_DK + power * (x_ND.T @ y_NK) / noise)
    return after, mean


def evidence(x_ND: Tensor, y_NK: Tensor) -> tuple[float, float]:
    """Prior variance of the weights and noise variance at which centred rows are most likely (MacKay 1992, fixed point).

    The K columns share both. Each round sets tau2 = |m|^2 / g and noise = |y - Xm|^2 / (N - g), g the effective parameters.
    """
    x, y = x_ND - x_ND.mean(dim=0), y_NK - y_NK.mean(dim=0)
    left, values, _ = torch.linalg.svd(x, full_matrices=False)
    columns, rows = y.shape[1], len(y)
    seen = (left.T @ y).square().sum(dim=1)
    rest = float(y.square().sum() - seen.sum())
    squares = values.square()
    level = max(float(y.square().mean()), 1e-12)
    tau2, noise = level / max(float(squares.mean()) / rows, 1e-12), level
    for _ in range(ROUNDS):
        shrink = squares / (squares + noise / tau2)
        used = float(shrink.sum())
        size = float((seen * squares / (squares + noise / tau2).square()).sum())
        error = rest + float((seen * (1 - shrink).square()).sum())
        before = (tau2, noise)
        tau2 = max(size / (columns * max(used, 1e-9)), 1e-12)
        noise = max(error / (columns * max(rows - 1 - used, 1e-9)), 1e-9 * level)
        if abs(math.log(tau2 / before[0])) + abs(math.log(noise / before[1])) < 1e-6:
            break
    return tau2, noise


def log_evidence(x_ND: Tensor, y_NK: Tensor, precision_DD: Tensor, mean_DK: Tensor, noise: float) -> float:
    """log N(y; X m, noise I + X P^-1 X'), the sum over the K columns."""
    covariance = x_ND @ torch.linalg.solve(precision_DD, x_ND.T) + noise * torch.eye(len(x_ND)).to(x_ND)
    root = torch.linalg.cholesky((covariance + covariance.T) / 2)
    white = torch.linalg.solve_triangular(root, y_NK - x_ND @ mean_DK, upper=False)
    constant = root.diagonal().log().sum() + len(x_ND) / 2 * math.log(2 * math.pi)
    return float(-white.square().sum() / 2 - y_NK.shape[1] * constant)


# --- softmax regression with a Gaussian prior ----------------------------------------------------------------------


def laplace_curvature(x_ND: Tensor, coefficients_CD: Tensor, diagonal: bool) -> Tensor:
    """sum_i p_ic (1 - p_ic) x_i x_i' of each class (C, D, D), or its diagonal (C, D): the blocks of the softmax's Hessian."""
    share_NC = (x_ND @ coefficients_CD.T).softmax(dim=1)
    curve_NC = share_NC * (1 - share_NC)
    if diagonal:
        return curve_NC.T @ x_ND.square()
    return torch.stack([(x_ND * curve[:, None]).T @ x_ND for curve in curve_NC.T])


def most_likely(x_ND: Tensor, y_N: Tensor, mean_CD: Tensor, precision: Tensor, iterations: int = 200) -> Tensor:
    """Coefficients (C, D) that minimise sum CE + 1/2 sum_c (w_c - m_c)' P_c (w_c - m_c), by L-BFGS in the space of the rows.

    `precision` is (C, D, D), or (C, D) for diagonal matrices. What the rows add lies in the span of P_c^-1 x_i: N unknowns a
    class, whitened, however many columns there are.
    """
    if precision.ndim == 2:
        spread_CDN = x_ND.T / precision[:, :, None]
    else:
        spread_CDN = torch.cholesky_solve(x_ND.T.expand(len(mean_CD), -1, -1), torch.linalg.cholesky(precision))
    values, vectors = torch.linalg.eigh(x_ND @ spread_CDN)
    kept = values > 1e-12 * values[:, -1:]
    features_CNN = vectors * (values.clamp_min(0).sqrt() * kept)[:, None, :]
    start_NC = x_ND @ mean_CD.T
    free = torch.zeros(features_CNN.shape[0], len(x_ND)).to(x_ND).requires_grad_()
    optimizer = torch.optim.LBFGS([free], max_iter=iterations, tolerance_grad=1e-9, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        logits = start_NC + torch.einsum("cnr,cr->nc", features_CNN, free)
        loss = F.cross_entropy(logits, y_N, reduction="sum") + free.square().sum() / 2
        loss.backward()
        return loss

    with torch.enable_grad():
        optimizer.step(closure)
    inverse = torch.where(kept, values.clamp_min(1e-300).rsqrt(), 0.0)
    dual_CN = torch.einsum("cnr,cr->cn", vectors, inverse * free.detach())
    return mean_CD + torch.einsum("cdn,cn->cd", spread_CDN, dual_CN)


# --- tasks that share a mean ---------------------------------------------------------------------------------------


def mean_regularised(parts: Sequence[tuple[Tensor, Tensor]], common: float, own: float) -> tuple[Tensor, Tensor]:
    """w_0 (D, K) and v_t (T, D, K) that minimise sum_t |y_t - X_t (w_0 + v_t)|^2 + common |w_0|^2 + own sum_t |v_t|^2.

    `parts` holds X_t (N_t, D) and y_t (N_t, K). v_t is eliminated: one system of D unknowns, and one for each task (Evgeniou
    and Pontil 2004, sections 2 and 3). A task with fewer rows than columns is solved in its rows (Woodbury).
    """
    width = parts[0][0].shape[1]
    eye = torch.eye(width).to(parts[0][0])
    # G - G H G = own G H with H = (G + own I)^-1, and likewise for the right side
    reduced = [own * _inverse_times(x, x.T @ torch.cat([x, y], dim=1), own) for x, y in parts]
    together = torch.stack(reduced).sum(dim=0)
    w_0 = torch.linalg.solve(common * eye + together[:, :width], together[:, width:])
    own_parts = [_inverse_times(x, x.T @ (y - x @ w_0), own) for x, y in parts]
    return w_0, torch.stack(own_parts)


def _inverse_times(x_ND: Tensor, right_DK: Tensor, ridge: float) -> Tensor:
    """(X'X + ridge I)^-1 right."""
    rows, width = x_ND.shape
    if rows >= width:
        return torch.linalg.solve(x_ND.T @ x_ND + ridge * torch.eye(width).to(x_ND), right_DK)
    inner = torch.linalg.solve(x_ND @ x_ND.T + ridge * torch.eye(rows).to(x_ND), x_ND @ right_DK)
    return (right_DK - x_ND.T @ inner) / ridge
