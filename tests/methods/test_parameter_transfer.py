"""Parameter transfer methods: what they gain from a source, and bad input."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from linear_samples import linear

from tlbench import checks, methods
from tlbench.terms import Labelled, Task

NAMES = ("biased_regularization", "bayesian_prior", "multi_task_ridge")


def squared_error(
    name: str, source: Labelled, target_labeled: Labelled, x: torch.Tensor, y: torch.Tensor, **options: Any
) -> float:
    """Mean squared error of a method on target samples."""
    torch.manual_seed(0)
    method = methods.method_class(name)(**methods.method_options(name, options))
    granted = {
        split: samples for split, samples in (("source", source), ("target_labeled", target_labeled)) if split in method.reads
    }
    return float((method.fit(Task(1, **granted, regression=True))(x) - y).square().mean())


@pytest.mark.parametrize("name", NAMES)
def test_a_near_source_helps_and_a_far_one_hurts_little(name):
    """Fifteen target samples of 12 columns determine little alone. A source of other weights is hardly used."""
    near, far = [], []
    for seed in range(5):
        x, y = linear(400, 100 + seed, columns=12)
        target_labeled = Labelled(*(a.float() for a in linear(15, 200 + seed, columns=12)))
        alone = squared_error("target_ridge", target_labeled, target_labeled, x.float(), y)
        for change, ratios in ((0.0, near), (6.0, far)):
            source = Labelled(*(a.float() for a in linear(300, seed, change=change, columns=12)))
            ratios.append(squared_error(name, source, target_labeled, x.float(), y) / alone)
    assert np.median(near) < 0.5
    assert np.median(far) < 2.5


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("fault", ["one sample", "one class", "empty columns", "many columns"])
def test_few_or_degenerate_labelled_samples_end_in_numbers(name, fault):
    source, target_labeled = checks.toy_samples(1), checks.toy_samples(3, 6)
    if fault == "one sample":
        target_labeled = target_labeled[torch.tensor([0])]
    elif fault == "one class":
        target_labeled = target_labeled[target_labeled.y == 1]
    elif fault == "empty columns":
        source, target_labeled = Labelled(source.x * 0, source.y), Labelled(target_labeled.x * 0, target_labeled.y)
    else:
        wide = torch.randn(6, 200, generator=torch.Generator().manual_seed(0))
        source, target_labeled = Labelled(source.x @ wide, source.y), Labelled(target_labeled.x @ wide, target_labeled.y)
    method = methods.method_class(name)(**methods.method_options(name, {}))
    with torch.no_grad():
        scores = method.fit(Task(3, source, None, target_labeled))(target_labeled.x)
    assert scores.shape == (len(target_labeled), 3) and bool(torch.isfinite(scores).all())


def test_several_sources_are_tasks_or_a_mean_of_models():
    samples = checks.toy_samples(1)
    two = Labelled(samples.x, samples.y, torch.arange(120) % 2)
    task = Task(3, two, None, checks.toy_samples(3, 15))
    assert checks.fit_method("biased_regularization", task).notes == ("The weights are the mean over 2 sources.",)
    assert checks.fit_method("bayesian_prior", task).notes == ("2 sources are pooled.",)
    assert checks.fit_method("multi_task_ridge", task).notes == ()
