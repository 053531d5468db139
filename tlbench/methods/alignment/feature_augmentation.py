"""Feature augmentation (EasyAdapt): every domain has its own copy of the columns beside a copy that all domains share.

Daumé III, Frustratingly easy domain adaptation, ACL 2007. https://arxiv.org/abs/0907.1815
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from tlbench.methods import shallow
from tlbench.methods.base import Predictor, ShallowMethod
from tlbench.terms import Task


class FeatureAugmentation(ShallowMethod):
    """A sample of source s becomes (x, 0.., x at s, ..0), a target sample (x, 0.., x); several sources have a copy each.

    With ridge it is multi-task ridge towards a common mean. Samples are centred by the mean of all, so that the copies need no
    intercepts of their own.
    """

    reads = frozenset({"source", "target_labeled"})
    tasks = shallow.BOTH_TASKS
    common: float = Field(1.0, ge=0, description="scale of the shared copy; 0: the target on its own")
    own: float = Field(1.0, ge=0, description="scale of each domain's copy; 0: all samples pooled")
    learner: shallow.Learner = Field("logistic", description="fitted on the augmented samples")
    c: float = Field(1.0, gt=0, description="inverse penalty of the learner, where it has one")

    def fit(self, task: Task) -> Predictor:
        """One fit in float64, on D (2 + number of sources) columns."""
        source, target = shallow.source_samples(self, task, pooled=False), shallow.target_labeled_samples(task)
        domain = torch.zeros(len(source), dtype=torch.long) if source.domain is None else source.domain
        sources = int(domain.max()) + 1
        pooled = torch.cat([source.x, target.x])
        mean = pooled.mean(dim=0)
        domains = torch.cat([domain.to(pooled.device), torch.full((len(target.x),), sources, device=pooled.device)])

        def augment(x: Tensor, domain_of: Tensor) -> Tensor:
            copies = torch.nn.functional.one_hot(domain_of, sources + 1).to(x)
            own = (self.own * copies[:, :, None] * x[:, None, :]).flatten(1)
            return torch.cat([self.common * x, own], dim=1)

        y = torch.cat([source.y, target.y])
        scores = shallow.fit_learner(self, augment(pooled - mean, domains), y, task)
        return lambda x: scores(augment(x.flatten(1).double() - mean, domains.new_full((len(x),), sources)))
