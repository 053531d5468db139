"""CoWA-JMDS: source-free adaptation on pseudo-labels of a Gaussian mixture, weighted by confidence, and mixed samples.

Lee, Jung, Yim and Yoon, Confidence score for source-free unsupervised domain adaptation, ICML 2022.
https://arxiv.org/abs/2206.06640
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from tlbench.errors import NotApplicableError
from tlbench.methods.base import Passes, Phase
from tlbench.methods.source_free._source_free import SourceFree
from tlbench.solvers.gaussian_mixture import log_posteriors
from tlbench.terms import Step


class CoWA(SourceFree):
    """Mean w CE(p(mixed sample), mixed pseudo-label) on batches of the target; w is the mixed JMDS score, in [0, 1].

    The score of a sample is the gap between its two largest log posteriors, over the largest gap, times its prediction of the
    pseudo-label. Each sample is mixed with another of the batch, by a share from Beta(alpha, alpha).
    """

    positions, draws_per_sample = False, True
    alpha: float = Field(0.2, ge=0, description="of the Beta distribution of the shares; the authors' VisDA: 2; 0: none")
    head_scale: float = Field(0.1, ge=0, description="of the classifier's learning rate on the target")
    rounds: int = Field(0, ge=0, description="how often pseudo-labels and scores are computed on the target; 0: once an epoch")

    def target_phase(self) -> Phase:
        """The phase on the target; the classifier learns slowly."""
        return self.adaptation(self.head_scale, self.relabel, self.rounds or None)

    def relabel(self, passes: Passes) -> None:
        """Compute the pseudo-labels (N,) and scores (N,) of all target samples."""
        features_ND = passes.map("target", self.net.backbone)
        self.label_N, self.score_N = self.scores(features_ND, self.net.head(features_ND).softmax(dim=1).detach())

    def scores(self, features_ND: Tensor, softmax_NC: Tensor) -> tuple[Tensor, Tensor]:
        """Features (N, D) and predictions (N, C) -> pseudo-labels (N,) and JMDS scores (N,).

        The mixture is fitted to the unit features by one round from the predictions, with covariances of all samples about each
        mean, and another from the posteriors of that round.
        """
        unit_ND = F.normalize(features_ND)
        posterior_NC = log_posteriors(unit_ND, softmax_NC, torch.ones_like(softmax_NC)).exp()
        logs_NC = log_posteriors(unit_ND, posterior_NC, posterior_NC)
        (first_N, second_N), label_N = logs_NC.topk(2, dim=1).values.T, logs_NC.argmax(dim=1)
        gap_N = (first_N - second_N) / (first_N - second_N).max().clamp_min(1e-12)
        return label_N, gap_N.to(softmax_NC) * softmax_NC.gather(1, label_N[:, None])[:, 0]

    def loss(self, step: Step) -> Tensor:
        """The weighted cross-entropy of mixed samples, a scalar.

        Raises:
            NotApplicableError: samples are token ids, which can't be mixed.
        """
        x, index_B = step.target, step.indices["target"]
        if x.dtype == torch.int32:
            raise NotApplicableError("cowa mixes samples, and these are token ids.")
        score_B = self.score_N[index_B]
        label_BC = score_B.new_zeros(len(x), self.classes).scatter(1, self.label_N[index_B][:, None], 1)
        if self.alpha:
            order_B, share_B = torch.rand(len(x), device=x.device).argsort(), self.draw_shares(score_B)
            x, label_BC, score_B = (mixed(values, order_B, share_B) for values in (x, label_BC, score_B))
        return (score_B * F.cross_entropy(self.net(x), label_BC, reduction="none")).mean()

    def draw_shares(self, like_B: Tensor) -> Tensor:
        """One share in [0, 1] for each number of a tensor (B,), on its device."""
        alpha_B = torch.full_like(like_B, self.alpha)
        return torch.distributions.Beta(alpha_B, alpha_B, validate_args=False).sample()


def mixed(x: Tensor, order_B: Tensor, share_B: Tensor) -> Tensor:
    """Values (B, ...) of which a share (B,) remains and the rest is that of the values in another order (B,)."""
    share = share_B.view(-1, *[1] * (x.ndim - 1))
    return share * x + (1 - share) * x[order_B]
