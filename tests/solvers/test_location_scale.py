"""The location-scale map by MMD."""

from __future__ import annotations

import pytest
import torch
from alignment_samples import mixed_samples

from tlbench.solvers import location_scale


def test_the_location_scale_map_stays_where_nothing_has_shifted_and_moves_where_it_has():
    x, y = mixed_samples(1, 60, 2), torch.nn.functional.one_hot(torch.arange(60) % 2).double()
    options = {"gamma": 0.2, "penalty": 1e-4, "iterations": 50, "landmarks": 1000}
    still = location_scale.fit_location_scale(x, x, y, **options)
    assert torch.allclose(still.samples, x, atol=1e-4) and still.initial_objective == pytest.approx(0, abs=1e-12)
    moved = location_scale.fit_location_scale(x, 1.5 * x + 2, y, **options)
    assert moved.final_objective < 0.02 * moved.initial_objective and torch.allclose(
        moved.samples.mean(0), 1.5 * x.mean(0) + 2, atol=0.3
    )
