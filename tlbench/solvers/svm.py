"""Linear support vector machines of two classes, and the exchange of source rows for target rows of the margin (DASVM)."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from tlbench.solvers import base_learners

Machine = Callable[[Tensor], Tensor]
"""Rows (N, D) -> signed distance from the boundary (N,), in units of the margin."""


ITERATIONS = 100_000
"""At most, for one machine: where no line separates the classes libsvm can go on for hours."""
WHOLE = 6000
"""Rows of both domains up to which all products of two rows are kept (275 MiB): a round then costs none."""


@dataclass(frozen=True)
class DasvmState:
    """The last machine, the rounds that were run, the source rows that were still there, and machines cut off on the way."""

    machine: Machine
    rounds: int
    source_left: int
    cut_off: int = 0


def products(source_ND: Tensor, target_MD: Tensor) -> Tensor | None:
    """All products of two rows (N + M, N + M), the source's first; None where they are too many to keep."""
    rows = torch.cat([source_ND, target_MD])
    return rows @ rows.T if len(rows) <= WHOLE else None


def fit_svm(x_ND: Tensor, sign_N: Tensor, c: float, products_NN: Tensor | None = None) -> tuple[Machine, bool]:
    """Linear machine of the signs -1 and 1 (libsvm through scikit-learn, on the CPU); rows of one sign give that sign.

    Also whether it was solved within `ITERATIONS`. `products_NN` is x x' where that is known: the machine is the same, and
    libsvm need not go through the columns.

    Raises:
        TlbenchError: rows too long for libsvm.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.svm import SVC

    if bool((sign_N == sign_N[0]).all()):
        constant = float(sign_N[0])
        return lambda x: x.new_full((len(x),), constant, dtype=torch.float64), True
    base_learners.refuse_long(x_ND)
    kernel, given = ("linear", x_ND) if products_NN is None else ("precomputed", products_NN)
    # a tight tolerance: which rows lie nearest the edge must not hang on the order of the rows
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # it is told below
        fitted = SVC(kernel=kernel, C=c, tol=1e-6, max_iter=ITERATIONS).fit(given.cpu().numpy(), sign_N.cpu().numpy())
    normal = torch.tensor(fitted.dual_coef_[0]).to(x_ND) @ x_ND[torch.tensor(fitted.support_, device=x_ND.device).long()]
    offset = float(fitted.intercept_[0])
    return lambda x: x.double() @ normal + offset, int(fitted.n_iter_[0]) < ITERATIONS


def dasvm(
    source_ND: Tensor,
    sign_N: Tensor,
    target_MD: Tensor,
    *,
    c: float,
    count: int,
    rounds: int,
    known: Tensor | None = None,
) -> DasvmState:
    """From a machine of the source to one of target rows labelled by themselves.

    Args:
        source_ND: rows.
        sign_N: their signs; where all are one there is nothing to exchange.
        target_MD: rows without labels.
        c: cost of a slack.
        count: rows taken in and dropped, a side and round.
        rounds: at most.
        known: `products` of the rows; libsvm computes them in every round where it is None.
    """

    def trained(chosen: Tensor, signs: Tensor) -> tuple[Machine, bool]:
        return fit_svm(pool[chosen], signs, c, None if known is None else known[chosen][:, chosen])

    pool = torch.cat([source_ND, target_MD])
    every = torch.arange(len(pool), device=pool.device)
    current, solved = trained(every[: len(source_ND)], sign_N)
    cut_off = int(not solved)
    if bool((sign_N == sign_N[0]).all()):
        return DasvmState(current, 0, 0)  # nothing was solved
    kept_N = torch.ones(len(source_ND), dtype=torch.bool, device=source_ND.device)
    taken_M = torch.zeros(len(target_MD), dtype=torch.bool, device=target_MD.device)
    label_M = torch.zeros(len(target_MD)).to(target_MD)
    done = 0
    while done < rounds:
        at_M, at_N = current(target_MD), current(source_ND)
        taken_M &= torch.sign(at_M) == label_M  # who changed sides goes back
        waiting = ~taken_M & (at_M.abs() < 1)
        if not bool(waiting.any()):
            break
        for side in (1.0, -1.0):
            here = (waiting & (torch.sign(at_M) == side)).nonzero().squeeze(1)
            nearest = here[torch.argsort(at_M[here].abs(), descending=True)[:count]]
            taken_M[nearest], label_M[nearest] = True, side
            there = (kept_N & (torch.sign(at_N) == side)).nonzero().squeeze(1)
            kept_N[there[torch.argsort(at_N[there].abs(), descending=True)[:count]]] = False
        current, solved = trained(every[torch.cat([kept_N, taken_M])], torch.cat([sign_N[kept_N], label_M[taken_M]]))
        cut_off, done = cut_off + (not solved), done + 1
    said = torch.where(current(target_MD) >= 0, 1.0, -1.0).to(sign_N)
    last, solved = trained(every[len(source_ND) :], said)
    return DasvmState(last, done, int(kept_N.sum()), cut_off + (not solved))
