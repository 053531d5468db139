"""Balanced distribution adaptation: JDA with a weight between the domains' means and their classes' means.

Wang, Chen, Hao, Feng and Shen, Balanced distribution adaptation for transfer learning, ICDM 2017.
https://arxiv.org/abs/1807.00516
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from tlbench.methods import shallow
from tlbench.methods.alignment.jda import Jda
from tlbench.terms import Labelled, Task


class Bda(Jda):
    """M = (1 - balance) C e_0 e_0' + balance sum_c e_c e_c', then as JDA, which it is at a balance of 0.5.

    The paper picks the balance with target labels; here it is the suite's. At 1 the classes are all there is, so that the first
    round takes the labels of the learner without adaptation.
    """

    balance: float = Field(0.5, ge=0, le=1, description="0: the domains' means only; 1: the classes' only")
    weighted: bool = Field(False, description="W-BDA: class c of the target counts P_t(c) / P_s(c), for unequal class shares")

    def contrasts(self, marginal: Tensor, conditional: Tensor | None, y: Tensor, said: Tensor | None) -> Tensor:
        """Both parts times the root of their weight."""
        if conditional is None or said is None:
            return marginal
        if self.weighted:
            count = conditional.shape[1]
            of_source, of_target = (torch.bincount(labels, minlength=count) / len(labels) for labels in (y, said))
            ratio = torch.where(of_source > 0, of_target / of_source, torch.zeros_like(of_source)).to(conditional)
            conditional = torch.cat([conditional[: len(y)], conditional[len(y) :] * ratio])
        return torch.cat([(1 - self.balance) ** 0.5 * marginal, self.balance**0.5 * conditional], dim=1)

    def first(self, source: Labelled, target: Tensor, task: Task) -> Tensor | None:
        """The learner's labels without adaptation, where there is nothing else to begin with."""
        if self.balance < 1:
            return None
        scores = shallow.fit_learner(self, self.unit(source.x), source.y, task)
        return scores(self.unit(target)).argmax(dim=1)
