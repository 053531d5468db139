"""Base learners of the solved methods: logistic regression, ridge and nearest neighbours in torch, the SVM of scikit-learn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from tlbench.errors import TlbenchError

Scorer = Callable[[Tensor], Tensor]
"""Rows (N, D) -> class scores (N, C); for regression predicted columns (N, K)."""

Weighted = Literal["logistic", "svm", "ridge"]
"""The learners that take a weight for each row. A nearest neighbour does not: a row is near or it is not."""

LONGEST_SQUARED = 1e16
"""Of a row for the support vector machine: beyond it the kernel's values no longer tell rows apart in double precision."""


def fit_learner(
    learner: str,
    x_ND: Tensor,
    y: Tensor,
    classes: int,
    *,
    weight_N: Tensor | None = None,
    c: float = 1.0,
    regression: bool = False,
) -> Scorer:
    """The learner of a name on rows x (N, D) with classes y (N,), or columns y (N, K) of a regression.

    Args:
        learner: logistic, svm, ridge or nearest_neighbor; for regression logistic and svm become ridge.
        x_ND: rows.
        y: int64 classes (N,) or float columns (N, K).
        classes: C, or K.
        weight_N: weights of mean 1; the nearest neighbour takes none.
        c: inverse penalty of all but the nearest neighbour.
        regression: whether y holds columns.
    """
    if learner == "nearest_neighbor":
        return nearest_value(x_ND, y) if regression else nearest(x_ND, y, classes)
    if regression or learner == "ridge":
        columns = y if regression else signs(y, classes)
        return ridge(x_ND, columns, weight_N=weight_N, penalty=1 / c)
    if learner == "svm":
        return svm(x_ND, y, classes, c=c, weight_N=weight_N)
    return logistic(x_ND, y, classes, weight_N=weight_N, penalty=1 / c)


def signs(y_N: Tensor, classes: int) -> Tensor:
    """Classes (N,) as columns (N, C) of +1 for the class and -1 for the others, in float64."""
    return 2 * F.one_hot(y_N, classes).double() - 1


def logistic(
    x_ND: Tensor,
    y_N: Tensor,
    classes: int,
    *,
    weight_N: Tensor | None = None,
    penalty: float = 1.0,
    iterations: int = 200,
) -> Scorer:
    """Multinomial logistic regression: minimises sum_i w_i CE_i + penalty / 2 |W|^2 (intercept free), in float64, by L-BFGS.

    `penalty` is 1 / C of scikit-learn, but 2 / C for two classes, where it fits one sigmoid. Weights enter as
    they are: give them mean 1.
    """
    coefficients, intercept = softmax_regression(x_ND, y_N, classes, weight_N=weight_N, penalty=penalty, iterations=iterations)
    return lambda x: x.double() @ coefficients.T + intercept


def softmax_regression(
    x_ND: Tensor,
    y_N: Tensor,
    classes: int,
    *,
    weight_N: Tensor | None = None,
    penalty: float = 1.0,
    iterations: int = 200,
    offset_NC: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Coefficients (C, D) and intercept (C,) of `logistic`, with scores `offset_NC` (N, C) added to those of the rows."""
    x = x_ND.double()
    weights = x.new_ones(len(x)) if weight_N is None else weight_N.double()
    flat = x.new_zeros((classes, x.shape[1] + 1), requires_grad=True)
    # columns on one scale: L-BFGS then needs far fewer steps; the penalty still acts on the unscaled coefficients
    several = int(len(x) > 1)  # a single row has no spread
    scale = x.std(dim=0, correction=several).clamp_min(1e-3 * float(x.std(correction=several)) + 1e-12)
    x = x / scale
    optimizer = torch.optim.LBFGS([flat], max_iter=iterations, tolerance_grad=1e-6, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        logits = torch.addmm(flat[:, -1], x, flat[:, :-1].T)
        if offset_NC is not None:
            logits = logits + offset_NC
        loss = (weights * F.cross_entropy(logits, y_N, reduction="none")).sum()
        loss = (loss + penalty / 2 * (flat[:, :-1] / scale).square().sum()) / len(x)
        loss.backward()
        return loss

    with torch.enable_grad():
        optimizer.step(closure)
    return (flat[:, :-1] / scale).detach(), flat[:, -1].detach()


def ridge(x_ND: Tensor, y_NK: Tensor, *, weight_N: Tensor | None = None, penalty: float = 1.0) -> Scorer:
    """Ridge regression: minimises sum_i w_i |y_i - W x_i - b|^2 + penalty |W|^2, the intercept b free, in float64."""
    coefficients, intercept = ridge_regression(x_ND, y_NK, weight_N=weight_N, penalty=penalty)
    return lambda x: x.double() @ coefficients.T + intercept


def ridge_regression(
    x_ND: Tensor, y_NK: Tensor, *, weight_N: Tensor | None = None, penalty: float = 1.0, toward_KD: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Coefficients (K, D) and intercept (K,) of `ridge`, pulled towards `toward_KD` instead of 0 where that is given.

    Solved in the smaller of the two spaces, columns (D, D) or rows (N, N).
    """
    x, y = x_ND.double(), y_NK.double()
    weights = x.new_ones(len(x)) if weight_N is None else weight_N.double()
    start = x.new_zeros(y.shape[1], x.shape[1]) if toward_KD is None else toward_KD.double()
    share = (weights / weights.sum())[:, None]
    mean_D, mean_K = (share * x).sum(dim=0), (share * y).sum(dim=0)
    root = weights.sqrt()[:, None]
    rows, rest = root * (x - mean_D), root * (y - mean_K - (x - mean_D) @ start.T)
    if x.shape[1] <= len(x):
        moved = torch.linalg.solve(rows.T @ rows + penalty * torch.eye(x.shape[1]).to(rows), rows.T @ rest)
    else:
        moved = rows.T @ torch.linalg.solve(rows @ rows.T + penalty * torch.eye(len(x)).to(rows), rest)
    coefficients = start + moved.T
    return coefficients, mean_K - coefficients @ mean_D


def svm(
    x_ND: Tensor, y_N: Tensor, classes: int, *, c: float = 1.0, weight_N: Tensor | None = None, kernel: str = "linear"
) -> Scorer:
    """Linear support vector machine, one against one (libsvm through scikit-learn, on the CPU); scores are votes of 0 or 1.

    The penalty of row i is c w_i. A class of which no row has weight is never predicted. With `kernel = "precomputed"` rows
    are similarities to the N training rows, (N, N) here and (M, N) for the scores.
    """
    from sklearn.svm import SVC

    if weight_N is not None:  # libsvm refuses a class whose weights are all 0
        x_ND, y_N, weight_N = x_ND[weight_N > 0], y_N[weight_N > 0], weight_N[weight_N > 0]
    if len(y_N) and bool((y_N == y_N[0]).all()):
        only = F.one_hot(y_N[:1], classes).double()
        return lambda x: only.expand(len(x), classes)
    if kernel == "linear":
        refuse_long(x_ND)
    weights = None if weight_N is None else weight_N.double().cpu().numpy()
    machine = SVC(kernel=kernel, C=c).fit(x_ND.double().cpu().numpy(), y_N.cpu().numpy(), sample_weight=weights)

    def scores(x: Tensor) -> Tensor:
        predicted = torch.from_numpy(machine.predict(x.double().cpu().numpy()))
        return F.one_hot(predicted, classes).double().to(x.device)

    return scores


def refuse_long(x_ND: Tensor) -> None:
    """Raises TlbenchError where a row is too long for a support vector machine."""
    longest = float(x_ND.double().square().sum(dim=1).amax())
    if longest > LONGEST_SQUARED:
        raise TlbenchError(
            f"rows of length {longest**0.5:.1g}: libsvm does not come to an end on them; scale them (prepare = ['zscore'])"
        )


def nearest(x_ND: Tensor, y_N: Tensor, classes: int, *, chunk: int = 1024) -> Scorer:
    """1-nearest-neighbour, Euclidean: the score of a class is minus the distance to its nearest row, in float64."""
    rows = x_ND.double()
    square = rows.square().sum(dim=1)
    order = torch.argsort(y_N, stable=True)
    bounds = torch.bincount(y_N, minlength=classes).tolist()

    def scores(x: Tensor) -> Tensor:
        return torch.cat([_nearest(part.double()) for part in x.split(chunk)])

    def _nearest(x: Tensor) -> Tensor:
        # |a - b|^2 without |a|^2, which is the same for every b
        squared = (square - 2 * (x @ rows.T))[:, order]
        parts = squared.split(bounds, dim=1)
        none = x.new_full((len(x),), torch.inf)
        return -torch.stack([part.amin(dim=1) if part.shape[1] else none for part in parts], dim=1)

    return scores


def nearest_value(x_ND: Tensor, y_NK: Tensor, *, chunk: int = 1024) -> Scorer:
    """1-nearest-neighbour regression: the columns (K,) of the nearest row, Euclidean, in float64; ties go to the first."""
    rows = x_ND.double()
    square = rows.square().sum(dim=1)
    return lambda x: torch.cat([y_NK[(square - 2 * (part.double() @ rows.T)).argmin(dim=1)] for part in x.split(chunk)])
