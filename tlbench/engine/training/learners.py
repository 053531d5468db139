"""What the training loop trains: one learner, or several seeds of a case in one vmapped program."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from tlbench.engine.candidates.collector import CandidateCollector
from tlbench.engine.data.storage import Grants, Subset
from tlbench.engine.loss_check import declared_phases
from tlbench.engine.training import ddp, vmapped_seeds
from tlbench.engine.training.checkpoint import Checkpointer, active_checkpointer
from tlbench.engine.training.outputs import CheckedPredictor
from tlbench.errors import NotVmappableError
from tlbench.methods.base import DeepMethod, Phase


@dataclass(frozen=True)
class Learner:
    """A method before its training, on its device and in its memory layout; the training changes it in place."""

    method: DeepMethod
    granted: Grants
    """The splits that the method reads."""
    seed: Callable[[str], int]
    """The use of a random draw -> its seed."""
    validation: Subset | None = None
    """Held-out source samples, for the trace."""
    trace_target: Subset | None = None
    """Unlabelled target samples whose mean entropy goes into the trace."""
    candidates: CandidateCollector | None = None
    """Collects what is stored for selection rules; None: nothing."""

    @property
    def predictor(self) -> CheckedPredictor:
        """The method's `predict`, whose outputs are checked for their shape."""
        granted = self.granted
        return CheckedPredictor(self.method.predict, self.method, granted.columns, granted.regression, granted.positions)


class LearnerGroup(Protocol):
    """The learners of one training; what differs between one and several is asked here."""

    learners: Sequence[Learner]
    method: DeepMethod
    """The module that the optimizer trains."""
    phases: Sequence[Phase]
    """Its phases."""

    def new_losses(self, steps: int, device: torch.device) -> Tensor:
        """Losses (steps, ...) of a training, all NaN."""

    def losses_of(self, losses: Tensor, number: int) -> Tensor:
        """The losses (steps,) of the learner at a position of `learners`."""

    def update_methods(self) -> None:
        """Bring the methods of the learners to the state of the training."""

    def checkpointer(self) -> Checkpointer | None:
        """The checkpointer of the case, where its training can be checkpointed."""


class SingleLearner:
    """One learner, whose method is trained itself. Losses are (steps,)."""

    def __init__(self, learner: Learner) -> None:
        self.learners: Sequence[Learner] = (learner,)
        self.method = learner.method
        self.phases: Sequence[Phase] = declared_phases(self.method)

    def new_losses(self, steps: int, device: torch.device) -> Tensor:
        """Losses (steps,), all NaN."""
        return torch.full((steps,), math.nan, device=device)

    def losses_of(self, losses: Tensor, number: int) -> Tensor:
        """The losses unchanged."""
        return losses

    def update_methods(self) -> None:
        """Nothing, for the method is the one that is trained."""

    def checkpointer(self) -> Checkpointer | None:
        """The active checkpointer; None where several devices train the case."""
        return active_checkpointer.get() if ddp.current_share() is None else None


class VmappedLearners:
    """Several seeds of one case, whose stacked methods are trained. Losses are (steps, seeds).

    Raises:
        NotVmappableError: the phases of the method can't be vmapped.
    """

    def __init__(self, learners: Sequence[Learner]) -> None:
        self.learners = learners
        self._methods = [learner.method for learner in learners]
        if (reason := vmapped_seeds.why_not_vmappable(self._methods[0].phases())) is not None:
            raise NotVmappableError(reason)
        if self._methods[0].net.is_inductive:
            raise NotVmappableError("its head is replaced between two phases")
        if learners[0].granted.positions > 1:
            raise NotVmappableError("each seed draws positions of its own")
        self.method = vmapped_seeds.stack_methods(self._methods)
        self.phases: Sequence[Phase] = [vmapped_seeds.vmapped_phase(phase, self.method) for phase in self.method.phases()]

    def new_losses(self, steps: int, device: torch.device) -> Tensor:
        """Losses (steps, seeds), all NaN."""
        return torch.full((steps, len(self.learners)), math.nan, device=device)

    def losses_of(self, losses: Tensor, number: int) -> Tensor:
        """The column of a seed."""
        return losses[:, number]

    def update_methods(self) -> None:
        """Copy the parameters and buffers of each seed into its own method."""
        vmapped_seeds.unstack_methods(self.method, self._methods)

    def checkpointer(self) -> Checkpointer | None:
        """None, for a checkpoint belongs to a single seed."""
        return None


def group_learners(learners: Sequence[Learner]) -> LearnerGroup:
    """The group of one learner, or of several seeds.

    Raises:
        NotVmappableError: the phases of the method can't be vmapped.
    """
    return SingleLearner(learners[0]) if len(learners) == 1 else VmappedLearners(learners)
