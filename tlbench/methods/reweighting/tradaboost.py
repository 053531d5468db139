"""TrAdaBoost: boosting in which misclassified source samples lose weight and misclassified target samples gain it.

Dai, Yang, Xue and Yu, Boosting for transfer learning, ICML 2007. https://doi.org/10.1145/1273496.1273521
Regression is TrAdaBoost.R2: Pardoe and Stone, Boosting for regression transfer, ICML 2010.
https://icml.cc/Conferences/2010/papers/366.pdf
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from tlbench.methods import shallow
from tlbench.methods.base import Predictor, ShallowMethod
from tlbench.solvers import base_learners
from tlbench.solvers.reweighting import boosting
from tlbench.terms import Task


class TrAdaBoost(ShallowMethod):
    """The later half of the rounds votes, each with ln(1 / beta_t), beta_t = e_t / (1 - e_t).

    The error of a sample is 0 or 1, however many classes there are; in a regression it is its share of the largest error. The
    target's error e_t is clipped to 1e-10 and 0.499: at 0 the paper's method would end, from 1/2 on its weights would reverse.
    """

    reads = frozenset({"source", "target_labeled"})
    tasks = shallow.BOTH_TASKS
    learner: base_learners.WeightedLearner = Field(
        "svm", description="fitted in every round on all samples; in a regression it is ridge"
    )
    c: float = Field(1.0, gt=0, description="inverse penalty of the learner, for weights of mean 1")
    rounds: int = Field(20, ge=1, description="N, number of learners")

    def fit(self, task: Task) -> Predictor:
        """N weighted fits on the source samples and the labelled target samples."""
        source, target = shallow.source_samples(self, task), shallow.target_labeled_samples(task)
        x, y = torch.cat([source.x, target.x]), torch.cat([source.y, target.y])
        is_target = torch.arange(len(y), device=y.device) >= len(source)

        def fit_weighted(weight_N: Tensor) -> base_learners.Scorer:
            return base_learners.fit_learner(
                self.learner, x, y, task.classes, weight_N=weight_N, c=self.c, regression=task.regression, note=self.note
            )

        def sample_errors(scorer: base_learners.Scorer) -> Tensor:
            if not task.regression:
                return (scorer(x).argmax(dim=1) != y).double()
            error = (scorer(x) - y).abs().mean(dim=1)
            return error / error.max().clamp_min(torch.finfo(error.dtype).tiny)

        boosted = boosting.tradaboost(fit_weighted, sample_errors, is_target, self.rounds)
        if clipped := sum(error >= boosting.MAX_ERROR for error in boosted.errors):
            self.note(f"The target error is clipped to {boosting.MAX_ERROR} in {clipped} of {self.rounds} rounds.")
        scorers, weights = zip(*boosted.voters(), strict=True)

        def vote(x: Tensor) -> Tensor:
            outputs = [scorer(x.flatten(1)) for scorer in scorers]
            if task.regression:
                return boosting.weighted_median(torch.stack(outputs), torch.tensor(weights).to(outputs[0]))
            votes = [w * F.one_hot(scores.argmax(dim=1), task.classes) for scores, w in zip(outputs, weights, strict=True)]
            return torch.stack(votes).sum(dim=0)

        return vote
