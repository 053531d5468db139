"""Balanced distribution adaptation: JDA with a weight between the means of the domains and the means of their classes.

Wang, Chen, Hao, Feng and Shen, Balanced distribution adaptation for transfer learning, ICDM 2017.
https://arxiv.org/abs/1807.00516
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from tlbench.methods import shallow
from tlbench.methods.alignment.jda import JDA
from tlbench.terms import Labelled, Task


class BDA(JDA):
    """M = (1 - balance) C e_0 e_0' + balance sum_c e_c e_c', then as JDA, which it is at a balance of 0.5.

    The paper chooses the balance with target labels; here it is the suite's. At a balance of 1 there are only the classes, so
    that the first round takes the pseudo-labels of the learner without adaptation.
    """

    balance: float = Field(0.5, ge=0, le=1, description="0: only the means of the domains; 1: only those of the classes")
    weighted: bool = Field(False, description="W-BDA: class c of the target is weighted by P_t(c) / P_s(c)")

    def contrasts(self, marginal: Tensor, conditional: Tensor | None, y: Tensor, pseudo_labels: Tensor | None) -> Tensor:
        """Both groups of contrasts, each times the root of its weight.

        Args:
            marginal: as in `JDA.contrasts`, (N, 1).
            conditional: as in `JDA.contrasts`, (N, C) or None.
            y: source classes.
            pseudo_labels: target classes of the last round, or None.
        """
        if conditional is None or pseudo_labels is None:
            return marginal
        if self.weighted:
            classes = conditional.shape[1]
            source_share, target_share = (
                torch.bincount(labels, minlength=classes) / len(labels) for labels in (y, pseudo_labels)
            )
            ratio = torch.where(source_share > 0, target_share / source_share, torch.zeros_like(source_share)).to(conditional)
            conditional = torch.cat([conditional[: len(y)], conditional[len(y) :] * ratio])
        return torch.cat([(1 - self.balance) ** 0.5 * marginal, self.balance**0.5 * conditional], dim=1)

    def initial_pseudo_labels(self, source: Labelled, target_MD: Tensor, task: Task) -> Tensor | None:
        """The labels of the learner without adaptation, where the balance is 1."""
        if self.balance < 1:
            return None
        scores = shallow.fit_learner(self, self.normalize(source.x), source.y, task)
        return scores(self.normalize(target_MD)).argmax(dim=1)
