"""Kernel mean matching: quadratic programs over a box and a band, the kernel as a matrix or as features of landmarks."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from tlbench.solvers import kernels, nystrom

Apply = Callable[[Tensor], Tensor]
"""A symmetric positive semidefinite matrix as what it does to a vector (N,)."""
SINGLE = 1000
"""Rows beyond which the kernel is kept in float32: a step is the reading of it, and its rounding (1e-7) is far below what an
objective is asked for. All else stays in the precision of the rows."""
REACH = 1e-12
"""Mean kernel between a source row and the target, below which the two have nothing to do with each other."""


def project(v_N: Tensor, weight_N: Tensor, upper: float, low: float, high: float) -> Tensor:
    """The nearest w with 0 <= w_i <= upper and low <= sum_i weight_i w_i <= high, for positive weights.

    It is clip(v - mu weight, 0, upper) for a shift mu at which the sum meets the bound that is broken: the sum falls in
    straight pieces between the 2N points where a row enters or leaves the box.
    """
    inside = v_N.clamp(0, upper)
    total = float(weight_N @ inside)
    if low <= total <= high:
        return inside
    bound = low if total < low else high
    points, order = torch.cat([(v_N - upper) / weight_N, v_N / weight_N]).sort()
    slopes = torch.cat([-weight_N.square(), weight_N.square()])[order].cumsum(0)
    sums = upper * weight_N.sum() + torch.cat([v_N.new_zeros(1), (slopes[:-1] * points.diff()).cumsum(0)])
    piece = int((sums > bound).sum().clamp(1, len(points) - 1)) - 1
    slope = slopes[piece]
    shift = points[piece] + ((bound - sums[piece]) / slope if slope < 0 else 0.0)
    w = (v_N - shift * weight_N).clamp(0, upper)
    # one Newton step takes off what the long sums lost to rounding
    moving = ((w > 0) & (w < upper)) * weight_N.square()
    if float(moving.sum()) > 0:
        w = (v_N - (shift + (weight_N @ w - bound) / moving.sum()) * weight_N).clamp(0, upper)
    return w


def best_corner(slope_N: Tensor, weight_N: Tensor, upper: float, low: float, high: float) -> Tensor:
    """The point of box and band at which slope' w is least: rows by slope per weight, filled in turn."""
    order = torch.argsort(slope_N / weight_N)
    room = upper * weight_N[order].cumsum(0)
    falls = float((upper * weight_N)[slope_N < 0].sum())
    filled = (min(max(falls, low), high) - (room - upper * weight_N[order])).clamp(min=0) / weight_N[order]
    return torch.empty_like(filled).index_copy_(0, order, filled.clamp_max(upper))


def minimize(
    apply: Apply,
    linear_N: Tensor,
    weight_N: Tensor,
    *,
    upper: float,
    low: float,
    high: float,
    tolerance: float = 1e-6,
    steps: int = 2000,
) -> tuple[Tensor, float]:
    """min_w 1/2 w'Kw - linear'w over box and band (see `project`), from w = 1.

    Accelerated projected gradient with restarts (O'Donoghue and Candes 2015). It ends where the gap to the least value,
    which is at most gradient'(w - corner), is below `tolerance` times (1 + |value|).

    Returns:
        w (N,), and the bound on the gap at which it stopped, relative to 1 + |value|.
    """
    step = 1 / largest_eigenvalue(apply, linear_N)
    w = project(torch.ones_like(linear_N), weight_N, upper, low, high)
    image = apply(w)
    ahead, ahead_image, momentum, gap = w, image, 1.0, float("inf")
    for number in range(steps):
        if number % 10 == 0:
            slope = image - linear_N
            value = float(0.5 * (w @ image) - linear_N @ w)
            gap = float(slope @ (w - best_corner(slope, weight_N, upper, low, high))) / (1 + abs(value))
            if gap <= tolerance:
                break
        new = project(ahead - step * (ahead_image - linear_N), weight_N, upper, low, high)
        new_image = apply(new)
        if float((ahead - new) @ (new - w)) > 0:  # the momentum points uphill
            momentum = 1.0
        larger = (1 + (1 + 4 * momentum**2) ** 0.5) / 2
        share = (momentum - 1) / larger
        ahead, ahead_image = new + share * (new - w), new_image + share * (new_image - image)
        w, image, momentum = new, new_image, larger
    return w, gap


def largest_eigenvalue(apply: Apply, like_N: Tensor, rounds: int = 30) -> float:
    """By power iteration from 1 (a kernel matrix has no negative entry), a hundredth above what it finds."""
    vector, value = torch.ones_like(like_N), 0.0
    for _ in range(rounds):
        image = apply(vector)
        value = float(image.norm() / vector.norm())
        if value == 0:
            return 1.0
        vector = image / image.norm()
    return 1.01 * value


def kernel_and_mean(source_ND: Tensor, target_MD: Tensor, gamma: float, landmark_rows: int | None) -> tuple[Apply, Tensor]:
    """The source's kernel matrix K (N, N), and kappa (N,) = (N / M) k(source, target) 1.

    With `landmark_rows` both go through the features of so many pooled rows (Nystrom): N x R numbers instead of N x N.
    """
    ratio = len(source_ND) / len(target_MD)
    kind = torch.float32 if len(source_ND) > SINGLE else source_ND.dtype
    if landmark_rows is None:
        rows = nystrom.blocks(source_ND, len(source_ND))
        matrix = torch.cat([kernels.gram(part, source_ND, gamma).to(kind) for part in rows])
        sums = [kernels.gram(part, target_MD, gamma).sum(dim=1) for part in nystrom.blocks(source_ND, len(target_MD))]
        return lambda w: (matrix @ w.to(kind)).to(w.dtype), ratio * torch.cat(sums)
    features = nystrom.nystrom(nystrom.random_landmarks(torch.cat([source_ND, target_MD]), landmark_rows), gamma)
    source = torch.cat([features(part).to(kind) for part in nystrom.blocks(source_ND, landmark_rows)])
    mean = torch.stack([features(part).sum(dim=0) for part in nystrom.blocks(target_MD, landmark_rows)]).sum(dim=0)
    kappa = (source @ (ratio * mean).to(kind)).to(source_ND.dtype)
    return lambda w: (source @ (w.to(kind) @ source)).to(w.dtype), kappa


def smoother(y_NK: Tensor, ridge: float, landmark_rows: int) -> Apply:
    """L (L + ridge N I)^-1, L the Gaussian kernel of the columns y by the median rule, through so many rows (Nystrom)."""
    chosen = nystrom.random_landmarks(y_NK, landmark_rows)
    features = nystrom.nystrom(chosen, kernels.median_gamma(chosen))(y_NK)
    inner = features.T @ features + ridge * len(y_NK) * torch.eye(features.shape[1]).to(features)
    return lambda w: features @ torch.linalg.solve(inner, features.T @ w)
