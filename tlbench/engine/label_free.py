"""The half of a case that runs the method: it is fitted, predicts and is measured, and no label of a scored sample is here.

`measurement` splits the data before it and scores its outputs after it. Both halves run in one process, or this one in a
process of its own (`isolated`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from tlbench import methods
from tlbench.clock import Clock, Energy, PeakMemory
from tlbench.engine.candidates.collector import Block, CandidateCollector
from tlbench.engine.candidates.samples import candidate_samples
from tlbench.engine.cost import bill_late_work, measure_cost, measure_device_limit
from tlbench.engine.data.inputs import CHUNK_SAMPLES
from tlbench.engine.data.splits import CaseData
from tlbench.engine.data.storage import Grants, Subset
from tlbench.engine.fitting import FittedMethod, fit, granted_subsets, predict, predict_scored
from tlbench.engine.runtime.precision import matmul_precision
from tlbench.engine.runtime.throughput import UNSCORED
from tlbench.engine.saved.saving import ModelSaver
from tlbench.engine.streams.order import StreamPlan
from tlbench.engine.training.loop import OnStep
from tlbench.methods.base import DeepMethod
from tlbench.suite import Suite
from tlbench.terms import Case, Cost, TracePoint

MAPPED_NOTE = "samples are memory-mapped from disk, and read as the steps draw them"


@dataclass(frozen=True)
class CaseInputs:
    """All that a case is fitted and predicted from; no label of a scored sample is in it."""

    case: Case
    suite: Suite
    """The suite; where the backbone is frozen, with a network for features."""
    precision: str
    seed: Callable[[str], int]
    """The use of a random draw -> its seed."""
    granted: Grants
    scored: Subset
    """The N scored samples, without labels and groups."""
    validation: Subset | None
    """Held-out source samples with their labels, for the trace."""
    stream: StreamPlan | None = None
    """The order in which the scored samples come to a method that adapts on them; None: at random, and for other methods."""

    def collector(self) -> CandidateCollector | None:
        """A collector of what is stored for selection rules; None where the suite asks for nothing."""
        protocol = self.suite.protocol_of(self.case.target)
        samples = candidate_samples(self.suite.selection, protocol, self.granted, self.validation, self.scored)
        if samples is None or self.suite.selection is None:
            return None
        return CandidateCollector(samples, self.suite.selection.checkpoints)

    @classmethod
    def of(
        cls,
        data: CaseData,
        case: Case,
        suite: Suite,
        precision: str,
        seed: Callable[[str], int],
        stream: StreamPlan | None = None,
    ) -> CaseInputs:
        """The inputs of a case: the scored samples lose their labels, and so do the splits that the method does not read.

        Args:
            data: the splits of the case.
            case: the case.
            suite: its network and training.
            precision: of its steps.
            seed: the use of a random draw -> its seed.
            stream: the order of the scored samples, for a method that adapts on them.
        """
        reads, granted = methods.method_class(case.method).reads, data.granted
        source, target_labeled = granted.source, granted.target_labeled
        if source is not None and "source" not in reads:
            source = dataclasses.replace(source, y=None)
        if "target_labeled" not in reads:
            target_labeled = None
        granted = dataclasses.replace(granted, source=source, target_labeled=target_labeled)
        if granted.open_set and target_labeled is not None:  # its labels show "unknown", a class like the others
            granted = dataclasses.replace(granted, classes=granted.classes + 1, open_set=False)
        return cls(case, suite, precision, seed, granted, data.scored.unlabeled(), data.validation, stream)


@dataclass(frozen=True)
class CaseOutputs:
    """What the method of a case gives: its predictions, on the CPU, and what they cost."""

    scored: Tensor
    """Class scores (N, C) of the scored samples, or predictions (N, K) of a regression; in an open set (N, C + 1) as well."""
    validation: Tensor | None
    """The same of the held-out source samples; None where there are none."""
    trace: list[TracePoint]
    cost: Cost
    notes: tuple[str, ...]
    candidates: list[Block] = dataclasses.field(default_factory=list)
    """What is stored of the candidates for selection rules; none where the suite asks for none."""
    model: bytes | None = None
    """The fitted method, see `saved.method_file`; None where the run saves none, or where it can't be stored."""


class Meters:
    """The meters of a case, from the moment at which its data are granted.

    Args:
        device: where the case runs.
        precision: of its steps; the device's limit at it is measured first, once in a process.
    """

    def __init__(self, device: torch.device, precision: str) -> None:
        with matmul_precision(precision, device):
            measure_device_limit(device, precision)
        self.memory, self.energy, self.clock = PeakMemory(device), Energy(device), Clock(device)


def fit_and_predict(
    inputs: CaseInputs, device: torch.device, on_step: OnStep | None = None, *, largest: bool = False
) -> CaseOutputs:
    """Fit the method of a case, predict its scored samples, and measure the cost.

    Args:
        inputs: the case with its splits, on the device.
        device: where the case runs.
        on_step: called from time to time with the steps done and the steps in all.
        largest: whether to search for the largest prediction batch as well.

    Raises:
        NotApplicableError: the method has no meaning for the case.
        DivergedError: a loss is not finite.
    """
    meters = Meters(device, inputs.precision)
    fitted = fit(
        inputs.case,
        inputs.suite,
        inputs.granted,
        meters.clock,
        inputs.seed,
        device,
        validation=inputs.validation,
        candidates=inputs.collector(),
        on_step=on_step,
    )
    return predict_and_measure(inputs, fitted, meters, meters.energy.joules(), largest=largest)


def predict_and_measure(
    inputs: CaseInputs, fitted: FittedMethod, meters: Meters, joules: float | None, *, largest: bool = False
) -> CaseOutputs:
    """Predict the scored samples of a case with its fitted method, and measure the cost.

    Args:
        inputs: the case with its splits.
        fitted: its method after the training.
        meters: those of the training.
        joules: the energy of the training; None where it was not measured.
        largest: whether to search for the largest prediction batch as well.
    """
    scored, validation, clock = inputs.scored, inputs.validation, meters.clock
    device = scored.store.device
    with matmul_precision(inputs.precision, device):
        warm_up = scored[torch.arange(min(CHUNK_SAMPLES, len(scored)))]
        with clock.measure(UNSCORED, work_only=True):  # before the scored samples, for some methods learn from those
            validation_outputs = None if validation is None else predict(fitted, validation)
            expected = predict(fitted, warm_up)
        saver = ModelSaver(fitted, inputs.case, inputs.suite, inputs.granted, inputs.precision, inputs.seed)
        if fitted.is_online:
            _collect(fitted, clock, adapted=False)
            meters.memory.begin_interval()
        outputs = predict_scored(fitted, scored, inputs.suite.train.batch, inputs.seed("stream"), clock, inputs.stream)
        _collect(fitted, clock, adapted=True, scored_outputs=outputs)
        sizes = [*fitted.trace_sizes * len(fitted.outcome.trace), len(validation or ()), len(warm_up)]
        if fitted.candidates is not None:
            sizes += fitted.candidates.samples.sizes * len(fitted.candidates.blocks)
        late_notes = bill_late_work(fitted, clock, sizes, len(scored))
        cost = measure_cost(
            fitted,
            scored,
            clock,
            meters.memory,
            joules,
            inputs.suite.train,
            inputs.precision,
            granted_samples=sum(map(len, granted_subsets(fitted.method, inputs.granted).values())),
            largest=largest,
        )
    saver.finish(warm_up, expected)
    mapped = () if scored.store.resident else (MAPPED_NOTE,)
    notes = (*mapped, *fitted.notes, *late_notes, *saver.notes)
    validation_outputs = None if validation_outputs is None else _plain(validation_outputs)
    blocks = [] if fitted.candidates is None else fitted.candidates.blocks
    return CaseOutputs(_plain(outputs), validation_outputs, fitted.outcome.trace, cost, notes, blocks, saver.content)


def _collect(fitted: FittedMethod, clock: Clock, *, adapted: bool, scored_outputs: Tensor | None = None) -> None:
    """Collect the candidate that a fitted method is before it predicts the stream, or after the scored samples."""
    if fitted.candidates is not None:
        fitted.candidates.collect(
            len(fitted.outcome.losses),
            adapted=adapted,
            predictor=fitted.predictor,
            method=fitted.method if isinstance(fitted.method, DeepMethod) else None,
            inputs=fitted.inputs,
            clock=clock,
            scored_outputs=scored_outputs,
            streamed=fitted.is_online and adapted,
        )


def _plain(outputs: Tensor) -> Tensor:
    """Outputs on the CPU as a plain tensor with memory of its own, whatever subclass of a tensor a method predicts."""
    return outputs.detach().cpu().as_subclass(Tensor).clone()
