"""A location-scale map of the source samples by their labels, under which they match the target in MMD.

The objective is minimised by L-BFGS over unknowns of one scale, each of which moves the samples by about a kernel's width. It
stops where no entry of the gradient exceeds `TOLERANCE` times the objective at the start, or after a number of iterations. The
problem is not convex: the map is at a stationary point.

Zhang, Schölkopf, Muandet and Wang, Domain adaptation under target and conditional shift, ICML 2013, section 4.
https://proceedings.mlr.press/v28/zhang13d.html
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from tlbench.solvers import sampling
from tlbench.solvers.kernels import gaussian, nystrom

TOLERANCE = 1e-5
"""Of the largest entry of the gradient, as a share of the objective at the start."""
ROUNDING = 1e-12
"""Gradient that counts as none: MMD^2 lies between 0 and 2."""


@dataclass(frozen=True)
class LocationScaleMap:
    """The mapped source samples (N, D), the objective before and after the fit, and remarks for the record."""

    samples: Tensor
    initial_objective: float
    final_objective: float
    remarks: tuple[str, ...]


def label_basis(y_NK: Tensor, count: int = 20) -> Tensor:
    """The leading directions (N, R) of a Gaussian kernel on the labels, each of mean square 1 times its relative eigenvalue."""
    y = y_NK.double()
    if len(y) <= 2000:
        values, vectors = torch.linalg.eigh(gaussian.gram(y, y, nystrom.pooled_median_gamma(y, y)))
    else:
        values, vectors = _nystrom_spectrum(y)
    retained = values[-count:] > 1e-10 * values[-1]
    return vectors[:, -count:][:, retained] * (values[-count:][retained] / values[-1]).sqrt() * len(y) ** 0.5


def _nystrom_spectrum(y: Tensor) -> tuple[Tensor, Tensor]:
    features = nystrom.nystrom_features(sampling.random_subset(y, 200), nystrom.pooled_median_gamma(y, y))(y)
    values, rotation = torch.linalg.eigh(features.T @ features)
    return values, features @ rotation / values.clamp_min(torch.finfo(values.dtype).tiny).sqrt()


def fit_location_scale(
    source_ND: Tensor,
    target_MD: Tensor,
    basis_NR: Tensor,
    *,
    gamma: float | None,
    penalty: float,
    iterations: int,
    landmarks: int,
) -> LocationScaleMap:
    """Minimise MMD^2 of (1 + B G) x + B H and the target + penalty (|B G|^2 + |B H|^2) / N over G and H, from 0.

    Args:
        source_ND: source samples x (N, D), float64.
        target_MD: target samples (M, D), float64.
        basis_NR: B (N, R), functions of the labels: one-hot classes, or `label_basis`.
        gamma: kernel exp(-gamma d^2); the median rule where it is None.
        penalty: of the mean squared change.
        iterations: of L-BFGS, at most.
        landmarks: samples of a domain beyond which the kernel goes through so many landmarks.
    """
    pooled = torch.cat([source_ND, target_MD])
    width = gaussian.median_gamma(sampling.random_subset(pooled, 1000)) if gamma is None else gamma
    exact = max(len(source_ND), len(target_MD)) <= landmarks
    features = None if exact else nystrom.nystrom_features(sampling.random_subset(pooled, landmarks), width)
    target_mean = None if features is None else features(target_MD).mean(dim=0)
    target_term = gaussian.gram(target_MD, target_MD, width).mean() if exact else 0.0
    change = source_ND.new_zeros((2, basis_NR.shape[1], source_ND.shape[1]), requires_grad=True)
    unit = (2 * width) ** -0.5  # a move that the kernel sees
    mean_D, spread_D = source_ND.mean(dim=0), source_ND.std(dim=0, correction=0)
    scale_unit_D = ((spread_D / unit).square() + penalty * (1 + mean_D.square()) + 1e-12).rsqrt()
    location_unit = (unit**-2 + penalty) ** -0.5

    def apply_map() -> tuple[Tensor, Tensor]:
        # the location is that of the mean: scale and location are then nearly independent
        scale, shift = basis_NR @ (scale_unit_D * change[0]), basis_NR @ (location_unit * change[1])
        location = shift - scale * mean_D
        return source_ND + scale * (source_ND - mean_D) + shift, (scale.square().sum() + location.square().sum()) / len(
            source_ND
        )

    def objective() -> Tensor:
        mapped, size = apply_map()
        if features is not None:
            assert target_mean is not None
            return (features(mapped).mean(dim=0) - target_mean).square().sum() + penalty * size
        within = gaussian.gram(mapped, mapped, width).mean()
        return within + target_term - 2 * gaussian.gram(mapped, target_MD, width).mean() + penalty * size

    with torch.enable_grad():
        initial = float(objective().detach())
        size, steps = _minimize(change, objective, iterations, TOLERANCE * initial + ROUNDING)
        final = float(objective().detach())
    if not final <= initial:  # NaN included
        return LocationScaleMap(source_ND, initial, initial, ("The search failed: the source samples are used as they are.",))
    remarks = () if exact else (f"The kernel goes through {landmarks} landmarks (Nystrom).",)
    return LocationScaleMap(apply_map()[0].detach(), initial, final, (*remarks, *_stopped_early(size, steps, initial)))


def _stopped_early(gradient: float, steps: int, initial: float) -> tuple[str, ...]:
    """The remark where the iteration limit came before the optimality condition."""
    if gradient <= TOLERANCE * initial + ROUNDING:
        return ()
    return (
        f"The location-scale map stopped after {steps} iterations; the gradient norm is "
        f"{gradient / max(initial, ROUNDING):.1g} of the objective at the start, above the tolerance {TOLERANCE:.0g}.",
    )


def _minimize(unknowns: Tensor, objective: Callable[[], Tensor], iterations: int, tolerance: float) -> tuple[float, int]:
    """Minimise over the unknowns in place; the largest entry of the gradient at the end, and the iterations."""
    optimizer = torch.optim.LBFGS(
        [unknowns],
        max_iter=iterations,
        max_eval=2 * iterations,
        tolerance_grad=tolerance,
        tolerance_change=0.0,
        line_search_fn="strong_wolfe",
    )

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = objective()
        loss.backward()
        return loss

    optimizer.step(closure)
    closure()
    assert unknowns.grad is not None
    return float(unknowns.grad.abs().max()), int(optimizer.state[unknowns]["n_iter"])
