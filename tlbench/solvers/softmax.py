"""Softmax (multinomial logistic) regression with an L2 penalty, by Newton's method with preconditioned conjugate gradients.

The iteration stops where the gradient g is small in the norm of the inverse Hessian, g' H^-1 g / 2 <= `TOLERANCE` times the
objective: this estimates the distance to the least objective and does not depend on the scale of any column. The preconditioner
is the Hessian of a class, averaged over the classes and factorised in the smaller of the two spaces, columns or samples.

Lin, Weng and Keerthi, Trust region Newton method for large-scale logistic regression, JMLR 2008.
https://www.jmlr.org/papers/v9/lin08b.html
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

TOLERANCE = 1e-10
"""Of the estimated distance to the least objective, as a share of the objective."""
LEAST_OBJECTIVE = 1e-4
"""Objective per unit of weight that the tolerance is a share of, at least: where there is one class only it can fall to 0."""
MAX_INNER_ITERATIONS = 500
"""Conjugate-gradient iterations in a Newton step, at most; a step that ends there is still a step downhill."""

MIN_STEP = 1e-9
"""Share of a Newton step that is tried, at least."""

Note = Callable[[str], None]
Operator = Callable[[Tensor], Tensor]
"""Unknowns (C, E) -> unknowns (C, E), linear."""


def softmax_regression(
    x_ND: Tensor,
    y_N: Tensor,
    classes: int,
    *,
    weight_N: Tensor | None = None,
    penalty: float = 1.0,
    iterations: int = 200,
    offset_NC: Tensor | None = None,
    note: Note | None = None,
) -> tuple[Tensor, Tensor]:
    """Coefficients (C, D) and intercept (C,) that minimise sum_i w_i CE_i + penalty / 2 |W|^2 in float64, the intercept free.

    Args:
        x_ND: samples (N, D).
        y_N: int64 classes (N,).
        classes: C.
        weight_N: weights (N,), which enter as they are; None: all are 1.
        penalty: of the squared coefficients, halved.
        iterations: Newton steps, at most.
        offset_NC: scores (N, C) that are added to those of the samples during the fit; None: nothing is added.
        note: is told where the iterations end before the optimum.
    """
    x = x_ND.double()
    weight_N1 = (x.new_ones(len(x)) if weight_N is None else weight_N.double())[:, None]
    total = float(weight_N1.sum())
    mean_D = (weight_N1 * x).sum(dim=0) / max(total, torch.finfo(x.dtype).tiny)
    objective = _LinearScores(x - mean_D, y_N, classes, weight_N1, penalty, offset_NC)
    w = objective.minimize(iterations, LEAST_OBJECTIVE * total, note)
    coefficients = w[:, :-1]
    return coefficients, w[:, -1] * objective.constant - coefficients @ mean_D


class SoftmaxObjective(ABC):
    """sum_i w_i CE_i + a squared norm, over unknowns (C, E) in which the scores are linear."""

    def __init__(self, y_N: Tensor, weight_N1: Tensor, offset_NC: Tensor) -> None:
        self.onehot_NC = F.one_hot(y_N, offset_NC.shape[1]).to(offset_NC)
        self.weight_N1, self.offset_NC = weight_N1, offset_NC

    unknowns: tuple[int, int]
    """(C, E)."""
    refresh: int
    """Products with the Hessian that cost as much as a new preconditioner."""

    @abstractmethod
    def scores(self, w: Tensor) -> Tensor:
        """Unknowns (C, E) -> scores (N, C), without the offset."""

    @abstractmethod
    def transposed_scores(self, change_NC: Tensor) -> Tensor:
        """The transpose of `scores`: (N, C) -> (C, E)."""

    @abstractmethod
    def penalized(self, w: Tensor) -> Tensor:
        """The gradient (C, E) of the squared norm, halved."""

    @abstractmethod
    def preconditioner(self, probability_NC: Tensor) -> Operator:
        """An approximate inverse of the Hessian at these probabilities."""

    def value(self, logits_NC: Tensor, w: Tensor) -> float:
        """The objective at unknowns (C, E) with these logits."""
        losses_N1 = logits_NC.logsumexp(dim=1, keepdim=True) - (self.onehot_NC * logits_NC).sum(dim=1, keepdim=True)
        return float((self.weight_N1 * losses_N1).sum() + (self.penalized(w) * w).sum() / 2)

    def hessian(self, probability_NC: Tensor) -> Operator:
        """The Hessian at these probabilities, as a product with unknowns (C, E)."""

        def apply(v: Tensor) -> Tensor:
            change_NC = probability_NC * self.scores(v)
            change_NC = change_NC - probability_NC * change_NC.sum(dim=1, keepdim=True)
            return self.transposed_scores(self.weight_N1 * change_NC) + self.penalized(v)

        return apply

    def minimize(self, iterations: int, least: float, note: Note | None) -> Tensor:
        """The unknowns (C, E) of the least objective, from 0, by Newton's method.

        Args:
            iterations: Newton steps, at most.
            least: the tolerance is a share of this where the objective is smaller.
            note: is told where the iterations end before the optimum.
        """
        w, logits = self.offset_NC.new_zeros(self.unknowns), self.offset_NC
        value, gap, inner, steps = self.value(logits, w), float("inf"), 0, 0
        precondition: Operator | None = None
        while steps < iterations and not gap <= TOLERANCE:
            steps += 1
            probability = logits.softmax(dim=1)
            gradient = self.transposed_scores(self.weight_N1 * (probability - self.onehot_NC)) + self.penalized(w)
            if precondition is None or inner > self.refresh:
                precondition = self.preconditioner(probability)
            step, inner = solve_by_conjugate_gradients(self.hessian(probability), gradient, precondition, min(0.1, gap**0.5))
            decrease = float((gradient * step).sum())
            gap, change, size = decrease / 2 / max(value, least, 1e-300), self.scores(step), 1.0
            while size > MIN_STEP and not (
                (updated := self.value(logits - size * change, w - size * step)) <= value - 1e-4 * size * decrease
            ):
                size /= 2
            if size <= MIN_STEP:  # the objective cannot fall any further in float64
                break
            w, logits, value = w - size * step, logits - size * change, updated
        if note is not None and not gap <= TOLERANCE:
            note(
                f"The logistic regression stopped after {steps} iterations; the gradient norm g' H^-1 g / 2 is {gap:.1g} of "
                f"the objective, above the tolerance {TOLERANCE:.0g}."
            )
        return w


class _LinearScores(SoftmaxObjective):
    """Coefficients (C, D + 1) of centred samples and of a constant column, which has no penalty."""

    def __init__(
        self, x_ND: Tensor, y_N: Tensor, classes: int, weight_N1: Tensor, penalty: float, offset_NC: Tensor | None
    ) -> None:
        super().__init__(y_N, weight_N1, x_ND.new_zeros(len(x_ND), classes) if offset_NC is None else offset_NC.double())
        # a constant column as long as a typical sample; the preconditioner then stands up to its small penalty
        self.constant = max(float(x_ND.square().sum(dim=1).mean().sqrt()), penalty**0.5, 1e-150)
        self.samples_NE = torch.cat([x_ND, x_ND.new_full((len(x_ND), 1), self.constant)], dim=1)
        self.penalty = penalty
        self.penalty_E = x_ND.new_full((self.samples_NE.shape[1],), penalty)
        self.penalty_E[-1] = 0.0
        self.unknowns = classes, self.samples_NE.shape[1]
        self.refresh = min(self.samples_NE.shape) // (2 * classes)
        wide = self.samples_NE.shape[1] > len(x_ND)
        self.products_NN = self.samples_NE @ self.samples_NE.T if wide else None

    def scores(self, w: Tensor) -> Tensor:
        """The product of samples and coefficients."""
        return self.samples_NE @ w.T

    def transposed_scores(self, change_NC: Tensor) -> Tensor:
        """The product with the transposed samples."""
        return change_NC.T @ self.samples_NE

    def penalized(self, w: Tensor) -> Tensor:
        """The penalty times the coefficients, without the constant column's."""
        return self.penalty_E * w

    def preconditioner(self, probability_NC: Tensor) -> Operator:
        """The inverse of the Hessian of a class, in the mean over the classes (exact for two classes)."""
        curvature_N = (self.weight_N1 * probability_NC * (1 - probability_NC)).sum(dim=1)
        curvature_N = curvature_N / max(probability_NC.shape[1] - 1, 1)
        if self.products_NN is None:
            inner = (self.samples_NE * curvature_N[:, None]).T @ self.samples_NE + self.penalty_E.diag()
            diagonal = inner.diagonal()
            diagonal.mul_(1 + 1e-12).clamp_min_(1e-14 * float(diagonal.max()) + torch.finfo(inner.dtype).tiny)
            root = torch.linalg.cholesky_ex(inner)[0]
            return lambda v: torch.cholesky_solve(v.T, root).T
        scaled = self.samples_NE * curvature_N.sqrt()[:, None]
        inner = curvature_N.sqrt()[:, None] * self.products_NN * curvature_N.sqrt()
        ridge = max(self.penalty, 1e-10 * float(inner.diagonal().mean()), torch.finfo(inner.dtype).tiny)
        inner.diagonal().add_(ridge)
        root = torch.linalg.cholesky_ex(inner)[0]
        return lambda v: (v - torch.cholesky_solve(scaled @ v.T, root).T @ scaled) / ridge


def solve_by_conjugate_gradients(
    apply: Operator, right: Tensor, precondition: Operator, tolerance: float, iterations: int = MAX_INNER_ITERATIONS
) -> tuple[Tensor, int]:
    """A solution of apply(v) = right from 0, and the iterations; the residual falls to a share in the preconditioner's norm.

    Args:
        apply: symmetric and positive semidefinite.
        right: unknowns (C, E) in the range of `apply`.
        precondition: an approximate inverse of `apply`.
        tolerance: the share.
        iterations: at most.
    """
    solution, residual = torch.zeros_like(right), right
    preconditioned = precondition(residual)
    direction, size = preconditioned, float((residual * preconditioned).sum())
    target = tolerance**2 * size
    for number in range(iterations):
        if not size > target:
            return solution, number
        image = apply(direction)
        curvature = float((direction * image).sum())
        if not curvature > 0:
            return (solution if number else preconditioned), number
        solution, residual = solution + size / curvature * direction, residual - size / curvature * image
        preconditioned = precondition(residual)
        previous, size = size, float((residual * preconditioned).sum())
        direction = preconditioned + size / previous * direction
    return solution, iterations
