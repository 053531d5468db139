"""Base learners of the shallow methods: logistic regression and ridge in torch, the linear SVM of scikit-learn, and 1-NN.

Logistic regression minimises a weighted cross-entropy with an L2 penalty, to the stopping rule of `solvers.softmax`. Ridge is
one linear system. The SVM is libsvm's (Chang and Lin, LIBSVM, ACM TIST 2011, https://doi.org/10.1145/1961189.1961199), which
stops where the optimality conditions hold to 1e-3 of the margin; it has no limit of iterations.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from tlbench.errors import TlbenchError
from tlbench.solvers.nearest_neighbors import fit_nearest_neighbor, fit_nearest_neighbor_regression
from tlbench.solvers.softmax import Note, softmax_regression

Scorer = Callable[[Tensor], Tensor]
"""Samples (N, D) -> class scores (N, C); for a regression, predicted columns (N, K)."""

WeightedLearner = Literal["logistic", "svm", "ridge"]
"""The learners that take a weight for each sample. 1-NN takes none: a sample is the nearest one or it is not."""

LEARNER_VERSIONS = {"logistic": 1}
"""Raise the number of a learner when its fits change: it adds to the version of a method whose option `learner` names it."""

MAX_SQUARED_NORM = 1e16
"""Of a sample for the SVM: beyond it the values of the kernel no longer separate samples in double precision."""


def fit_learner(
    learner: str,
    x_ND: Tensor,
    y: Tensor,
    classes: int,
    *,
    weight_N: Tensor | None = None,
    c: float = 1.0,
    regression: bool = False,
    note: Note | None = None,
) -> Scorer:
    """Fit the named learner on samples x (N, D) with classes y (N,), or columns y (N, K) of a regression.

    Args:
        learner: logistic, svm, ridge or nearest_neighbor; in a regression logistic and svm become ridge.
        x_ND: samples (N, D).
        y: int64 classes (N,) or float columns (N, K).
        classes: C, or K.
        weight_N: weights (N,) of mean 1; nearest_neighbor takes none.
        c: inverse penalty; nearest_neighbor has none.
        regression: whether y holds columns.
        note: is told where a solver ends before its optimum.
    """
    if learner == "nearest_neighbor":
        return fit_nearest_neighbor_regression(x_ND, y) if regression else fit_nearest_neighbor(x_ND, y, classes)
    if regression or learner == "ridge":
        columns = y if regression else signed_one_hot(y, classes)
        return fit_ridge(x_ND, columns, weight_N=weight_N, penalty=1 / c)
    if learner == "svm":
        return fit_svm(x_ND, y, classes, c=c, weight_N=weight_N)
    return fit_logistic(x_ND, y, classes, weight_N=weight_N, penalty=1 / c, note=note)


def signed_one_hot(y_N: Tensor, classes: int) -> Tensor:
    """Classes (N,) as columns (N, C) of +1 for the class and -1 for the others, in float64."""
    return 2 * F.one_hot(y_N, classes).double() - 1


def fit_logistic(
    x_ND: Tensor,
    y_N: Tensor,
    classes: int,
    *,
    weight_N: Tensor | None = None,
    penalty: float = 1.0,
    iterations: int = 200,
    note: Note | None = None,
) -> Scorer:
    """Multinomial logistic regression: minimises sum_i w_i CE_i + penalty / 2 |W|^2 in float64; the intercept is free.

    Args:
        x_ND: samples (N, D).
        y_N: int64 classes (N,).
        classes: C.
        weight_N: weights (N,) of mean 1, which enter as they are; None: all are 1.
        penalty: 1 / C of scikit-learn, but 2 / C for two classes, where scikit-learn fits one sigmoid.
        iterations: Newton steps, at most.
        note: is told where they end before the optimum.
    """
    coefficients, intercept = softmax_regression(
        x_ND, y_N, classes, weight_N=weight_N, penalty=penalty, iterations=iterations, note=note
    )
    return lambda x: x.double() @ coefficients.T + intercept


def fit_ridge(x_ND: Tensor, y_NK: Tensor, *, weight_N: Tensor | None = None, penalty: float = 1.0) -> Scorer:
    """Ridge regression: minimises sum_i w_i |y_i - W x_i - b|^2 + penalty |W|^2 in float64; the intercept b is free.

    Args:
        x_ND: samples (N, D).
        y_NK: columns (N, K).
        weight_N: weights (N,); None: all are 1.
        penalty: of the squared coefficients.
    """
    coefficients, intercept = ridge_regression(x_ND, y_NK, weight_N=weight_N, penalty=penalty)
    return lambda x: x.double() @ coefficients.T + intercept


def ridge_regression(
    x_ND: Tensor, y_NK: Tensor, *, weight_N: Tensor | None = None, penalty: float = 1.0, toward_KD: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Coefficients (K, D) and intercept (K,) of `fit_ridge`.

    The linear system is solved in the smaller of the two spaces, columns (D, D) or samples (N, N).

    Args:
        x_ND: samples (N, D).
        y_NK: columns (N, K).
        weight_N: weights (N,); None: all are 1.
        penalty: of the squared distance of the coefficients from `toward_KD`.
        toward_KD: coefficients (K, D) that the penalty pulls towards; None: 0.
    """
    x, y = x_ND.double(), y_NK.double()
    weights = x.new_ones(len(x)) if weight_N is None else weight_N.double()
    start = x.new_zeros(y.shape[1], x.shape[1]) if toward_KD is None else toward_KD.double()
    share = (weights / weights.sum())[:, None]
    mean_D, mean_K = (share * x).sum(dim=0), (share * y).sum(dim=0)
    root = weights.sqrt()[:, None]
    centered, residual = root * (x - mean_D), root * (y - mean_K - (x - mean_D) @ start.T)
    if x.shape[1] <= len(x):
        change = torch.linalg.solve(centered.T @ centered + penalty * torch.eye(x.shape[1]).to(centered), centered.T @ residual)
    else:
        change = centered.T @ torch.linalg.solve(centered @ centered.T + penalty * torch.eye(len(x)).to(centered), residual)
    coefficients = start + change.T
    return coefficients, mean_K - coefficients @ mean_D


def fit_svm(
    x_ND: Tensor, y_N: Tensor, classes: int, *, c: float = 1.0, weight_N: Tensor | None = None, kernel: str = "linear"
) -> Scorer:
    """Linear support vector machine, one against one (libsvm through scikit-learn, on the CPU); scores are 0 or 1.

    A class without a sample of positive weight is never predicted.

    Args:
        x_ND: samples (N, D); with `kernel = "precomputed"` similarities (N, N) to the N training samples.
        y_N: int64 classes (N,).
        classes: C.
        c: cost of a slack; that of sample i is c w_i.
        weight_N: weights (N,); None: all are 1.
        kernel: `linear`, or `precomputed`; the scorer then takes similarities (M, N).

    Raises:
        TlbenchError: A sample is too long for libsvm.
    """
    from sklearn.svm import SVC

    if weight_N is not None:  # libsvm refuses a class whose weights are all 0
        x_ND, y_N, weight_N = x_ND[weight_N > 0], y_N[weight_N > 0], weight_N[weight_N > 0]
    if len(y_N) and bool((y_N == y_N[0]).all()):
        only = F.one_hot(y_N[:1], classes).double()
        return lambda x: only.expand(len(x), classes)
    if kernel == "linear":
        check_norms(x_ND)
    weights = None if weight_N is None else weight_N.double().cpu().numpy()
    machine = SVC(kernel=kernel, C=c).fit(x_ND.double().cpu().numpy(), y_N.cpu().numpy(), sample_weight=weights)

    def scores(x: Tensor) -> Tensor:
        predicted = torch.from_numpy(machine.predict(x.double().cpu().numpy()))
        return F.one_hot(predicted, classes).double().to(x.device)

    return scores


def check_norms(x_ND: Tensor) -> None:
    """Raises TlbenchError where a sample is too long for libsvm, which then would not terminate."""
    longest = float(x_ND.double().square().sum(dim=1).amax())
    if longest > MAX_SQUARED_NORM:
        raise TlbenchError(
            f"The longest sample has norm {longest**0.5:.1g}, and libsvm does not terminate on such samples. "
            "Scale them (prepare = ['zscore'])."
        )
