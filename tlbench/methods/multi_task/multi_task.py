"""Multi-task learning: one backbone, a head for each source, and one for the labelled target samples.

Hard parameter sharing, as in Caruana, Multitask learning, Machine Learning 1997. https://doi.org/10.1023/A:1007379606734
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor, nn

from tlbench.methods.base import DeepMethod
from tlbench.terms import Step


class MultiTask(DeepMethod):
    """(1 - target_weight) CE(source samples, by the heads of their domains) + target_weight CE(labelled target samples)."""

    reads = frozenset({"source", "target_labeled"})
    tasks = frozenset({"classification", "regression"})
    target_weight: float = Field(0.5, gt=0, lt=1, description="of the target's task; the sources share 1 - target_weight")

    def build(self) -> None:
        """Create a head for each source domain; `net.head` is the target's."""
        self.heads = nn.ModuleList(self.net.new_head() for _ in range(self.source_count))

    def loss(self, step: Step) -> Tensor:
        """The weighted sum of both tasks' losses, a scalar; both come from one forward pass."""
        source_BD, target_BD = self.net.features(step.source.x, step.target_labeled.x)
        domain = step.source.domain
        assert domain is not None  # the engine gives the domain of every source sample
        by_head = torch.stack([head(source_BD) for head in self.heads])
        source_loss = self.criterion(by_head[domain, torch.arange(len(domain), device=domain.device)], step.source.y)
        target_loss = self.criterion(self.net.head(target_BD), step.target_labeled.y)
        return (1 - self.target_weight) * source_loss + self.target_weight * target_loss
