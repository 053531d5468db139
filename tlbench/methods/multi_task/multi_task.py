"""Multi-task learning: one backbone, a head for each source and one for the target's few labels.

Caruana, Multitask learning, Machine Learning 1997 (hard parameter sharing).
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor, nn

from tlbench.methods.base import DeepMethod
from tlbench.terms import Step


class MultiTask(DeepMethod):
    """(1 - target_weight) CE(source rows, each by its own domain's head) + target_weight CE(few by the target's head)."""

    reads = frozenset({"source", "target_labeled"})
    tasks = frozenset({"classification", "regression"})
    target_weight: float = Field(0.5, gt=0, lt=1, description="how much the target's task counts")

    def build(self) -> None:
        """`net.head` is the target's; each source has one of its own."""
        self.heads = nn.ModuleList(self.net.new_head() for _ in range(self.domains))

    def loss(self, step: Step) -> Tensor:
        """Both tasks from one forward."""
        source_BD, few_BD = self.net.features(step.source.x, step.target_labeled.x)
        domain = step.source.domain
        assert domain is not None  # the engine says of every source row where it is from
        by_head = torch.stack([head(source_BD) for head in self.heads])
        source = self.criterion(by_head[domain, torch.arange(len(domain), device=domain.device)], step.source.y)
        few = self.criterion(self.net.head(few_BD), step.target_labeled.y)
        return (1 - self.target_weight) * source + self.target_weight * few
