"""A network for each task alone, all in one case: what sharing a backbone is compared with.

Standley, Zamir, Chen, Guibas, Malik and Savarese, Which tasks should be learned together in multi-task learning?, ICML 2020.
https://arxiv.org/abs/1905.07553
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from tlbench.methods.base import DeepMethod
from tlbench.nn.net import TaskNet, task_loss
from tlbench.terms import Step


class SingleTask(DeepMethod):
    """The sum of the losses of separate networks, which start alike and see the same batches as a shared one.

    No gradient reaches another task's network, so that with Adam and SGD each is trained as in a case of its own. A network
    sees the samples that have its label. With a single task it is source_only.
    """

    reads = frozenset({"source"})
    tasks = frozenset({"classification", "regression", "multi_task"})

    def build(self) -> None:
        """Copy the backbone for every task but the first."""
        self.others = nn.ModuleList(copy.deepcopy(self.net.backbone) for _ in self.net.tasks[1:])

    def loss(self, step: Step) -> Tensor:
        """The sum over tasks, a scalar."""
        if not isinstance(self.net, TaskNet):
            return self.supervised(step)
        x, losses = step.source.x, []
        backbones = (self.net.backbone, *self.others)
        for task, backbone, head, y_B in zip(self.net.tasks, backbones, self.net.task_heads, step.source.y.T, strict=True):
            present = y_B.isfinite()
            count = int(present.sum())
            if count > 1 or count == len(x):  # batch normalisation needs two samples
                losses.append(task_loss(task, head(backbone(x if count == len(x) else x[present])), y_B[present]))
        return torch.stack(losses).sum() if losses else self.net(x).sum() * 0

    def predict(self, x: Tensor) -> Tensor:
        """Network inputs (B, ...) -> the outputs of all tasks, one after the other (B, O)."""
        if not isinstance(self.net, TaskNet):
            return super().predict(x)
        backbones = (self.net.backbone, *self.others)
        outputs = [head(backbone(x)) for backbone, head in zip(backbones, self.net.task_heads, strict=True)]
        return torch.cat(outputs, dim=1)
