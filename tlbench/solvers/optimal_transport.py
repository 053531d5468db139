"""Optimal transport plans between rows, solved by POT; beyond a number of rows in blocks of both domains (mini-batches).

A plan is only ever held for one block, so that memory grows with the block and time with the rows.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any, Literal

import torch
from torch import Tensor

from tlbench.errors import TlbenchError
from tlbench.solvers.kernels import squared_distances
from tlbench.solvers.nystrom import content_order

Unit = Literal["median", "mean", "max", "none"]
Plan = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Cost (N, M) of a block, its source rows' numbers (N,) and target rows' numbers (M,) -> plan (N, M) with uniform margins."""


def cost(source_ND: Tensor, target_MD: Tensor, unit: Unit) -> Tensor:
    """Squared distances (N, M) over their median, mean or largest."""
    squared = squared_distances(source_ND, target_MD)
    if not bool(torch.isfinite(squared).all()):
        raise TlbenchError("distances between these rows overflow; scale the columns (prepare = ['zscore']) or the rows ('l2')")
    if unit == "none":
        return squared
    typical = squared.median() if unit == "median" else squared.mean() if unit == "mean" else squared.max()
    return squared / (typical if float(typical) > 0 else squared.max().clamp_min(torch.finfo(squared.dtype).tiny))


def blocks(source_ND: Tensor, target_MD: Tensor, size: int) -> list[tuple[Tensor, Tensor]]:
    """Numbers of the rows of each block: all of them, or parts of at most `size`, at random whatever the order of the rows.

    Both domains are cut into equally many parts; a domain that fits one block whole is whole in each.
    """
    rows = source_ND, target_MD
    if max(map(len, rows)) <= size:
        return [(torch.arange(len(rows[0]), device=rows[0].device), torch.arange(len(rows[1]), device=rows[1].device))]
    count = -(-max(map(len, rows)) // size)

    def parts(x: Tensor) -> list[Tensor]:
        order = content_order(x)
        return [order] * count if len(x) <= size else list(order.tensor_split(count))

    return list(zip(parts(rows[0]), parts(rows[1]), strict=True))


def plans(source_ND: Tensor, target_MD: Tensor, solve: Plan, size: int, unit: Unit) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Plan (n, m) of each block with the numbers of its source rows (n,) and target rows (m,)."""
    for of_source, of_target in blocks(source_ND, target_MD, size):
        yield solve(cost(source_ND[of_source], target_MD[of_target], unit), of_source, of_target), of_source, of_target


def transport(source_ND: Tensor, target_MD: Tensor, solve: Plan, size: int, unit: Unit) -> Tensor:
    """Each source row at the mean of the target rows that it is sent to (N, D), over all blocks that it is in."""
    total, times = torch.zeros_like(source_ND), source_ND.new_zeros(len(source_ND), 1)
    for plan, of_source, of_target in plans(source_ND, target_MD, solve, size, unit):
        total[of_source] += plan @ target_MD[of_target] / plan.sum(dim=1, keepdim=True)
        times[of_source] += 1
    return total / times


def carry_labels(source_ND: Tensor, y_NK: Tensor, target_MD: Tensor, solve: Plan, size: int, unit: Unit) -> Tensor:
    """Columns of the source rows, carried to the target rows (M, K): each one's mean over the rows that are sent to it."""
    total, times = target_MD.new_zeros(len(target_MD), y_NK.shape[1]), target_MD.new_zeros(len(target_MD), 1)
    for plan, of_source, of_target in plans(source_ND, target_MD, solve, size, unit):
        total[of_target] += plan.T @ y_NK[of_source].to(plan) / plan.sum(dim=0)[:, None]
        times[of_target] += 1
    return total / times


def exact_plan(cost_NM: Tensor) -> Tensor:
    """The plan of least cost, by the network simplex on the CPU, about N^3 log N."""
    ot = library()
    margins = [torch.full((n,), 1 / n, dtype=torch.float64).numpy() for n in cost_NM.shape]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what POT warns of is an error here
        plan, said = ot.emd(*margins, cost_NM.double().cpu().numpy(), numItermax=10_000_000, log=True)
    if said["warning"] is not None:
        raise TlbenchError(f"the transport plan of {tuple(cost_NM.shape)} rows was not found: {said['warning']}")
    return torch.from_numpy(plan).to(cost_NM)


def sinkhorn_plan(cost_NM: Tensor, weight: float, iterations: int = 1000, tolerance: float = 1e-9) -> tuple[Tensor, bool]:
    """The plan of least cost + weight sum G (log G - 1), by Sinkhorn's iteration on logarithms, where the cost lies.

    Also whether the margins of the target came out to `tolerance`; those of the source always do.
    """
    ot = library()
    margins = [cost_NM.new_full((n,), 1 / n) for n in cost_NM.shape]
    plan = ot.sinkhorn(*margins, cost_NM, weight, method="sinkhorn_log", numItermax=iterations, stopThr=tolerance, warn=False)
    return plan, float((plan.sum(dim=0) - margins[1]).norm()) <= 10 * tolerance


def group_lasso_plan(
    cost_NM: Tensor, onehot_NC: Tensor, weight: float, group: float, *, outer: int = 10, iterations: int = 200
) -> tuple[Tensor, bool]:
    """`entropic` + group sum_j sum_c (mass of class c sent to target row j)^(1/2): each target row draws on few classes.

    By majorisation: the root's tangent is added to the cost, `outer` times (Courty et al. 2017, algorithm 1).
    """
    onehot, slope, done = onehot_NC.to(cost_NM), torch.zeros_like(cost_NM), True
    plan = cost_NM
    for _ in range(outer):
        plan, done = sinkhorn_plan(cost_NM + group * slope, weight, iterations)
        slope = onehot @ (0.5 * (onehot.T @ plan + 1e-3).rsqrt())
    return plan, done


def library() -> Any:
    """POT.

    Raises:
        TlbenchError: it is not installed.
    """
    import os

    # beside TensorFlow it would load that too, and both compilers in one process end it
    os.environ.setdefault("POT_BACKEND_DISABLE_TENSORFLOW", "1")
    try:
        import ot
    except ModuleNotFoundError as error:
        raise TlbenchError("optimal transport needs POT; pip install 'tlbench[ot]'") from error
    return ot
