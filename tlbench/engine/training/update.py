"""One step of a phase: the gradients of one loss, of several losses, or of alternating updates, and the optimizer's update."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor

from tlbench.engine.loss_check import check_loss, check_losses
from tlbench.engine.runtime.throughput import FORWARD_BACKWARD, OPTIMIZER
from tlbench.engine.training.oom_retry import backward_accumulated, is_accumulating
from tlbench.engine.training.optimizer import PhaseOptimizer
from tlbench.errors import NotApplicableError
from tlbench.methods.base import AlternatingUpdate, Phase
from tlbench.terms import Step

EndStage = Callable[[str], None]
"""Called with the name of a stage when it ends, for the clock."""


def update(phase: Phase, step: Step, optimizer: PhaseOptimizer, end_stage: EndStage) -> Tensor:
    """Make one step of a phase.

    Args:
        phase: its loss, and what follows a step.
        step: the batches.
        optimizer: the optimizer of the phase.
        end_stage: called when forward and backward, or the optimizer's update, have ended.

    Returns:
        The detached loss (): of several losses their sum, of alternating updates the first one's. Of vmapped seeds (S,).
    """
    if is_accumulating.get():
        optimizer.zero_grad()
        loss = backward_accumulated(phase, step)
        end_stage(FORWARD_BACKWARD)
        optimizer.torch_optimizer.step()
        end_stage(OPTIMIZER)
    elif isinstance(phase.loss, tuple):
        loss = _alternate(phase.loss, step, optimizer, end_stage)
    else:
        assert phase.loss is not None  # a phase without a loss has no steps
        losses = phase.loss(step)
        optimizer.zero_grad()
        if phase.combine is None:
            check_loss(losses, phase.loss)
            loss = cast(Tensor, losses)
            (loss.sum() if loss.ndim else loss).backward()  # the sum over seeds: no loss reaches another seed's parameters
        else:
            check_losses(losses, phase.loss)
            loss = _combine_gradients(phase, cast("tuple[Tensor, ...]", losses), optimizer)
        end_stage(FORWARD_BACKWARD)
        optimizer.torch_optimizer.step()
        end_stage(OPTIMIZER)
    if phase.after is not None:
        with torch.no_grad():
            phase.after(step.progress)
    return loss.detach()


def _alternate(updates: tuple[AlternatingUpdate, ...], step: Step, optimizer: PhaseOptimizer, end_stage: EndStage) -> Tensor:
    """Make each update in order: its loss is computed anew, and only its own modules move."""
    first: Tensor | None = None
    for one in updates:
        movable = optimizer.trainable() if one.modules is None else [p for m in one.modules for p in m.parameters()]
        if not movable:
            raise NotApplicableError(
                "An update of this method has nothing to learn: all modules that it trains are frozen or have no parameters."
            )
        for _ in range(one.repeat):
            loss = one.loss(step)
            check_loss(loss, one.loss)
            optimizer.zero_grad()
            loss.backward(inputs=[p for p in movable if p.requires_grad])
            end_stage(FORWARD_BACKWARD)
            optimizer.torch_optimizer.step()  # skips parameters without a gradient
            end_stage(OPTIMIZER)
            first = loss.detach() if first is None else first
    assert first is not None  # there is at least one update
    return first


def _combine_gradients(phase: Phase, losses: tuple[Tensor, ...], optimizer: PhaseOptimizer) -> Tensor:
    """Compute a gradient for each loss. `combine` merges those of shared parameters; elsewhere gradients add up."""
    assert phase.combine is not None
    parameters = optimizer.trainable()
    by_loss = [torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True) for loss in losses]
    shared = [i for i in range(len(parameters)) if all(gradients[i] is not None for gradients in by_loss)]
    flat_KP = torch.stack([torch.cat([gradients[i].flatten().float() for i in shared]) for gradients in by_loss])
    combined = phase.combine(flat_KP).split([parameters[i].numel() for i in shared])
    for i, gradient in zip(shared, combined, strict=True):
        parameters[i].grad = _in_layout_of(parameters[i], gradient.view_as(parameters[i]))
    for i, parameter in enumerate(parameters):
        if i not in shared:
            own = [gradients[i] for gradients in by_loss if gradients[i] is not None]
            parameter.grad = _in_layout_of(parameter, torch.stack(own).sum(dim=0)) if own else None
    return torch.stack([loss.detach() for loss in losses]).sum()


def _in_layout_of(parameter: Tensor, gradient: Tensor) -> Tensor:
    """A gradient in the type and the memory layout of its parameter, without which fused optimizers pair the wrong elements."""
    return torch.empty_like(parameter).copy_(gradient)
