"""Gains of reweighting methods on simulated shifts, as 95 per cent intervals over seeds."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from reweighting_samples import FAMILY, RATIOS, method

from tlbench.data.readers import simulated
from tlbench.solvers import base_learners
from tlbench.terms import Labelled, Task


def simulated_pair(shift: str, seed: int, count: int = 400) -> tuple[Labelled, Labelled]:
    amount = {"covariate": 1.0, "target": 3.0, "subspace": 1.3}[shift]
    domains = []
    for split in ("source", "target"):
        options = simulated.Options(shift=shift, part=split, amount=amount, count=count, seed=seed)
        x, y = simulated.read(options, None)
        domains.append(Labelled(torch.tensor(x).float(), torch.tensor(y)))
    return domains[0], domains[1]


def gains(name: str, shift: str, seeds: int = 6, count: int = 400, learner: str = "ridge") -> np.ndarray:
    """Accuracy on the target minus that of the same linear learner without weights, in points, for each seed."""
    actual = []
    for seed in range(seeds):
        source, target = simulated_pair(shift, seed, count)
        with torch.no_grad():
            scores = method(name, learner=learner).fit(Task(2, source, target.x))(target.x)
            plain = base_learners.fit_learner(learner, source.x, source.y, 2)(target.x)
        actual.append([float((s.argmax(1) == target.y).double().mean()) for s in (scores, plain)])
    return 100 * np.diff(np.array(actual)[:, ::-1], axis=1)[:, 0]


def interval(values: np.ndarray) -> tuple[float, float]:
    """95 per cent, Student's t."""
    from scipy.stats import t

    margin = t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / math.sqrt(len(values))
    return values.mean() - margin, values.mean() + margin


@pytest.mark.parametrize("name", RATIOS)
def test_reweighting_helps_a_misspecified_model_under_covariate_shift(name):
    """A line can't follow both groups; weights tell it which of them the target is in."""
    assert interval(gains(name, "covariate"))[0] > 0


@pytest.mark.parametrize("name", ["bbse", "mmd_target_shift"])
def test_class_weights_help_under_label_shift(name):
    assert interval(gains(name, "target", count=1000, learner="logistic"))[0] > 0


@pytest.mark.parametrize("name", FAMILY)
def test_reweighting_does_not_mend_a_subspace_shift(name):
    """The boundary rotates by 117 degrees: no weighting of the source samples rotates it."""
    assert interval(gains(name, "subspace", seeds=4))[0] < 0.5
