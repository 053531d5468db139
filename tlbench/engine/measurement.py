"""What is measured in a case: its data split, its method fitted, its scored samples predicted, and its cost."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from tlbench import methods
from tlbench.clock import Clock, Energy, PeakMemory
from tlbench.engine import frozen
from tlbench.engine.cost import measure_cost, measure_device_limit
from tlbench.engine.data import splits
from tlbench.engine.data.inputs import CHUNK_SAMPLES
from tlbench.engine.fitting import FittedMethod, fit, granted_subsets, predict, predict_scored, prepare_training
from tlbench.engine.runtime import metrics
from tlbench.engine.runtime.precision import matmul_precision, resolve_precision
from tlbench.engine.runtime.seeds import seed_of
from tlbench.engine.training.loop import OnStep, train_learners
from tlbench.methods.base import DeepMethod
from tlbench.suite import Suite
from tlbench.terms import Case, Cost, Domain, Record, Scores

MAPPED_NOTE = "samples are memory-mapped from disk, and read as the steps draw them"
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


class PreparedCase:
    """A case with its data, seeds, clock and meters, before its training.

    Args:
        case: one of `suite.cases()`.
        suite: its protocol, network and training.
        domains: the loaded domains of the pair, by name.
        device: where the case runs.
    """

    def __init__(self, case: Case, suite: Suite, domains: Mapping[str, Domain], device: torch.device) -> None:
        fingerprints = {name: domains[name].fingerprint for name in (*case.sources, case.target)}
        self.case, self.device = case, device
        self.suite, visible = frozen.with_frozen_features(suite, {name: domains[name] for name in fingerprints}, device)
        domain_notes = [f"{name}: {note}" for name in fingerprints for note in domains[name].notes]
        self.notes, self.feature_seconds = (*domain_notes, *visible.notes), visible.feature_seconds
        seed_case, seed_fingerprints = _seed_facts(case, suite, fingerprints)
        self.seed: Callable[[str], int] = partial(seed_of, seed_case, fingerprints=seed_fingerprints)
        sources, target = [visible.domains[name] for name in case.sources], visible.domains[case.target]
        protocol = suite.protocol_of(case.target)
        reads = methods.method_class(case.method).reads
        splits.check_classes_are_read(sources, target, case.entry, reads, protocol)
        self.case_data = splits.make_case_data(sources, target, protocol, self.seed, device, suite.train.resident)
        if not self.case_data.scored.store.resident:
            self.notes = (*self.notes, MAPPED_NOTE)
        is_deep = issubclass(methods.method_class(case.method), DeepMethod)
        self.precision = resolve_precision(suite.train, device) if is_deep else "fp32"
        with matmul_precision(self.precision, device):
            measure_device_limit(device, self.precision)
        self.memory, self.energy, self.clock = PeakMemory(device), Energy(device), Clock(device)


def _seed_facts(case: Case, suite: Suite, fingerprints: dict[str, str]) -> tuple[Case, dict[str, str]]:
    """The case and the fingerprints that seeds are hashed from; all label budgets of a target have the seeds of its domain.

    The labelled samples of one budget are then among those of the next, and a budget draws the samples of a suite that grants
    this number of labels alone.
    """
    if (budget := suite.label_budgets.get(case.target)) is None:
        return case, fingerprints
    renamed = {budget.domain if name == case.target else name: print_ for name, print_ in fingerprints.items()}
    return case.model_copy(update={"target": budget.domain}), renamed


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
    data = prepared.case_data
    fitted = fit(
        case,
        prepared.suite,
        data.granted,
        prepared.clock,
        prepared.seed,
        device,
        validation=data.validation,
        on_step=on_step,
    )
    return _score(prepared, fitted, prepared.energy.joules(), largest=largest)


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
    first, count = prepared[0], len(prepared)
    trainings = [
        prepare_training(one.case, one.suite, one.case_data.granted, one.seed, device, one.case_data.validation)
        for one in prepared
    ]
    learners = [training.learner for training in trainings]
    with matmul_precision(first.precision, device):
        outcomes = train_learners(learners, first.suite.train, trainings[0].inputs, first.clock, on_step=on_step)
    joules = first.energy.joules()
    seconds_per_seed = {name: seconds / count for name, seconds in first.clock.seconds.items()}
    note = (
        f"{count} {VMAPPED_NOTE}: train and compile seconds and energy are this seed's share; samples per second, step times "
        "and peak memory are those of all seeds"
    )

    def finish(one: PreparedCase, fitted: FittedMethod) -> Measurement:
        if fitted.outcome.diverged is not None:
            raise fitted.outcome.diverged
        one.clock.seconds.update(seconds_per_seed)
        one.memory = first.memory
        one.notes = (*one.notes, note)
        return _score(one, fitted, None if joules is None else joules / count)

    return [
        partial(finish, one, training.fitted(outcome))
        for one, training, outcome in zip(prepared, trainings, outcomes, strict=True)
    ]


def _score(prepared: PreparedCase, fitted: FittedMethod, joules: float | None, *, largest: bool = False) -> Measurement:
    """Predict and score the samples of a case, and measure its cost."""
    data, suite = prepared.case_data, prepared.suite
    with matmul_precision(prepared.precision, prepared.device):
        source_scores = _source_scores(fitted, data)  # before the scored samples, for some methods learn from those
        predict(fitted, data.scored[torch.arange(min(CHUNK_SAMPLES, len(data.scored)))])  # warm-up
        outputs = predict_scored(fitted, data.scored, suite.train.batch, prepared.seed("stream"), prepared.clock)
    y = data.scored.y
    assert y is not None  # scored samples have labels
    facts: dict[str, Any] = {"scored_samples": len(y), "trace": fitted.outcome.trace, **source_scores}
    predictions = None
    if suite.protocol.task == "regression":
        facts |= metrics.regression_scores(outputs, y, data.targets)
    else:
        predicted = metrics.predicted_classes(outputs)
        facts["predictions"], predictions = metrics.pack_predictions(predicted, predicted == y)
        facts |= {
            "target_accuracy": metrics.accuracy(predicted, y),
            "per_class_accuracy": metrics.per_class_accuracy(predicted, y, data.classes),
            "macro_f1": metrics.macro_f1(predicted, y, len(data.classes)),
        }
        if data.scored.group is not None:
            facts["per_group_accuracy"] = metrics.per_group_accuracy(predicted, y, data.scored.group, data.groups)
    cost = _cost(prepared, fitted, joules, largest=largest)
    return Measurement(Scores(**facts), cost, tuple(dict.fromkeys([*prepared.notes, *fitted.notes])), predictions)


def _cost(prepared: PreparedCase, fitted: FittedMethod, joules: float | None, *, largest: bool) -> Cost:
    data = prepared.case_data
    with matmul_precision(prepared.precision, prepared.device):
        cost = measure_cost(
            fitted,
            data.scored,
            prepared.clock,
            prepared.memory,
            joules,
            prepared.suite.train,
            prepared.precision,
            granted_samples=sum(map(len, granted_subsets(fitted.method, data.granted).values())),
            largest=largest,
        )
    return cost.model_copy(update={"feature_seconds": prepared.feature_seconds})


def _source_scores(fitted: FittedMethod, data: splits.CaseData) -> dict[str, Any]:
    """The score on the validation samples of the source; empty where there are none."""
    validation = data.validation
    if validation is None or validation.y is None:
        return {}
    outputs = predict(fitted, validation)
    if data.granted.regression:
        return {"source_r2": metrics.regression_scores(outputs, validation.y, data.targets)["r2"]}
    return {"source_accuracy": metrics.accuracy(metrics.predicted_classes(outputs), validation.y)}
