"""The outcome of a training, and the trace of what is known on the way without any target label."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field

from tlbench.engine.data.inputs import CHUNK_SAMPLES, Inputs, map_in_chunks
from tlbench.engine.data.passes import eval_mode
from tlbench.engine.data.positions import counted_labels, counted_outputs
from tlbench.engine.runtime.metrics import accuracy, mean_entropy, predicted_classes
from tlbench.engine.runtime.throughput import StepThroughput
from tlbench.engine.training.learners import Learner
from tlbench.engine.training.untrained_head import LastLayer, learns_later, recorded_last_layer
from tlbench.errors import DivergedError
from tlbench.terms import TracePoint


@dataclass
class Outcome:
    """The result of a training, beside the method that it changed."""

    trace: list[TracePoint] = field(default_factory=list)
    throughput: StepThroughput = field(default_factory=StepThroughput)
    """Of all seeds that were trained in one program."""
    losses: list[float] = field(default_factory=list)
    """The loss of each step."""
    notes: list[str] = field(default_factory=list)
    """What ran otherwise than asked, and why."""
    diverged: DivergedError | None = None
    """The error of one seed among several; the divergence of a single learner is raised."""

    @property
    def samples_per_second(self) -> float | None:
        """Samples of all splits through the backbone, over the steps after each phase's warm-up."""
        return self.throughput.samples_per_second()


def trace_point(learner: Learner, inputs: Inputs, phase: int, step: int, loss: float) -> TracePoint:
    """What is known after a step without any target label; the modules return to their modes afterwards.

    Nothing is known but the loss while the head that the method predicts with has not learned yet.

    Args:
        learner: its method, validation samples and target samples.
        inputs: stored samples -> network inputs.
        phase: index of the phase that the step belongs to.
        step: steps that are done.
        loss: the mean loss since the last trace point.
    """
    validation_accuracy = entropy = None
    validation, phases = learner.validation, learner.method.phases()
    is_last = phase == len(phases) - 1
    recorded = contextlib.nullcontext(LastLayer()) if is_last else recorded_last_layer(learner.method)
    with eval_mode(learner.method), recorded as last:
        if validation is not None and validation.y is not None:
            outputs = map_in_chunks(learner.predictor, validation, inputs, CHUNK_SAMPLES)
            validation_accuracy = accuracy(predicted_classes(counted_outputs(outputs, validation)), counted_labels(validation))
        if learner.trace_target is not None:
            outputs = map_in_chunks(learner.predictor, learner.trace_target, inputs, CHUNK_SAMPLES)
            entropy = mean_entropy(counted_outputs(outputs, learner.trace_target))
    if learns_later(last.module, learner.method, phases, phase):
        validation_accuracy = entropy = None
    return TracePoint(step=step, loss=loss, source_validation_accuracy=validation_accuracy, target_entropy=entropy)
