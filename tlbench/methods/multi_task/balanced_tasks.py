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
from tlbench.nn.net import TaskNet, task_losses, task_losses_at_once
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
        losses = task_losses(self.net, step.source) if isinstance(self.net, TaskNet) else (self.supervised(step),)
        self.latest.copy_(torch.stack(losses).detach())
        return losses

    def losses_and_present(self, step: Step) -> tuple[Tensor, Tensor]:
        """The losses of K tasks (K,), and which tasks have a label in the batch (K,)."""
        y = step.source.y
        if not isinstance(self.net, TaskNet):
            return self.supervised(step)[None], torch.ones(1, dtype=torch.bool, device=y.device)
        return task_losses_at_once(self.net, step.source), y.isfinite().any(dim=0)

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
