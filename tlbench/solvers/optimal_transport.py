"""Optimal transport plans between the samples of two domains, solved by POT, and what is moved along them.

Beyond a number of samples the plan is solved in random blocks of both domains (mini-batches; Fatras et al., AISTATS 2020,
https://arxiv.org/abs/1910.04091): only one block's plan is in memory, so that memory grows with the block and time with the
samples. Each solver's stopping rule stands in its docstring.

Flamary et al., POT: Python optimal transport, JMLR 2021. https://jmlr.org/papers/v22/20-451.html
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator
from typing import Any, Literal

import torch
from torch import Tensor

from tlbench.errors import TlbenchError
from tlbench.solvers.kernels.gaussian import squared_distances
from tlbench.solvers.sampling import content_order

CostUnit = Literal["median", "mean", "max", "none"]
PLAN_TOLERANCE = 1e-6
"""Mass, of 1, that a majorisation step of the class-regularised plan moves where it stops."""
MAX_NEWTON_STEPS = 50
"""Of an entropic plan that Sinkhorn's iteration has not solved."""
PlanSolver = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Cost (n, m) of a block, indices of its source samples (n,) and target samples (m,) -> plan (n, m) of uniform marginals."""


def cost_matrix(source_ND: Tensor, target_MD: Tensor, unit: CostUnit) -> Tensor:
    """Squared distances (N, M), divided by their median, mean or largest.

    Raises:
        TlbenchError: A distance is not finite.
    """
    squared = squared_distances(source_ND, target_MD)
    if not bool(torch.isfinite(squared).all()):
        raise TlbenchError(
            "The distances between these samples overflow. "
            "Scale the columns (prepare = ['zscore']) or the samples (prepare = ['l2'])."
        )
    if unit == "none":
        return squared
    typical = squared.median() if unit == "median" else squared.mean() if unit == "mean" else squared.max()
    return squared / (typical if float(typical) > 0 else squared.max().clamp_min(torch.finfo(squared.dtype).tiny))


def blocks(source_ND: Tensor, target_MD: Tensor, size: int) -> list[tuple[Tensor, Tensor]]:
    """Indices of the source samples and of the target samples of each block.

    There is one block where both domains have at most `size` samples. Otherwise both are split at random into equally many
    groups; a domain of at most `size` samples is in every block as a whole.
    """
    domains = source_ND, target_MD
    if max(map(len, domains)) <= size:
        return [(torch.arange(len(source_ND), device=source_ND.device), torch.arange(len(target_MD), device=target_MD.device))]
    count = -(-max(map(len, domains)) // size)

    def groups(x: Tensor) -> list[Tensor]:
        order = content_order(x)
        return [order] * count if len(x) <= size else list(order.tensor_split(count))

    return list(zip(groups(source_ND), groups(target_MD), strict=True))


def plans(
    source_ND: Tensor, target_MD: Tensor, solve: PlanSolver, size: int, unit: CostUnit
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """The plan (n, m) of each block, with the indices of its source samples (n,) and target samples (m,).

    Args:
        source_ND: source samples (N, D).
        target_MD: target samples (M, D).
        solve: gives the plan of a block.
        size: samples of a domain in a block, at most.
        unit: of the cost, see `cost_matrix`.
    """
    for of_source, of_target in blocks(source_ND, target_MD, size):
        yield solve(cost_matrix(source_ND[of_source], target_MD[of_target], unit), of_source, of_target), of_source, of_target


def transport_samples(source_ND: Tensor, target_MD: Tensor, solve: PlanSolver, size: int, unit: CostUnit) -> Tensor:
    """The barycentric map (N, D): each source sample at the plan's mean of target samples, averaged over its blocks.

    Args:
        source_ND: source samples (N, D).
        target_MD: target samples (M, D).
        solve: gives the plan of a block.
        size: samples of a domain in a block, at most.
        unit: of the cost, see `cost_matrix`.
    """
    total, times = torch.zeros_like(source_ND), source_ND.new_zeros(len(source_ND), 1)
    for plan, of_source, of_target in plans(source_ND, target_MD, solve, size, unit):
        total[of_source] += plan @ target_MD[of_target] / plan.sum(dim=1, keepdim=True)
        times[of_source] += 1
    return total / times


def propagate_labels(
    source_ND: Tensor, y_NK: Tensor, target_MD: Tensor, solve: PlanSolver, size: int, unit: CostUnit
) -> Tensor:
    """Label columns of the target samples (M, K): the plan's mean of the source's columns, averaged over the blocks.

    Args:
        source_ND: source samples (N, D).
        y_NK: their label columns (N, K), one-hot for classes.
        target_MD: target samples (M, D).
        solve: gives the plan of a block.
        size: samples of a domain in a block, at most.
        unit: of the cost, see `cost_matrix`.
    """
    total, times = target_MD.new_zeros(len(target_MD), y_NK.shape[1]), target_MD.new_zeros(len(target_MD), 1)
    for plan, of_source, of_target in plans(source_ND, target_MD, solve, size, unit):
        total[of_target] += plan.T @ y_NK[of_source].to(plan) / plan.sum(dim=0)[:, None]
        times[of_target] += 1
    return total / times


def exact_plan(cost_NM: Tensor) -> Tensor:
    """The plan (N, M) of least cost, by POT's network simplex on the CPU, in about N^3 log N; it stops at the optimum.

    Raises:
        TlbenchError: The optimum is not reached within 10,000,000 pivots.
    """
    ot = import_pot()
    marginals = [torch.full((n,), 1 / n, dtype=torch.float64).numpy() for n in cost_NM.shape]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # POT's warning is an error below
        plan, log = ot.emd(*marginals, cost_NM.double().cpu().numpy(), numItermax=10_000_000, log=True)
    if log["warning"] is not None:
        raise TlbenchError(f"The optimal transport plan of {tuple(cost_NM.shape)} samples was not solved: {log['warning']}")
    return torch.from_numpy(plan).to(cost_NM)


def sinkhorn_plan(cost_NM: Tensor, weight: float, iterations: int = 1000, tolerance: float = 1e-9) -> tuple[Tensor, bool]:
    """The plan (N, M) of least cost + weight sum G (log G - 1), by Sinkhorn's iteration on logarithms, on the cost's device.

    Cuturi, Sinkhorn distances, NIPS 2013. https://arxiv.org/abs/1306.0895
    Where two groups of samples are nearly apart the iteration creeps; Newton steps on its potentials then end it.

    Args:
        cost_NM: cost (N, M).
        weight: of the entropy, in units of the cost.
        iterations: at most, before the Newton steps.
        tolerance: of the target's marginals, where the iteration stops; the source's are always met.

    Returns:
        The plan, and whether the target's marginals are met to 10 times the tolerance.
    """
    ot = import_pot()
    marginals = [cost_NM.new_full((n,), 1 / n) for n in cost_NM.shape]
    plan, log = ot.sinkhorn(
        *marginals, cost_NM, weight, method="sinkhorn_log", numItermax=iterations, stopThr=tolerance, warn=False, log=True
    )
    if float((plan.sum(dim=0) - marginals[1]).norm()) > 10 * tolerance:
        plan = _newton_plan(-cost_NM / weight, log["log_v"], tolerance)
    return plan, float((plan.sum(dim=0) - marginals[1]).norm()) <= 10 * tolerance


def _newton_plan(logs_NM: Tensor, v_M: Tensor, tolerance: float) -> Tensor:
    """The plan exp(logs + u + v) of uniform marginals, by Newton steps on v; u meets the source's marginals for every v.

    Args:
        logs_NM: minus the cost over the entropy's weight (N, M).
        v_M: potentials (M,) to start from.
        tolerance: of the norm of the target's marginals.
    """
    count, width = logs_NM.shape

    def scaled(v: Tensor) -> tuple[Tensor, float]:
        """The plan and the dual objective, which is concave in v."""
        sums = (logs_NM + v).logsumexp(dim=1)
        return (logs_NM + v - sums[:, None]).exp() / count, float(v.mean() - sums.mean())

    plan, value = scaled(v_M)
    for _ in range(MAX_NEWTON_STEPS):
        gradient = 1 / width - plan.sum(dim=0)
        if float(gradient.norm()) <= tolerance:
            break
        hessian = (plan.sum(dim=0) + 1e-15).diag() - count * plan.T @ plan + 1 / width**2  # a constant moves nothing
        root, failed = torch.linalg.cholesky_ex(hessian)
        if int(failed):
            break
        step, size = torch.cholesky_solve(gradient[:, None], root)[:, 0], 1.0
        rise = float(gradient @ step)
        while size > 1e-6 and not (updated := scaled(v_M + size * step))[1] >= value + 1e-4 * size * rise - 1e-15 * abs(value):
            size /= 2
        if size <= 1e-6:
            break
        v_M, (plan, value) = v_M + size * step, updated
    return plan


def group_lasso_plan(
    cost_NM: Tensor, onehot_NC: Tensor, weight: float, group: float, *, outer: int = 1000, iterations: int = 200
) -> tuple[Tensor, float, bool]:
    """The entropic plan with group sum_j sum_c (mass of class c sent to target sample j)^(1/2) added to its objective.

    Each target sample then draws on few classes. The root is majorised: its tangent is added to the cost, again and again,
    until a step moves less than `PLAN_TOLERANCE` of the mass (Courty, Flamary, Tuia and Rakotomamonjy, IEEE TPAMI 2017,
    algorithm 1, https://arxiv.org/abs/1507.00504). Each Sinkhorn iteration starts from the potentials of the last.

    Args:
        cost_NM: cost (N, M).
        onehot_NC: one-hot classes (N, C) of the source samples.
        weight: of the entropy, in units of the cost.
        group: of the class term, in units of the cost.
        outer: majorisation steps, at most.
        iterations: of Sinkhorn within each step, at most.

    Returns:
        The plan, the mass that the last step moved, and whether the target's marginals are met.
    """
    ot = import_pot()
    onehot, slope = onehot_NC.to(cost_NM), torch.zeros_like(cost_NM)
    marginals = [cost_NM.new_full((n,), 1 / n) for n in cost_NM.shape]
    plan, potentials, moved, met = torch.zeros_like(cost_NM), None, math.inf, False
    for _ in range(outer):
        previous = plan
        plan, log = ot.sinkhorn(
            *marginals,
            cost_NM + group * slope,
            weight,
            method="sinkhorn_log",
            numItermax=iterations,
            stopThr=1e-9,
            warn=False,
            log=True,
            warmstart=potentials,
        )
        potentials = log["log_u"], log["log_v"]
        moved, met = float((plan - previous).abs().sum()), float((plan.sum(dim=0) - marginals[1]).norm()) <= 1e-8
        if met and (moved <= PLAN_TOLERANCE or not group):
            break
        slope = onehot @ (0.5 * (onehot.T @ plan + 1e-3).rsqrt())
    return plan, moved if group else 0.0, met


def import_pot() -> Any:
    """The module `ot`.

    Raises:
        TlbenchError: POT is not installed.
    """
    import os

    # POT would also import an installed TensorFlow, and both compilers in one process crash it
    os.environ.setdefault("POT_BACKEND_DISABLE_TENSORFLOW", "1")
    try:
        import ot
    except ModuleNotFoundError as error:
        raise TlbenchError("POT, which solves optimal transport, is not installed. pip install 'tlbench[ot]'") from error
    return ot
