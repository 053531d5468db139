"""Base learners of the solved methods: weighted logistic regression in torch, the support vector machine of scikit-learn."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

Scorer = Callable[[Tensor], Tensor]
"""Rows (N, D) -> class scores (N, C)."""


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
    x = x_ND.double()
    weights = x.new_ones(len(x)) if weight_N is None else weight_N.double()
    flat = x.new_zeros((classes, x.shape[1] + 1), requires_grad=True)
    # columns on one scale: L-BFGS then needs far fewer steps; the penalty still acts on the unscaled coefficients
    scale = x.std(dim=0).clamp_min(1e-3 * float(x.std()) + 1e-12)
    x = x / scale
    optimiser = torch.optim.LBFGS([flat], max_iter=iterations, tolerance_grad=1e-6, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimiser.zero_grad()
        logits = torch.addmm(flat[:, -1], x, flat[:, :-1].T)
        loss = (weights * F.cross_entropy(logits, y_N, reduction="none")).sum()
        loss = (loss + penalty / 2 * (flat[:, :-1] / scale).square().sum()) / len(x)
        loss.backward()
        return loss

    with torch.enable_grad():
        optimiser.step(closure)
    coefficients, intercept = (flat[:, :-1] / scale).detach(), flat[:, -1].detach()
    return lambda x: x.double() @ coefficients.T + intercept


def svm(x_ND: Tensor, y_N: Tensor, classes: int, *, c: float = 1.0) -> Scorer:
    """Linear support vector machine, one against one (libsvm through scikit-learn, on the CPU); scores are votes of 0 or 1."""
    from sklearn.svm import SVC

    machine = SVC(kernel="linear", C=c).fit(x_ND.double().cpu().numpy(), y_N.cpu().numpy())

    def scores(x: Tensor) -> Tensor:
        predicted = torch.from_numpy(machine.predict(x.double().cpu().numpy()))
        return F.one_hot(predicted, classes).double().to(x.device)

    return scores


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
