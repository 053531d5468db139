"""Tasks that share a mean: augmented columns and limits."""

from __future__ import annotations

import numpy as np
import torch
from linear_samples import linear
from sklearn.linear_model import Ridge as TheirRidge

from tlbench.solvers import multi_task


def three() -> list[tuple[torch.Tensor, torch.Tensor]]:
    return [linear(30, 1), linear(20, 2, change=0.5), linear(3, 3, change=1.0)]


def test_tasks_with_a_mean_are_a_ridge_on_augmented_columns():
    """x / sqrt(common) in shared columns, x / sqrt(own) in the task's own: Daume's augmentation, weighted."""
    tasks, common, own = three(), 0.7, 2.0
    w_0, each = multi_task.mean_regularized(tasks, common, own)
    wide = []
    for number, (x, _) in enumerate(tasks):
        columns = torch.zeros(len(x), 20).double()
        columns[:, :5] = x / common**0.5
        columns[:, 5 * (number + 1) : 5 * (number + 2)] = x / own**0.5
        wide.append(columns)
    peer = TheirRidge(alpha=1.0, fit_intercept=False).fit(torch.cat(wide).numpy(), torch.cat([y for _, y in tasks]).numpy())
    coef = peer.coef_.ravel()
    assert np.allclose(w_0[:, 0].numpy(), coef[:5] / common**0.5, atol=1e-10)
    assert np.allclose(each[..., 0].numpy().ravel(), coef[5:] / own**0.5, atol=1e-10)
    assert torch.allclose(w_0, own / (common + 3 * own) * (w_0 + each).sum(dim=0))


def test_limits_of_the_shared_mean_are_pooling_and_no_sharing():
    tasks = three()
    pooled = [torch.cat(pair) for pair in zip(*tasks, strict=True)]
    w_0, each = multi_task.mean_regularized(tasks, 0.7, 1e10)
    assert np.allclose(
        w_0.T.numpy(), TheirRidge(alpha=0.7, fit_intercept=False).fit(*(p.numpy() for p in pooled)).coef_, atol=1e-6
    )
    w_0, each = multi_task.mean_regularized(tasks, 1e10, 0.7)
    for (x, y), v in zip(tasks, each, strict=True):
        assert np.allclose(v.T.numpy(), TheirRidge(alpha=0.7, fit_intercept=False).fit(x.numpy(), y.numpy()).coef_, atol=1e-6)
    x, y = tasks[0]
    w_0, each = multi_task.mean_regularized([(x, y)], 0.7, 2.0)
    alone = TheirRidge(alpha=0.7 * 2.0 / 2.7, fit_intercept=False).fit(x.numpy(), y.numpy())
    assert np.allclose((w_0 + each[0]).T.numpy(), alone.coef_)
