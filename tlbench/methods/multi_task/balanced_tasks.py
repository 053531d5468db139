"""Several tasks on one backbone, each with its own head and loss; a balancer decides how the losses become one update.

Caruana, Multitask learning, Machine Learning 1997. https://doi.org/10.1023/A:1007379606734
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from tlbench import balancers
from tlbench.balancers.base import GradientBalancer, LossBalancer
from tlbench.methods.base import DeepMethod, Phase
from tlbench.methods.multi_task._balancer_entry import BalancerEntry
from tlbench.nn.net import TaskNet, task_loss
from tlbench.terms import Step


class BalancedTasks(DeepMethod):
    """The losses of all tasks on the source samples, from one forward pass. With a single task it is source_only."""

    reads = frozenset({"source"})
    tasks = frozenset({"classification", "regression", "multi_task"})
    balancer: BalancerEntry = Field(
        "equal", description="of the losses or their gradients: a name, or a table with the key 'kind' and options"
    )

    def build(self) -> None:
        """Create the balancer."""
        name, options = balancers.check_balancer(self.balancer)
        tasks = max(len(self.net.tasks), 1)
        self.balancing = balancers.make_balancer(name, tasks, options)
        self.register_buffer("latest", torch.zeros(tasks))

    latest: Tensor

    def phases(self) -> tuple[Phase, ...]:
        """One phase: of one loss, or of the losses of all tasks, whose gradients the balancer combines."""
        if isinstance(self.balancing, GradientBalancer):
            return (Phase(self.task_losses, self.reads, combine=self.combine),)
        return (Phase(self.loss, self.reads, after=self.after if self.balancing.reads_losses_after else None),)

    def loss(self, step: Step) -> Tensor:
        """The balanced loss, a scalar."""
        assert isinstance(self.balancing, LossBalancer)
        losses_K, present_K = self.losses_and_present(step)
        if self.balancing.reads_losses_after:
            self._last = step
        return self.balancing.loss(losses_K, present_K)

    def task_losses(self, step: Step) -> tuple[Tensor, ...]:
        """The loss of each task, a scalar; 0 for one without a label in the batch. `latest` holds them for `combine`."""
        x, y = step.source.x, step.source.y
        losses: tuple[Tensor, ...]
        if isinstance(self.net, TaskNet):
            features_BD, heads = self.net.backbone(x), self.net.task_heads
            pairs = zip(self.net.tasks, heads, y.T, strict=True)
            losses = tuple(task_loss(task, head(features_BD), y_B) for task, head, y_B in pairs)
        else:
            losses = (self.criterion(self.net(x), y),)
        if isinstance(self.balancing, GradientBalancer):
            self.latest.copy_(torch.stack(losses).detach())
        return losses

    def losses_and_present(self, step: Step) -> tuple[Tensor, Tensor]:
        """The losses of K tasks (K,), and which tasks have a label in the batch (K,)."""
        x, y = step.source.x, step.source.y
        if not isinstance(self.net, TaskNet):
            return torch.stack(self.task_losses(step)), torch.ones(1, dtype=torch.bool, device=x.device)
        if any(task.classes for task in self.net.tasks):
            return torch.stack(self.task_losses(step)), y.isfinite().any(dim=0)
        return regression_losses(self.net(x), y), y.isfinite().any(dim=0)

    def combine(self, gradients_KP: Tensor) -> Tensor:
        """Gradients (K, P) of the tasks by the shared parameters -> one gradient (P,)."""
        assert isinstance(self.balancing, GradientBalancer)
        combined = self.balancing.combine(gradients_KP, self.latest)
        for note in self.balancing.notes:
            self.note(note)
        self.balancing.notes.clear()
        return combined

    def after(self, progress: float) -> None:
        """Show the balancer the losses of the same batch after the update."""
        self.balancing.after(*self.losses_and_present(self._last))
        del self._last


def regression_losses(outputs_BK: Tensor, y_BK: Tensor) -> Tensor:
    """The mean squared error of each regression (K,) over the samples that have its label, as `task_loss` of each; 0 for none.

    A hundred heads and losses one after the other cost as many launches of their operations.
    """
    present_BK = ~y_BK.isnan()
    errors_BK = torch.where(present_BK, outputs_BK - y_BK.nan_to_num(0.0), 0.0)
    return errors_BK.square().sum(dim=0) / present_BK.sum(dim=0).clamp_min(1)
