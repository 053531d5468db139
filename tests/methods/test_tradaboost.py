"""TrAdaBoost as a method."""

from __future__ import annotations

import torch

from tlbench import checks
from tlbench.solvers import base_learners


def test_one_round_of_boosting_is_the_learner_on_pooled_samples():
    task = checks.toy_task()
    assert task.source is not None and task.target_labeled is not None
    x, y = torch.cat([task.source.x, task.target_labeled.x]), torch.cat([task.source.y, task.target_labeled.y])
    pooled = base_learners.fit_svm(x, y, 3)(checks.toy_samples(4, 90).x).argmax(1)
    assert torch.equal(
        checks.scores_after_fit("tradaboost", task, {"rounds": 1}).argmax(1),
        base_learners.fit_svm(x, y, 3)(checks.toy_samples(4, 90, shift=0.7).x).argmax(1),
    )
    assert pooled.shape == (90,)
