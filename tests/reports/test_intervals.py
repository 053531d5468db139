"""Intervals of means: coverage, degrees of freedom, and their texts."""

import numpy as np
import pytest

from tlbench.reports.statistics import intervals
from tlbench.reports.table import pair_texts


@pytest.mark.parametrize(("pairs", "seeds"), [(2, 3), (6, 3), (12, 5)])
def test_a_nominal_95_per_cent_interval_covers_the_truth_about_as_often(pairs, seeds):
    rng = np.random.default_rng(0)
    truth, sigma = rng.normal(50, 10, pairs), np.linspace(0.2, 2, pairs)
    values = truth[:, None] + sigma[:, None] * rng.normal(size=(20_000, pairs, seeds))
    mean, margin = intervals.over_pairs(values)
    assert 0.92 <= (abs(mean - truth.mean()) <= margin).mean() <= 0.98


def test_a_pair_without_noise_takes_no_degree_of_freedom():
    noisy = np.array([1.0, 2.0, 4.0])
    values = np.array([[noisy, np.full(3, 0.1)]])
    mean, margin = intervals.over_pairs(values)
    alone = intervals.over_seeds(noisy[None, None])
    assert margin.item() == pytest.approx(alone.margin.item() / 2)
    assert mean.item() == pytest.approx((7 / 3 + 0.1) / 2)


def test_tiny_variances_do_not_underflow():
    values = 1e-100 * np.array([[[1.0, 2.0, 4.0], [1.0, 3.0, 2.0]]])
    _, margin = intervals.over_pairs(values)
    assert margin.item() == pytest.approx(1e-100 * intervals.over_pairs(values * 1e100).margin.item())


def test_equal_values_have_exactly_no_variance():
    mean, margin = intervals.over_pairs(np.full((1, 3, 7), 0.1))
    assert mean.item() == pytest.approx(0.1)
    assert margin.item() == 0


def test_a_pair_that_is_significantly_better_or_worse_has_a_star():
    class One:
        pairs, decimals = ("a:b", "a:c", "a:d"), 1

    estimate = intervals.Estimate(np.array([[5.0, 0.5, -3.0]]), np.array([[1.0, 1.0, 2.0]]))
    shown = pair_texts(One, estimate, np.array([[1.0, 0.0, -1.0]]))
    assert shown == {"a:b": ["+5.0 ± 1.0 *"], "a:c": ["+0.5 ± 1.0"], "a:d": ["-3.0 ± 2.0 *"]}
    assert pair_texts(One, estimate)["a:b"] == ["5.0 ± 1.0"]
