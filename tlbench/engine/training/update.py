"""One step of a phase: gradients of its loss, of several losses, or of the turns of a game."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor

from tlbench.engine.runtime.throughput import FORWARD_BACKWARD, OPTIMISER
from tlbench.engine.training.oom_retry import backward_accumulated, is_accumulating
from tlbench.engine.training.optimizer import PhaseOptimizer
from tlbench.errors import NotApplicableError
from tlbench.methods.base import AlternatingUpdate, Phase
from tlbench.terms import Step

Part = Callable[[str], None]


def update(phase: Phase, step: Step, rates: PhaseOptimizer, part: Part) -> Tensor:
    """Make one step; the loss (for several the sum, for a game that of the first turn) without its graph.

    Where several seeds are trained together it is (S,).

    `part` is told what ended, for the clock.
    """
    if is_accumulating.get():
        rates.clear()
        loss = backward_accumulated(phase, step)
        part(FORWARD_BACKWARD)
        rates.optimizer.step()
        part(OPTIMISER)
    elif isinstance(phase.loss, tuple):
        loss = _play(phase.loss, step, rates, part)
    else:
        assert phase.loss is not None  # a phase without a loss has no steps
        made = phase.loss(step)
        rates.clear()
        if phase.combine is None:
            loss = cast(Tensor, made)
            (loss.sum() if loss.ndim else loss).backward()  # of several seeds: none reaches another's parameters
        else:
            loss = _combined(phase, cast("tuple[Tensor, ...]", made), rates)
        part(FORWARD_BACKWARD)
        rates.optimizer.step()
        part(OPTIMISER)
    if phase.after is not None:
        with torch.no_grad():
            phase.after(step.progress)
    return loss.detach()


def _play(turns: tuple[AlternatingUpdate, ...], step: Step, rates: PhaseOptimizer, part: Part) -> Tensor:
    """Each turn in order: its loss is made anew, and only its own modules move."""
    first: Tensor | None = None
    for turn in turns:
        movable = rates.open() if turn.modules is None else [p for m in turn.modules for p in m.parameters()]
        if not movable:
            raise NotApplicableError("a turn of this method has nothing to learn: all that it moves is frozen")
        for _ in range(turn.repeat):
            loss = turn.loss(step)
            rates.clear()
            loss.backward(inputs=[p for p in movable if p.requires_grad])
            part(FORWARD_BACKWARD)
            rates.optimizer.step()  # passes over what has no gradient
            part(OPTIMISER)
            first = loss.detach() if first is None else first
    assert first is not None  # a game has a turn
    return first


def _combined(phase: Phase, losses: tuple[Tensor, ...], rates: PhaseOptimizer) -> Tensor:
    """A gradient for each loss; where all reach a parameter `combine` decides, elsewhere they add up."""
    assert phase.combine is not None
    parameters = rates.open()
    each = [torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True) for loss in losses]
    shared = [i for i in range(len(parameters)) if all(gradients[i] is not None for gradients in each)]
    flat_KP = torch.stack([torch.cat([gradients[i].flatten().float() for i in shared]) for gradients in each])
    parts = phase.combine(flat_KP).split([parameters[i].numel() for i in shared])
    for i, part in zip(shared, parts, strict=True):
        parameters[i].grad = part.view_as(parameters[i]).to(parameters[i].dtype)
    for i, parameter in enumerate(parameters):
        if i not in shared:
            own = [gradients[i] for gradients in each if gradients[i] is not None]
            parameter.grad = torch.stack(own).sum(dim=0) if own else None
    return torch.stack([loss.detach() for loss in losses]).sum()
