"""A convex function of weights on the simplex, minimized by Newton steps on the weights that are not 0.

The iteration stops where the optimality gap w'g - min_i g_i, with the gradient g, is below a tolerance. The gap bounds how far
the function is above its minimum (Jaggi, Revisiting Frank-Wolfe, ICML 2013. https://proceedings.mlr.press/v28/jaggi13.html).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Derivatives = Callable[[Array], tuple[float, Array, Array]]
"""Weights (K,) -> the value, the gradient (K,) and the Hessian (K, K)."""

TOLERANCE = 1e-10
"""Of the optimality gap; functions are scaled so that their values are about 1."""
STATIONARY = 1e-22
"""A Newton step with a flatter slope is none: the slope falls with the square of the gradient."""
RIDGE = 1e-12
"""Added to the Hessian in the Newton steps, relative to its mean diagonal: tasks may have the same gradient."""


def minimize(function: Derivatives, tasks: int) -> tuple[Array, float]:
    """The weights (K,) at which the function is least, and the optimality gap there.

    Args:
        function: convex, and about 1 in scale.
        tasks: K.
    """
    weights = np.full(tasks, 1 / tasks)
    is_free = np.ones(tasks, dtype=bool)
    value, gradient, hessian = function(weights)
    for _ in range(20 * tasks + 100):
        if (gap := float(weights @ gradient - gradient.min())) <= TOLERANCE:
            return weights, gap
        direction = _newton_direction(gradient, hessian, is_free)
        slope = float(gradient @ direction)
        if -slope <= STATIONARY:  # least on these weights: free the one that gains most
            entering = int(np.where(is_free, np.inf, gradient).argmin())
            if is_free[entering]:
                break
            is_free[entering] = True
            continue
        step, blocking = _longest_step(weights, direction, is_free)
        if step <= 0:
            is_free[blocking] = False
            continue
        while True:
            candidate = weights + step * direction
            result = function(np.maximum(candidate, 0.0))
            if result[0] <= value + 1e-4 * step * slope + 1e-15 or step < 1e-12:
                break
            step, blocking = step / 2, -1
        if blocking >= 0:
            is_free[blocking], candidate[blocking] = False, 0.0
        weights = np.maximum(candidate, 0.0) / np.maximum(candidate, 0.0).sum()
        value, gradient, hessian = function(weights)
    return weights, float(weights @ gradient - gradient.min())


def _newton_direction(gradient: Array, hessian: Array, is_free: NDArray[np.bool_]) -> Array:
    """The Newton step (K,) of the free weights with the sum 0; the others stay at 0."""
    count = int(is_free.sum())
    system, right = np.zeros((count + 1, count + 1)), np.zeros(count + 1)
    ridge = RIDGE * max(float(np.trace(hessian)) / len(hessian), 1e-300)
    system[:count, :count] = hessian[np.ix_(is_free, is_free)] + ridge * np.eye(count)
    system[count, :count] = system[:count, count] = 1.0
    right[:count] = -gradient[is_free]
    direction = np.zeros(len(gradient))
    direction[is_free] = np.linalg.solve(system, right)[:count]
    return direction


def _longest_step(weights: Array, direction: Array, is_free: NDArray[np.bool_]) -> tuple[float, int]:
    """The longest step up to 1 that leaves no weight negative, and the weight that is then 0 (-1: none)."""
    falls = is_free & (direction < 0)
    steps = np.full(len(weights), np.inf)
    steps[falls] = -weights[falls] / direction[falls]
    blocking = int(steps.argmin())
    return (float(steps[blocking]), blocking) if steps[blocking] <= 1 else (1.0, -1)
