"""Binary linear support vector machines, and DASVM: the exchange of source samples for target samples in the margin.

The machines are libsvm's, through scikit-learn on the CPU, to `TOLERANCE` or `MAX_ITERATIONS`. DASVM stops where no
target sample is left in the margin, or after a number of rounds.

Bruzzone and Marconcini, Domain adaptation problems: a DASVM classification technique and a circular validation strategy, IEEE
TPAMI 2010. https://doi.org/10.1109/TPAMI.2009.57
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from tlbench.solvers import base_learners

DecisionFunction = Callable[[Tensor], Tensor]
"""Samples (N, D) -> signed distance from the boundary (N,), in units of the margin."""


TOLERANCE = 1e-6
"""Of the optimality conditions, in units of the margin."""
MAX_ITERATIONS = 100_000
"""Of one machine: where no hyperplane separates the classes libsvm can run for hours."""
MAX_GRAM_SAMPLES = 6000
"""Samples of both domains up to which their Gram matrix is stored (275 MiB): a round then need not compute products."""


@dataclass(frozen=True)
class DasvmResult:
    """The last machine, the rounds that were run, the source samples that remained, and the machines that did not converge."""

    decision: DecisionFunction
    rounds: int
    remaining_sources: int
    unconverged: int = 0


def gram_matrix(source_ND: Tensor, target_MD: Tensor) -> Tensor | None:
    """Inner products (N + M, N + M) of all samples, the source's first; None where they are too many to store."""
    pooled = torch.cat([source_ND, target_MD])
    return pooled @ pooled.T if len(pooled) <= MAX_GRAM_SAMPLES else None


def fit_binary_svm(x_ND: Tensor, sign_N: Tensor, c: float, gram_NN: Tensor | None = None) -> tuple[DecisionFunction, bool]:
    """Fit a linear machine of the signs -1 and 1, and say whether it converged within `MAX_ITERATIONS`.

    Args:
        x_ND: samples (N, D), float64.
        sign_N: signs (N,); where all are equal the decision is that sign.
        c: cost of a slack.
        gram_NN: x x' (N, N) where it is known: the machine is the same, and libsvm need not go through the columns.

    Raises:
        TlbenchError: A sample is too long for libsvm.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.svm import SVC

    if bool((sign_N == sign_N[0]).all()):
        constant = float(sign_N[0])
        return lambda x: x.new_full((len(x),), constant, dtype=torch.float64), True
    base_learners.check_norms(x_ND)
    kernel, inputs = ("linear", x_ND) if gram_NN is None else ("precomputed", gram_NN)
    # the tolerance is tight: which samples lie nearest the edge must not depend on the order of the samples
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # it is returned below
        fitted = SVC(kernel=kernel, C=c, tol=TOLERANCE, max_iter=MAX_ITERATIONS).fit(inputs.cpu().numpy(), sign_N.cpu().numpy())
    normal = torch.tensor(fitted.dual_coef_[0]).to(x_ND) @ x_ND[torch.tensor(fitted.support_, device=x_ND.device).long()]
    offset = float(fitted.intercept_[0])
    return lambda x: x.double() @ normal + offset, int(fitted.n_iter_[0]) < MAX_ITERATIONS


def dasvm(
    source_ND: Tensor,
    sign_N: Tensor,
    target_MD: Tensor,
    *,
    c: float,
    count: int,
    rounds: int,
    gram: Tensor | None = None,
) -> DasvmResult:
    """Move from a machine of the source to a machine of the target samples with their own pseudo-labels.

    Args:
        source_ND: source samples (N, D).
        sign_N: their signs (N,); where all are equal there is nothing to exchange.
        target_MD: target samples (M, D) without labels.
        c: cost of a slack.
        count: samples that are added and dropped for each side and round.
        rounds: at most.
        gram: `gram_matrix` of both domains; libsvm computes the products in every round where it is None.
    """

    def fit(indices: Tensor, signs: Tensor) -> tuple[DecisionFunction, bool]:
        return fit_binary_svm(pooled[indices], signs, c, None if gram is None else gram[indices][:, indices])

    pooled = torch.cat([source_ND, target_MD])
    all_indices = torch.arange(len(pooled), device=pooled.device)
    decision, converged = fit(all_indices[: len(source_ND)], sign_N)
    unconverged = int(not converged)
    if bool((sign_N == sign_N[0]).all()):
        return DasvmResult(decision, 0, 0)  # the decision is constant
    remaining_N = torch.ones(len(source_ND), dtype=torch.bool, device=source_ND.device)
    added_M = torch.zeros(len(target_MD), dtype=torch.bool, device=target_MD.device)
    label_M = torch.zeros(len(target_MD)).to(target_MD)
    round_number = 0
    while round_number < rounds:
        value_M, value_N = decision(target_MD), decision(source_ND)
        added_M &= torch.sign(value_M) == label_M  # a sample that changed sides is no longer labelled
        candidates = ~added_M & (value_M.abs() < 1)
        if not bool(candidates.any()):
            break
        for side in (1.0, -1.0):
            on_side = (candidates & (torch.sign(value_M) == side)).nonzero().squeeze(1)
            nearest = on_side[torch.argsort(value_M[on_side].abs(), descending=True)[:count]]
            added_M[nearest], label_M[nearest] = True, side
            sources = (remaining_N & (torch.sign(value_N) == side)).nonzero().squeeze(1)
            remaining_N[sources[torch.argsort(value_N[sources].abs(), descending=True)[:count]]] = False
        decision, converged = fit(
            all_indices[torch.cat([remaining_N, added_M])], torch.cat([sign_N[remaining_N], label_M[added_M]])
        )
        unconverged, round_number = unconverged + (not converged), round_number + 1
    pseudo_labels = torch.where(decision(target_MD) >= 0, 1.0, -1.0).to(sign_N)
    decision, converged = fit(all_indices[len(source_ND) :], pseudo_labels)
    return DasvmResult(decision, round_number, int(remaining_N.sum()), unconverged + (not converged))
