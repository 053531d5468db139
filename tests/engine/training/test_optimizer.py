"""The optimizer of a phase and its learning-rate schedule."""

from __future__ import annotations

import math

import pytest
import torch

from tlbench.engine.training.optimizer import PhaseOptimizer
from tlbench.errors import NotApplicableError
from tlbench.methods.base import Group, Phase
from tlbench.nn.gradient_reversal import reversal_schedule
from tlbench.suite import Training


def test_the_table_of_learning_rates_holds_those_of_each_step():
    net = torch.nn.ModuleList([torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)])
    groups = (Group((net[0],)), Group((net[1],), lambda progress: 2 * progress + 1))
    training = Training(steps=10, schedule="cosine", lr=0.1)
    optimizer = PhaseOptimizer(net, Phase(None, frozenset(), groups=groups), training, on_device=True)
    table = optimizer.learning_rate_table(10)
    for step in range(10):
        optimizer.set_progress(step / 10)
        now = [float(group["lr"]) for group in optimizer.torch_optimizer.param_groups]
        lr = 0.05 * (1 + math.cos(math.pi * step / 10))
        assert now == pytest.approx([lr, lr * (0.2 * step + 1)]) and table[step].tolist() == pytest.approx(now)
    late = PhaseOptimizer(
        net, Phase(None, frozenset(), groups=(groups[0], Group((net[1],), lambda p: float(p > 0.5)))), training
    )
    assert late.learning_rate_table(10) is None


def test_nothing_to_learn_is_not_applicable():
    with pytest.raises(NotApplicableError, match="Nothing learns"):
        PhaseOptimizer(torch.nn.Linear(2, 2), Phase(None, frozenset(), groups=(Group((torch.nn.ReLU(),)),)), Training())


def test_the_ramp_of_a_tensor_is_that_of_a_number():
    for progress in (0.0, 0.1, 0.5, 0.99):
        assert float(reversal_schedule(torch.tensor(progress), 10.0)) == pytest.approx(
            reversal_schedule(progress, 10.0), abs=1e-6
        )
