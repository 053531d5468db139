"""Mean-regularised multi-task least squares: every task has its own weights around a shared mean, in closed form.

Evgeniou and Pontil, Regularized multi-task learning, KDD 2004 (with the square loss). https://doi.org/10.1145/1014052.1014067
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def mean_regularized(tasks: Sequence[tuple[Tensor, Tensor]], common: float, own: float) -> tuple[Tensor, Tensor]:
    """w_0 (D, K) and v_t (T, D, K) that minimise sum_t |y_t - X_t (w_0 + v_t)|^2 + common |w_0|^2 + own sum_t |v_t|^2.

    v_t is eliminated, which leaves one system of D unknowns, and one for each task. A task with fewer samples than columns is
    solved in the space of its samples (Woodbury).

    Args:
        tasks: X_t (N_t, D) and y_t (N_t, K) of each task.
        common: penalty of the shared weights.
        own: penalty of each task's own weights.
    """
    width = tasks[0][0].shape[1]
    eye = torch.eye(width).to(tasks[0][0])
    # G - G H G = own G H with H = (G + own I)^-1, and likewise for the right side
    reduced = [own * _inverse_times(x, x.T @ torch.cat([x, y], dim=1), own) for x, y in tasks]
    total = torch.stack(reduced).sum(dim=0)
    w_0 = torch.linalg.solve(common * eye + total[:, :width], total[:, width:])
    own_weights = [_inverse_times(x, x.T @ (y - x @ w_0), own) for x, y in tasks]
    return w_0, torch.stack(own_weights)


def _inverse_times(x_ND: Tensor, right_DK: Tensor, ridge: float) -> Tensor:
    """(X'X + ridge I)^-1 right."""
    count, width = x_ND.shape
    if count >= width:
        return torch.linalg.solve(x_ND.T @ x_ND + ridge * torch.eye(width).to(x_ND), right_DK)
    inner = torch.linalg.solve(x_ND @ x_ND.T + ridge * torch.eye(count).to(x_ND), x_ND @ right_DK)
    return (right_DK - x_ND.T @ inner) / ridge
