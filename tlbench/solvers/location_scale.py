"""Scale and place of source rows by their labels, such that the rows look like the target's (Zhang et al. 2013)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from tlbench.solvers import kernels
from tlbench.solvers import nystrom as nearby


@dataclass(frozen=True)
class Moved:
    """The mapped rows (N, D), the objective before and after, and what was approximated."""

    samples: Tensor
    begin: float
    end: float
    approximated: str


def smoother(y_NK: Tensor, count: int = 20) -> Tensor:
    """The leading directions (N, R) of a Gaussian kernel on the labels, of mean square 1 times their eigenvalue's share."""
    y = y_NK.double()
    values, vectors = torch.linalg.eigh(kernels.gram(y, y, nearby.median_gamma(y, y))) if len(y) <= 2000 else _few(y)
    kept = values[-count:] > 1e-10 * values[-1]
    return vectors[:, -count:][:, kept] * (values[-count:][kept] / values[-1]).sqrt() * len(y) ** 0.5


def _few(y: Tensor) -> tuple[Tensor, Tensor]:
    features = nearby.nystrom(nearby.random_landmarks(y, 200), nearby.median_gamma(y, y))(y)
    values, turns = torch.linalg.eigh(features.T @ features)
    return values, features @ turns / values.clamp_min(torch.finfo(values.dtype).tiny).sqrt()


def map_source(
    source_ND: Tensor,
    target_MD: Tensor,
    smooth_NR: Tensor,
    *,
    gamma: float | None,
    penalty: float,
    iterations: int,
    landmarks: int,
) -> Moved:
    """Minimises MMD^2 of (1 + R G) x + R H and the target + penalty (|R G|^2 + |R H|^2) / N over G and H, from 0, by L-BFGS."""
    rows = torch.cat([source_ND, target_MD])
    width = kernels.median_gamma(nearby.random_landmarks(rows, 1000)) if gamma is None else gamma
    exact = max(len(source_ND), len(target_MD)) <= landmarks
    features = None if exact else nearby.nystrom(nearby.random_landmarks(rows, landmarks), width)
    aim = None if features is None else features(target_MD).mean(dim=0)
    fixed = kernels.gram(target_MD, target_MD, width).mean() if exact else 0.0
    change = source_ND.new_zeros((2, smooth_NR.shape[1], source_ND.shape[1]), requires_grad=True)
    optimizer = torch.optim.LBFGS([change], max_iter=iterations, tolerance_change=1e-9, line_search_fn="strong_wolfe")

    def move() -> tuple[Tensor, Tensor]:
        scale, place = smooth_NR @ change[0], smooth_NR @ change[1]
        return (1 + scale) * source_ND + place, (scale.square().sum() + place.square().sum()) / len(source_ND)

    def value() -> Tensor:
        moved, size = move()
        if features is not None:
            assert aim is not None
            return (features(moved).mean(dim=0) - aim).square().sum() + penalty * size
        within = kernels.gram(moved, moved, width).mean()
        return within + fixed - 2 * kernels.gram(moved, target_MD, width).mean() + penalty * size

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = value()
        loss.backward()
        return loss

    with torch.enable_grad():
        begin = float(value().detach())
        optimizer.step(closure)
        end = float(value().detach())
    if not end <= begin:  # also where the search left the numbers
        return Moved(source_ND, begin, begin, "; the search failed, rows as they were")
    through = "" if exact else f", kernel through {landmarks} landmarks (Nystrom)"
    return Moved(move()[0].detach(), begin, end, through)
