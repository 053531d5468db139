"""A convex quadratic program over a box and a band, by a primal-dual interior-point method.

The program is min_w 1/2 w'Kw - kappa'w with 0 <= w_i <= upper and low <= sum_i weight_i w_i <= high. The iteration stops where
the gap, which bounds the distance to the least objective, is below a tolerance times what w gains over equal weights, or after
a number of steps (some 10 to 30 are usual).

Mehrotra, On the implementation of a primal-dual interior point method, SIAM Journal on Optimization 1992.
https://doi.org/10.1137/0802028
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

TOLERANCE = 1e-8
"""Of the gap to the least objective, as a share of the gain over equal weights."""
RIDGE = 1e-10
"""Added to K in the linear systems (not in the objective), relative to its mean diagonal: K may be singular to rounding."""
ROUNDING = 1e-12
"""Gap that counts as none, relative to the objective."""
MIN_BAND = 1e-6
"""Relative width of the band, at least: a point has no interior."""
TO_THE_EDGE = 0.995
"""Share of the way to the nearest bound that a step goes, at most."""

Solver = Callable[[Tensor], Tensor]


def stopping_note(name: str, steps: int, gap: float, tolerance: float) -> str:
    """A sentence for the record where the iteration ends before the tolerance is met.

    Args:
        name: of the program.
        steps: that were run.
        gap: at the end.
        tolerance: of the gap.
    """
    return (
        f"{name} stopped after {steps} iterations; the gap to the least objective is {gap:.1g} of the gain over equal weights, "
        f"above the tolerance {tolerance:.0g}."
    )


@dataclass(frozen=True)
class SemidefiniteMatrix:
    """K (N, N), positive semidefinite: as it is, or as F F' with few columns F (N, R)."""

    dense: Tensor | None = None
    factor: Tensor | None = None

    def __call__(self, w_N: Tensor) -> Tensor:
        """K w: (N,)."""
        if self.factor is not None:
            return self.factor @ (self.factor.T @ w_N)
        assert self.dense is not None
        return self.dense @ w_N

    def mean_diagonal(self) -> float:
        """The mean of the diagonal of K."""
        if self.factor is not None:
            return float(self.factor.square().sum()) / len(self.factor)
        assert self.dense is not None
        return float(self.dense.diagonal().mean())

    def solver(self, diagonal_N: Tensor) -> Solver:
        """The solution x (N,) of (K + diag(d)) x = right, with one step of refinement."""
        if self.factor is None:
            assert self.dense is not None
            shifted = self.dense.clone()
            shifted.diagonal().add_(diagonal_N)
            root = torch.linalg.cholesky_ex(shifted)[0]

            def solve(right: Tensor) -> Tensor:
                return torch.cholesky_solve(right[:, None], root)[:, 0]
        else:
            inverse_N = 1 / diagonal_N
            scaled = self.factor * inverse_N[:, None]
            inner = self.factor.T @ scaled
            inner.diagonal().add_(1)
            root = torch.linalg.cholesky_ex(inner)[0]

            def solve(right: Tensor) -> Tensor:
                return inverse_N * right - scaled @ torch.cholesky_solve((scaled.T @ right)[:, None], root)[:, 0]

        def refined(right: Tensor) -> Tensor:
            x = solve(right)
            return x + solve(right - self(x) - diagonal_N * x)

        return refined


@dataclass
class _Iterate:
    """w, the sum t, and the multipliers lower and upper of the bounds of w and, last, of t."""

    w: Tensor
    t: Tensor
    lower: Tensor
    upper: Tensor

    @property
    def y(self) -> Tensor:
        """The multiplier of t = weight'w."""
        return self.lower[-1] - self.upper[-1]


def minimize_quadratic(
    matrix: SemidefiniteMatrix,
    linear_N: Tensor,
    weight_N: Tensor,
    *,
    upper: float,
    low: float,
    high: float,
    tolerance: float = TOLERANCE,
    steps: int = 100,
) -> tuple[Tensor, float, int]:
    """Minimise 1/2 w'Kw - linear'w over box and band, from w = 1 or the equal w nearest to it inside.

    Args:
        matrix: K.
        linear_N: kappa (N,).
        weight_N: positive weights (N,) of the sum.
        upper: of each coordinate.
        low: of the sum, at least; upper sum_i weight_i or less.
        high: of the sum, at most.
        tolerance: stop where the gap to the least objective is below it times the gain over equal w.
        steps: at most.

    Returns:
        w (N,), the bound on the gap as a share of the gain over equal w (1 or the nearest feasible), and the steps.
    """
    total = float(weight_N.sum())
    if low >= upper * total * (1 - 1e-12):
        return torch.full_like(linear_N, upper), 0.0, 0
    low, high = max(low, 0.0), max(high, low * (1 + MIN_BAND))
    largest = min(high, upper * total)
    program = _Program(matrix, linear_N, weight_N, upper, low, high)
    margin = (0.1 if largest - low > 0.01 * total else 0.5) * (
        largest - low
    )  # half: both multipliers of a narrow band start equal
    equal_value = program.value(torch.full_like(linear_N, min(max(total, low), largest) / total))
    w = torch.full_like(linear_N, min(max(total, low + margin), largest - margin) / total)
    state = program.start(w)
    best, gap = w, float("inf")
    step = 0
    for step in range(steps + 1):
        value = program.value(state.w)
        feasible = low * (1 - 1e-9) <= float(weight_N @ state.w) <= high * (1 + 1e-9)
        relative = program.gap(state.w) / max(equal_value - value, ROUNDING / tolerance * abs(value), 1e-300)
        if feasible and relative < gap:
            best, gap = state.w, relative
        if gap <= tolerance or step == steps or not program.advance(state):
            break
    return best, gap, step


class _Program:
    """The quadratic program, its duality gap and the step of the interior-point method."""

    def __init__(
        self, matrix: SemidefiniteMatrix, linear_N: Tensor, weight_N: Tensor, upper: float, low: float, high: float
    ) -> None:
        self.matrix, self.linear_N, self.weight_N = matrix, linear_N, weight_N
        self.least = torch.cat([torch.zeros_like(linear_N), linear_N.new_full((1,), low)])
        self.largest = torch.cat([torch.full_like(linear_N, upper), linear_N.new_full((1,), high)])
        self.ridge = RIDGE * max(matrix.mean_diagonal(), 1e-300)

    def value(self, w: Tensor) -> float:
        """The objective."""
        return float(0.5 * (w @ self.matrix(w)) - self.linear_N @ w)

    def start(self, w: Tensor) -> _Iterate:
        """Equal products of slacks and multipliers."""
        slope = self.matrix(w) - self.linear_N
        t = self.weight_N @ w
        position = torch.cat([w, t[None]])
        size = slope.abs().mean().clamp_min(1e-12) * w.mean()
        lower, upper = size / (position - self.least), size / (self.largest - position)
        return _Iterate(w, t, lower, upper)

    def gap(self, w: Tensor) -> float:
        """slope'(w - v) at the feasible v where slope'v is least, which bounds the distance to the least objective.

        v fills the coordinates in order of slope per weight (Jaggi, ICML 2013, https://proceedings.mlr.press/v28/jaggi13.html).
        """
        slope, a, upper = self.matrix(w) - self.linear_N, self.weight_N, float(self.largest[0])
        order = torch.argsort(slope / a)
        capacity = upper * a[order]
        negative = float((upper * a)[slope < 0].sum())
        filled = min(max(negative, float(self.least[-1])), float(self.largest[-1])) - (capacity.cumsum(0) - capacity)
        v = torch.empty_like(w).index_copy_(0, order, (filled.clamp(min=0) / a[order]).clamp_max(upper))
        return float(slope @ (w - v))

    def advance(self, state: _Iterate) -> bool:
        """One predictor-corrector step in place; False where rounding leaves no step."""
        a = self.weight_N
        position = torch.cat([state.w, state.t[None]])
        below, above = position - self.least, self.largest - position
        slope = torch.cat([self.matrix(state.w) - self.linear_N - state.y * a, state.y[None]]) - state.lower + state.upper
        missing = a @ state.w - state.t
        stiffness = state.lower / below + state.upper / above
        solve = self.matrix.solver(stiffness[:-1] + self.ridge)
        inverse_weights = solve(a)

        def direction(products_below: Tensor, products_above: Tensor) -> tuple[Tensor, ...]:
            right = -slope + products_below / below - products_above / above
            # dt = a'dw + missing and dy = right_t - stiffness_t dt leave (K + D + stiffness_t a a') dw
            first = solve(right[:-1] + a * (right[-1] - stiffness[-1] * missing))
            dw = first - inverse_weights * (stiffness[-1] * (a @ first) / (1 + stiffness[-1] * (a @ inverse_weights)))
            dt = a @ dw + missing
            move = torch.cat([dw, dt[None]])
            return move, (products_below - state.lower * move) / below, (products_above + state.upper * move) / above

        def length(move: Tensor, d_lower: Tensor, d_upper: Tensor) -> float:
            pairs = ((below, move), (above, -move), (state.lower, d_lower), (state.upper, d_upper))
            return min(1.0, *(float(torch.where(d < 0, -x / d, torch.inf).min()) for x, d in pairs))

        products = state.lower * below, state.upper * above
        mean = float(torch.cat(products).mean())
        move, d_lower, d_upper = direction(-products[0], -products[1])
        size = length(move, d_lower, d_upper)
        ahead = (below + size * move) * (state.lower + size * d_lower), (above - size * move) * (state.upper + size * d_upper)
        target = mean * min(max(float(torch.cat(ahead).mean()) / mean, 0.0), 1.0) ** 3
        move, d_lower, d_upper = direction(target - products[0] - move * d_lower, target - products[1] + move * d_upper)
        size = TO_THE_EDGE * length(move, d_lower, d_upper)
        if not bool(torch.isfinite(move).all()) or size < 1e-10:
            return False
        state.w, state.t = state.w + size * move[:-1], state.t + size * move[-1]
        state.lower, state.upper = state.lower + size * d_lower, state.upper + size * d_upper
        return True
