"""Kernel mean matching: quadratic programs over a box and a band, the kernel as a matrix or through Nystrom features.

The program min_w 1/2 w'Kw - kappa'w, 0 <= w_i <= upper, low <= sum_i weight_i w_i <= high, is solved by an accelerated
projected gradient with restarts (O'Donoghue and Candès, Adaptive restart for accelerated gradient schemes, Foundations of
Computational Mathematics 2015, https://arxiv.org/abs/1204.3982). It stops where the Frank-Wolfe gap (Jaggi, ICML 2013,
https://proceedings.mlr.press/v28/jaggi13.html), which bounds the distance to the least value, is below a tolerance, or after a
number of steps.

Huang, Smola, Gretton, Borgwardt and Schölkopf, Correcting sample selection bias by unlabeled data, NIPS 2006.
https://proceedings.neurips.cc/paper/2006/hash/a2186aa7c086b46ad4e8bf81e2a3a19b-Abstract.html
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from tlbench.solvers import sampling
from tlbench.solvers.kernels import gaussian, nystrom

LinearOperator = Callable[[Tensor], Tensor]
"""A symmetric positive semidefinite matrix (N, N), as its product with a vector (N,)."""
FLOAT32_SAMPLES = 1000
"""Samples beyond which the kernel is stored in float32: a step is bound by reading it, and its rounding (1e-7) is far below the
tolerance of the objective. All else stays in the precision of the samples."""
MIN_MEAN_KERNEL = 1e-12
"""Mean kernel between a source sample and the target below which the two domains do not overlap."""


def project_to_box_and_band(v_N: Tensor, weight_N: Tensor, upper: float, low: float, high: float) -> Tensor:
    """The nearest w (N,) to v with 0 <= w_i <= upper and low <= sum_i weight_i w_i <= high.

    It is clip(v - mu weight, 0, upper) for a shift mu at which the sum meets the violated bound: as a function of mu the sum
    falls piecewise linearly between the 2N points where a coordinate enters or leaves the box.

    Args:
        v_N: the point (N,) to project.
        weight_N: positive weights (N,) of the sum.
        upper: of each coordinate.
        low: of the sum, at least.
        high: of the sum, at most.
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
    # one Newton step removes what the long sums lost to rounding
    free = ((w > 0) & (w < upper)) * weight_N.square()
    if float(free.sum()) > 0:
        w = (v_N - (shift + (weight_N @ w - bound) / free.sum()) * weight_N).clamp(0, upper)
    return w


def linear_minimizer(slope_N: Tensor, weight_N: Tensor, upper: float, low: float, high: float) -> Tensor:
    """The point w (N,) of box and band at which slope' w is least: coordinates are filled in order of slope per weight.

    Args:
        slope_N: the linear function (N,).
        weight_N: positive weights (N,) of the sum.
        upper: of each coordinate.
        low: of the sum, at least.
        high: of the sum, at most.
    """
    order = torch.argsort(slope_N / weight_N)
    capacity = upper * weight_N[order].cumsum(0)
    wanted_sum = float((upper * weight_N)[slope_N < 0].sum())
    filled = (min(max(wanted_sum, low), high) - (capacity - upper * weight_N[order])).clamp(min=0) / weight_N[order]
    return torch.empty_like(filled).index_copy_(0, order, filled.clamp_max(upper))


def minimize_quadratic(
    apply: LinearOperator,
    linear_N: Tensor,
    weight_N: Tensor,
    *,
    upper: float,
    low: float,
    high: float,
    tolerance: float = 1e-6,
    steps: int = 2000,
) -> tuple[Tensor, float]:
    """Minimise 1/2 w'Kw - linear'w over box and band, from w = 1.

    Args:
        apply: K.
        linear_N: kappa (N,).
        weight_N: positive weights (N,) of the sum.
        upper: of each coordinate.
        low: of the sum, at least.
        high: of the sum, at most.
        tolerance: stop where the gap to the least value, at most gradient'(w - corner), is below it times 1 + |value|.
        steps: at most.

    Returns:
        w (N,), and the bound on the gap at which the iteration stopped, relative to 1 + |value|.
    """
    step = 1 / largest_eigenvalue(apply, linear_N)
    w = project_to_box_and_band(torch.ones_like(linear_N), weight_N, upper, low, high)
    image = apply(w)
    ahead, ahead_image, momentum, gap = w, image, 1.0, float("inf")
    for number in range(steps):
        if number % 10 == 0:
            slope = image - linear_N
            value = float(0.5 * (w @ image) - linear_N @ w)
            gap = float(slope @ (w - linear_minimizer(slope, weight_N, upper, low, high))) / (1 + abs(value))
            if gap <= tolerance:
                break
        new = project_to_box_and_band(ahead - step * (ahead_image - linear_N), weight_N, upper, low, high)
        new_image = apply(new)
        if float((ahead - new) @ (new - w)) > 0:  # the momentum points uphill
            momentum = 1.0
        larger = (1 + (1 + 4 * momentum**2) ** 0.5) / 2
        share = (momentum - 1) / larger
        ahead, ahead_image = new + share * (new - w), new_image + share * (new_image - image)
        w, image, momentum = new, new_image, larger
    return w, gap


def largest_eigenvalue(apply: LinearOperator, like_N: Tensor, rounds: int = 30) -> float:
    """An upper estimate by power iteration from 1 (a kernel matrix has no negative entry), plus one per cent."""
    vector, value = torch.ones_like(like_N), 0.0
    for _ in range(rounds):
        image = apply(vector)
        value = float(image.norm() / vector.norm())
        if value == 0:
            return 1.0
        vector = image / image.norm()
    return 1.01 * value


def kernel_and_mean(source_ND: Tensor, target_MD: Tensor, gamma: float, landmarks: int | None) -> tuple[LinearOperator, Tensor]:
    """The source's kernel matrix K (N, N), and kappa (N,) = (N / M) k(source, target) 1.

    Args:
        source_ND: source samples (N, D).
        target_MD: target samples (M, D).
        gamma: kernel exp(-gamma d^2).
        landmarks: pooled samples whose Nystrom features replace the kernel, N x R numbers instead of N x N; None: exact.
    """
    ratio = len(source_ND) / len(target_MD)
    dtype = torch.float32 if len(source_ND) > FLOAT32_SAMPLES else source_ND.dtype
    if landmarks is None:
        pieces = sampling.chunks(source_ND, len(source_ND))
        matrix = torch.cat([gaussian.gram(chunk, source_ND, gamma).to(dtype) for chunk in pieces])
        sums = [gaussian.gram(chunk, target_MD, gamma).sum(dim=1) for chunk in sampling.chunks(source_ND, len(target_MD))]
        return lambda w: (matrix @ w.to(dtype)).to(w.dtype), ratio * torch.cat(sums)
    features = nystrom.nystrom_features(sampling.random_subset(torch.cat([source_ND, target_MD]), landmarks), gamma)
    source = torch.cat([features(chunk).to(dtype) for chunk in sampling.chunks(source_ND, landmarks)])
    mean = torch.stack([features(chunk).sum(dim=0) for chunk in sampling.chunks(target_MD, landmarks)]).sum(dim=0)
    kappa = (source @ (ratio * mean).to(dtype)).to(source_ND.dtype)
    return lambda w: (source @ (w.to(dtype) @ source)).to(w.dtype), kappa


def kernel_smoother(y_NK: Tensor, ridge: float, landmarks: int) -> LinearOperator:
    """L (L + ridge N I)^-1, L the Gaussian kernel of the columns y (N, K) by the median rule, through Nystrom landmarks."""
    chosen = sampling.random_subset(y_NK, landmarks)
    features = nystrom.nystrom_features(chosen, gaussian.median_gamma(chosen))(y_NK)
    inner = features.T @ features + ridge * len(y_NK) * torch.eye(features.shape[1]).to(features)
    return lambda w: features @ torch.linalg.solve(inner, features.T @ w)


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
