"""The steps of a training after which its model is a candidate: once before it learns from the target, then evenly spread."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tlbench.clock import Clock
from tlbench.engine.candidates.collector import Block
from tlbench.engine.data.inputs import Inputs
from tlbench.methods.base import Phase

if TYPE_CHECKING:
    from tlbench.engine.training.learners import Learner, LearnerGroup

FROM_TARGET = frozenset({"target", "target_labeled"})
"""The splits by which a model is adapted."""


class CandidateSteps:
    """The candidates of a training but its last, which is that of the finished case.

    The unadapted candidate is the model before the first phase that draws from the target or passes over it, where the model
    has learned by then. A method that learns from source and target at once has none: the baseline of its suite, which starts
    from the same network, is its model without adaptation.

    Args:
        group: the learners, which all have a collector or none.
        phase_steps: the steps of each phase.
        inputs: stored samples -> network inputs.
        clock: the clock of the case.
    """

    def __init__(self, group: LearnerGroup, phase_steps: Sequence[int], inputs: Inputs, clock: Clock) -> None:
        self._group, self._inputs, self._clock = group, inputs, clock
        collector = group.learners[0].candidates
        self._phase = first_adapting_phase(group.phases)
        self._start = sum(phase_steps[: self._phase])
        total = sum(phase_steps)
        adapts_online = group.learners[0].method.online() is not None
        self.steps: frozenset[int] = frozenset()
        """The steps after which the adapted model is a candidate."""
        self.unadapted = False
        """Whether there is an unadapted candidate before the first adapting phase."""
        if collector is None or adapts_online:
            return  # what adapts on the stream is a candidate before the stream and after it
        start = self._start if self._phase < len(group.phases) else 0
        self.unadapted = self._start > 0 and self._phase < len(group.phases)
        count = collector.checkpoints
        self.steps = frozenset(start + round((i + 1) * (total - start) / count) for i in range(count)) - {start, total}

    @property
    def blocks(self) -> list[Block]:
        """What is collected so far of a single learner; a list of no use where there are none or several."""
        collector = self._group.learners[0].candidates
        return [] if collector is None else collector.blocks

    def expected(self, phase: int, steps_done: int) -> list[tuple[int, bool]]:
        """The step of each candidate up to a step of a phase, and whether it is adapted."""
        unadapted = [(self._start, False)] if self.unadapted and phase >= self._phase else []
        return [*unadapted, *((step, True) for step in sorted(self.steps) if step <= steps_done)]

    def before_phase(self, number: int) -> None:
        """Collect the unadapted candidate, where the phase is the first that adapts."""
        if self.unadapted and number == self._phase:
            self._collect(self._start, adapted=False)

    def after_step(self, steps_done: int) -> None:
        """Collect a candidate, where there is one after this step."""
        if steps_done in self.steps:
            self._collect(steps_done, adapted=True)

    def _collect(self, step: int, *, adapted: bool) -> None:
        self._group.update_methods()
        for learner in self._group.learners:
            collect_from(learner, step, self._inputs, self._clock, adapted=adapted)


def first_adapting_phase(phases: Sequence[Phase]) -> int:
    """The index of the first phase that draws from the target or passes over it; their number where none does."""
    adapting = (number for number, phase in enumerate(phases) if (phase.reads | phase.passes) & FROM_TARGET)
    return next(adapting, len(phases))


def collect_from(learner: Learner, step: int, inputs: Inputs, clock: Clock, *, adapted: bool) -> None:
    """Collect the candidate that a learner is now.

    Args:
        learner: its method and its collector, if it has one.
        step: the steps that are done.
        inputs: stored samples -> network inputs.
        clock: the clock of the case.
        adapted: whether the model has learned from the target.
    """
    if learner.candidates is not None:
        learner.candidates.collect(
            step, adapted=adapted, predictor=learner.predictor, method=learner.method, inputs=inputs, clock=clock
        )
