"""Feature augmentation (EasyAdapt): every domain has a copy of the columns to itself beside one that all share.

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
    """Source s: (x, 0.., x at s, ..0), target: (x, 0.., x); learnt on source and few together, several sources each apart.

    With ridge it is multi-task ridge towards a common mean. Rows are centred by the mean of all, so that the copies need no
    intercepts of their own.
    """

    reads = frozenset({"source", "target_labeled"})
    tasks = shallow.BOTH_TASKS
    common: float = Field(1.0, ge=0, description="scale of the shared copy; 0: the target on its own")
    own: float = Field(1.0, ge=0, description="scale of each domain's copy; 0: all rows pooled")
    learner: shallow.Learner = Field("logistic", description="trained on the augmented rows")
    c: float = Field(1.0, gt=0, description="inverse penalty of the learner, where it has one")

    def fit(self, task: Task) -> Predictor:
        """In float64, on rows of D (2 + number of sources) columns."""
        assert task.target_labeled is not None
        source, few = (
            shallow.source_samples(self, task, pooled=False),
            shallow.sample_matrix(task.target_labeled.x, "target_labeled"),
        )
        domain = torch.zeros(len(source), dtype=torch.long) if source.domain is None else source.domain
        sources = int(domain.max()) + 1
        rows = torch.cat([source.x, few])
        mean = rows.mean(dim=0)
        where = torch.cat([domain.to(rows.device), torch.full((len(few),), sources, device=rows.device)])

        def wide(x: Tensor, of: Tensor) -> Tensor:
            copies = torch.nn.functional.one_hot(of, sources + 1).to(x)
            own = (self.own * copies[:, :, None] * x[:, None, :]).flatten(1)
            return torch.cat([self.common * x, own], dim=1)

        y = torch.cat([source.y, task.target_labeled.y])
        scores = shallow.fit_learner(self, wide(rows - mean, where), y, task)
        return lambda x: scores(wide(x.flatten(1).double() - mean, where.new_full((len(x),), sources)))
