"""Instance reweighting by the odds of a domain classifier: source rows that look like target rows count more.

Bickel, Brueckner and Scheffer, Discriminative learning for differing training and test distributions, ICML 2007 (the
two-step form).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from tlbench.methods.base import Phase, Rows, Trained
from tlbench.nn.learners import logistic
from tlbench.terms import Step


class DiscriminatorReweight(Trained):
    """w(x) = (N_s / N_t) P(target | x) / P(source | x), capped, then of mean 1; the loss is the weighted cross-entropy.

    P is a logistic regression on the raw inputs, fitted out of fold: else a flexible one gives every row away.
    """

    reads = frozenset({"source", "target"})
    cap: float = Field(10.0, gt=0, description="largest weight, in multiples of the mean before the cap")
    penalty: float = Field(1.0, gt=0, description="L2 penalty of the domain classifier; the larger, the flatter the weights")
    folds: int = Field(3, ge=2, description="parts for the out-of-fold odds")
    iterations: int = Field(50, ge=1, description="L-BFGS steps of the domain classifier")

    def phases(self) -> tuple[Phase, ...]:
        """Weights first, then the training."""
        return (Phase(self.loss, frozenset({"source"}), begin=self.weigh, passes=frozenset({"target"})),)

    def weigh(self, rows: Rows) -> None:
        """Fit the domain classifier on all granted rows, out of fold."""
        source, target = (rows.map(part, lambda x: x.flatten(1)) for part in ("source", "target"))
        x = torch.cat([source, target])
        is_target = torch.cat([source.new_zeros(len(source)), source.new_ones(len(target))]).long()
        fold = torch.randperm(len(x)).to(x.device) % self.folds
        log_odds = x.new_zeros(len(x), dtype=torch.float64)
        for k in range(self.folds):
            fit, score = fold != k, fold == k
            scores = logistic(x[fit], is_target[fit], 2, penalty=self.penalty, iterations=self.iterations)(x[score])
            log_odds[score] = scores[:, 1] - scores[:, 0]
        # shifting the log-odds to mean weight 1 holds the prior factor N_s / N_t; exp is safe after the shift
        logs = log_odds[: len(source)]
        weights = (logs - torch.logsumexp(logs, 0) + torch.tensor(float(len(logs))).log().to(logs)).exp()
        capped = weights.clamp_max(self.cap)
        self.weight_N = (capped / capped.mean()).float()

    def loss(self, step: Step) -> Tensor:
        """Mean of w CE over the batch."""
        losses = F.cross_entropy(self.net(step.source.x), step.source.y, reduction="none")
        return (self.weight_N[step.rows["source"]] * losses).mean()
