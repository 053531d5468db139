"""TrAdaBoost: boosting in which source rows that are wrong lose weight, and target rows that are wrong gain it.

Dai, Yang, Xue and Yu, Boosting for transfer learning, ICML 2007; its form for regression, TrAdaBoost.R2: Pardoe and Stone,
Boosting for regression transfer, ICML 2010.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from tlbench.methods import shallow
from tlbench.methods.base import Predictor, ShallowMethod
from tlbench.solvers import base_learners, boosting
from tlbench.terms import Task


class TrAdaBoost(ShallowMethod):
    """The later half of the rounds votes, each with ln(1 / beta_t), beta_t = e_t / (1 - e_t).

    A row of a class is right or wrong, however many classes there are; of a regression, wrong by its share of the largest
    error. The target's error e_t is held within 1e-10 and 0.499: at 0 the paper's method would end, from 1/2 on turn round.
    """

    reads = frozenset({"source", "target_labeled"})
    tasks = shallow.BOTH_TASKS
    learner: base_learners.Weighted = Field(
        "svm", description="trained in every round on all rows; in a regression it is ridge"
    )
    c: float = Field(1.0, gt=0, description="inverse penalty of the learner, for weights of mean 1")
    rounds: int = Field(20, ge=1, description="N, how many learners are trained")

    def fit(self, task: Task) -> Predictor:
        """N weighted fits on source and few together."""
        assert task.target_labeled is not None
        source = shallow.source_samples(self, task)
        x = torch.cat([source.x, shallow.sample_matrix(task.target_labeled.x, "target_labeled")])
        y = torch.cat([source.y, task.target_labeled.y])
        is_target = torch.arange(len(y), device=y.device) >= len(source)

        def train(weight_N: Tensor) -> base_learners.Scorer:
            return base_learners.fit_learner(
                self.learner, x, y, task.classes, weight_N=weight_N, c=self.c, regression=task.regression
            )

        def wrong(scorer: base_learners.Scorer) -> Tensor:
            if not task.regression:
                return (scorer(x).argmax(dim=1) != y).double()
            error = (scorer(x) - y).abs().mean(dim=1)
            return error / error.max().clamp_min(torch.finfo(error.dtype).tiny)

        boosted = boosting.two_domain_boosting(train, wrong, is_target, self.rounds)
        if over := sum(error >= boosting.MOST for error in boosted.errors):
            self.note(
                f"{over} of {self.rounds} rounds wrong on half of the target's weight or more: counted as {boosting.MOST}"
            )
        scorers, voices = zip(*boosted.later(), strict=True)

        def votes(x: Tensor) -> Tensor:
            said = [scorer(x.flatten(1)) for scorer in scorers]
            if task.regression:
                return boosting.weighted_median(torch.stack(said), torch.tensor(voices).to(said[0]))
            hard = [voice * F.one_hot(s.argmax(dim=1), task.classes) for s, voice in zip(said, voices, strict=True)]
            return torch.stack(hard).sum(dim=0)

        return votes
