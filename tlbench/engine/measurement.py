"""What is measured in a case: its data are split here, its method runs in `label_free`, and its predictions are scored here."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch

from tlbench import methods
from tlbench.engine import frozen
from tlbench.engine.candidates import packing
from tlbench.engine.data import splits
from tlbench.engine.data.positions import counted_labels, counted_outputs
from tlbench.engine.fitting import FittedMethod, prepare_training
from tlbench.engine.label_free import CaseInputs, CaseOutputs, Meters, fit_and_predict, predict_and_measure
from tlbench.engine.runtime import class_texts, metrics
from tlbench.engine.runtime.position_metrics import position_scores, predicted_positions
from tlbench.engine.runtime.precision import matmul_precision, resolve_precision
from tlbench.engine.runtime.seeds import seed_of
from tlbench.engine.saved.model_file import ModelFacts, pack_model
from tlbench.engine.streams.order import StreamPlan, online_accuracy, plan_stream
from tlbench.engine.training.loop import OnStep, train_learners
from tlbench.methods.base import DeepMethod
from tlbench.suite import SEQUENCE, Protocol, Suite
from tlbench.terms import IGNORED, Case, Cost, Domain, Record, Scores

VMAPPED_NOTE = "vmapped seeds"
"""The note of records of seeds that were trained in one program, which begins with their number."""
OLD_VMAPPED_NOTE = "seeds trained together"
"""The same note in earlier records."""


def is_vmapped(record: Record) -> bool:
    """Whether a record's case was trained in one vmapped program with other seeds, so that its throughput is that of all."""
    return any(text in note for note in record.notes for text in (VMAPPED_NOTE, OLD_VMAPPED_NOTE))


@dataclass(frozen=True)
class Measurement:
    """The measured part of the record of a finished case."""

    scores: Scores
    cost: Cost
    notes: tuple[str, ...]
    predictions: bytes | None = None
    """The content of the predictions file."""
    outputs: CaseOutputs | None = None
    """What the method predicted."""
    candidates: Mapping[str, bytes] = field(default_factory=dict)
    """The contents of the files of the candidates, by name."""
    model: bytes | None = None
    """The content of the model file; None where none is saved."""


class PreparedCase:
    """A case with its data and seeds, before its training.

    Args:
        case: one of `suite.cases()`.
        suite: its protocol, network and training.
        domains: the loaded domains of the pair, by name.
        device: where the case runs.
        on_device: whether its samples are put there; otherwise they stay where they are on the host.
    """

    def __init__(
        self, case: Case, suite: Suite, domains: Mapping[str, Domain], device: torch.device, *, on_device: bool = True
    ) -> None:
        fingerprints = {name: domains[name].fingerprint for name in (*case.sources, case.target)}
        self.case, self.device, self.declared = case, device, suite
        self.sample_shape = tuple(domains[case.target].samples.x.shape[1:])
        self.sample_dtype = domains[case.target].samples.x.dtype
        suite = class_texts.with_network(case, suite)
        self.suite, visible = frozen.with_frozen_features(suite, {name: domains[name] for name in fingerprints}, device)
        domain_notes = [f"{name}: {note}" for name in fingerprints for note in domains[name].notes]
        self.notes, self.feature_seconds = (*domain_notes, *visible.notes), visible.feature_seconds
        seed_case, seed_fingerprints = seed_facts(case, suite, fingerprints)
        self.seed: Callable[[str], int] = partial(seed_of, seed_case, fingerprints=seed_fingerprints)
        sources, target = [visible.domains[name] for name in case.sources], visible.domains[case.target]
        protocol = suite.protocol_of(case.target)
        where = (device, suite.train.resident) if on_device else (torch.device("cpu"), "off")
        self.case_data = splits.make_case_data(sources, target, protocol, self.seed, *where)
        if methods.method_class(case.method).reads_class_texts:
            known = self.case_data.classes[: self.case_data.granted.classes]
            texts = class_texts.class_texts(known, class_texts.declared_texts(suite, fingerprints))
            shape = tuple(domains[case.target].samples.x.shape[1:])
            embed = class_texts.TextEmbedder(dataclasses.replace(suite, domains={}, path=None), shape, device)
            granted = dataclasses.replace(self.case_data.granted, class_texts=texts, embed_classes=embed)
            self.case_data = dataclasses.replace(self.case_data, granted=granted)
        is_deep = issubclass(methods.method_class(case.method), DeepMethod)
        self.precision = resolve_precision(suite.train, device) if is_deep else "fp32"
        self.stream = self._plan_stream(protocol)
        """The order of the stream, which is drawn by labels; None where the suite declares no stream."""

    def _plan_stream(self, protocol: Protocol) -> StreamPlan | None:
        scored = self.case_data.scored
        if protocol.stream is None or scored.y is None:
            return None
        domain = scored.group if SEQUENCE in self.suite.base_of(self.case.target) else None
        return plan_stream(protocol.stream, self.suite.train.batch, scored.y, domain, self.seed("stream"))

    @property
    def _adapts_online(self) -> bool:
        method = methods.method_class(self.case.method)
        return issubclass(method, DeepMethod) and method.online is not DeepMethod.online

    @property
    def inputs(self) -> CaseInputs:
        """What the case is fitted and predicted from, without the labels of its scored samples."""
        stream = self.stream if self._adapts_online else None
        return CaseInputs.of(self.case_data, self.case, self.suite, self.precision, self.seed, stream)


def seed_facts(case: Case, suite: Suite, fingerprints: dict[str, str]) -> tuple[Case, dict[str, str]]:
    """The case and the fingerprints that seeds are hashed from; all label budgets of a target have the seeds of its domain.

    The labelled samples of one budget are then among those of the next, and a budget draws the samples of a suite that grants
    this number of labels alone. All orders of a stream have the seeds of its domain as well, and so the same trained network.
    """
    if (base := suite.base_of(case.target)) == case.target:
        return case, fingerprints
    renamed = {base if name == case.target else name: print_ for name, print_ in fingerprints.items()}
    return case.model_copy(update={"target": base}), renamed


def measure(
    case: Case,
    suite: Suite,
    domains: Mapping[str, Domain],
    device: torch.device,
    on_step: OnStep | None = None,
    *,
    largest: bool = False,
) -> Measurement:
    """Run one case; `engine.run_case` turns the errors that it raises into records.

    Args:
        case: one of `suite.cases()`.
        suite: its protocol, network and training.
        domains: the loaded domains of the pair, by name.
        device: where the case runs.
        on_step: called from time to time with the steps done and the steps in all.
        largest: whether to search for the largest prediction batch as well.

    Raises:
        NotApplicableError: the method has no meaning for the case.
        DivergedError: a loss or a prediction is not finite.
    """
    prepared = PreparedCase(case, suite, domains, device)
    return score(prepared, fit_and_predict(prepared.inputs, device, on_step, largest=largest))


def measure_vmapped(
    cases: Sequence[Case], suite: Suite, domains: Mapping[str, Domain], device: torch.device, on_step: OnStep | None = None
) -> list[Callable[[], Measurement]]:
    """Train cases that differ in their seed alone in one vmapped program.

    Args:
        cases: the seeds of one case.
        suite: their protocol, network and training.
        domains: the loaded domains of the pair, by name.
        device: where the cases run.
        on_step: called from time to time with the steps done and the steps in all.

    Returns:
        For each case, a function that scores it.

    Raises:
        NotVmappableError: the seeds can't be trained in one program.
    """
    prepared = [PreparedCase(case, suite, domains, device) for case in cases]
    inputs, count, precision = [one.inputs for one in prepared], len(prepared), prepared[0].precision
    meters = Meters(device, precision)
    trainings = [
        prepare_training(one.case, one.suite, one.granted, one.seed, device, one.validation, meters.clock, one.collector())
        for one in inputs
    ]
    learners = [training.learner for training in trainings]
    with matmul_precision(precision, device):
        outcomes = train_learners(learners, inputs[0].suite.train, trainings[0].inputs, meters.clock, on_step=on_step)
    joules = meters.energy.joules()
    seconds_per_seed = {name: seconds / count for name, seconds in meters.clock.seconds.items()}
    note = (
        f"{count} {VMAPPED_NOTE}: train and compile seconds and energy are this seed's share; samples per second, step times "
        "and peak memory are those of all seeds"
    )

    def finish(number: int, fitted: FittedMethod) -> Measurement:
        if fitted.outcome.diverged is not None:
            raise fitted.outcome.diverged
        meters.clock.seconds = dict(seconds_per_seed)
        share = None if joules is None else joules / count
        one = prepared[number]
        one.notes = (*one.notes, note)
        return score(one, predict_and_measure(inputs[number], fitted, meters, share))

    return [
        partial(finish, number, training.fitted(outcome))
        for number, (training, outcome) in enumerate(zip(trainings, outcomes, strict=True))
    ]


def score(prepared: PreparedCase, outputs: CaseOutputs) -> Measurement:
    """Score the predictions of a case.

    Args:
        prepared: the case with the labels of its scored samples.
        outputs: what its method predicted for them.

    Raises:
        DivergedError: a prediction is not finite.
    """
    data = prepared.case_data
    y, group = (None if fact is None else fact.cpu() for fact in (data.scored.y, data.scored.group))
    assert y is not None  # scored samples have labels
    facts: dict[str, Any] = {"scored_samples": len(y), "trace": outputs.trace, **_source_scores(data, outputs)}
    predictions = None
    if data.granted.positions > 1:
        predicted = predicted_positions(outputs.scored, y, data.passages)
        facts |= position_scores(predicted, y, data.classes, prepared.suite.protocol.task, data.passages)
        counted = y != IGNORED
        facts["predictions"], predictions = metrics.pack_predictions(predicted[counted], (predicted == y)[counted])
    elif data.granted.tasks:
        predicted = metrics.task_predictions(outputs.scored, data.granted.tasks)
        facts |= metrics.task_scores(predicted, y, data.granted.tasks)
        is_scored = ~y.isnan()  # of 139 tasks each sample may have the label of one
        facts["predictions"], predictions = metrics.pack_outputs(predicted.where(is_scored, 0.0))
    elif data.granted.regression:
        facts |= metrics.regression_scores(outputs.scored, y, data.targets)
        facts["predictions"], predictions = metrics.pack_outputs(outputs.scored)
    else:
        predicted = metrics.predicted_classes(outputs.scored)
        facts["predictions"], predictions = metrics.pack_predictions(predicted, predicted == y)
        facts |= metrics.classification_scores(predicted, y, data.classes, open_set=data.open_set)
        if prepared.stream is not None:
            facts["online_accuracy"] = online_accuracy(predicted == y, prepared.stream)
        if group is not None:
            facts["per_group_accuracy"] = metrics.per_group_accuracy(predicted, y, group, data.groups)
    cost = outputs.cost.model_copy(update={"feature_seconds": prepared.feature_seconds})
    notes = tuple(dict.fromkeys([*prepared.notes, *outputs.notes]))
    names, files = _candidate_files(prepared, outputs, y if data.scored.counted is None else y[y != IGNORED])
    return Measurement(Scores(**facts, **names), cost, notes, predictions, outputs, files, _model_file(prepared, outputs))


def _model_file(prepared: PreparedCase, outputs: CaseOutputs) -> bytes | None:
    """The content of the model file of a case; None where its method is not saved."""
    if outputs.model is None:
        return None
    data, declared = prepared.case_data, prepared.declared
    facts = ModelFacts(
        classes=() if data.granted.regression or data.granted.tasks else data.classes,
        targets=data.targets,
        frozen=declared.net if declared.net.frozen else None,
        train=declared.train if declared.net.frozen else None,
        shape=prepared.sample_shape,
        dtype=str(prepared.sample_dtype).removeprefix("torch."),
    )
    return pack_model(facts, outputs.model)


def _candidate_files(prepared: PreparedCase, outputs: CaseOutputs, y: torch.Tensor) -> tuple[dict[str, str], dict[str, bytes]]:
    """The names of the files of a case's candidates by the fields of `Scores`, and their contents by name."""
    collector = prepared.inputs.collector()
    if collector is None or not outputs.candidates:
        return {}, {}
    label_free = packing.label_free_arrays(outputs.candidates, collector.samples)
    sealed = packing.sealed_arrays(outputs.candidates, collector.samples, y, prepared.seed("labels for selection"))
    packed = {"label_free_facts": packing.pack(label_free), "sealed_facts": packing.pack(sealed)}
    return {field: name for field, (name, _) in packed.items()}, dict(packed.values())


def _source_scores(data: splits.CaseData, outputs: CaseOutputs) -> dict[str, Any]:
    """The score on the validation samples of the source; empty where there are none."""
    if data.validation is None or data.validation.y is None or outputs.validation is None or data.granted.tasks:
        return {}
    y = data.validation.y.cpu()
    if data.granted.regression:
        return {"source_r2": metrics.regression_scores(outputs.validation, y, data.targets)["r2"]}
    predicted = metrics.predicted_classes(counted_outputs(outputs.validation, data.validation))
    return {"source_accuracy": metrics.accuracy(predicted, counted_labels(data.validation).cpu())}
