"""What is measured in a case: its split made, its method trained, its scored rows predicted, its cost added up."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from tlbench import clock, methods
from tlbench.engine import frozen
from tlbench.engine.cost import cost as cost_of
from tlbench.engine.cost import warm_up
from tlbench.engine.data import splits
from tlbench.engine.data.inputs import CHUNK
from tlbench.engine.fitting import FittedMethod, fit, granted_subsets, predict, predict_scored, prepare_training
from tlbench.engine.runtime import metrics
from tlbench.engine.runtime.precision import matmul_precision, resolve_precision
from tlbench.engine.runtime.seeds import seed_of
from tlbench.engine.training.loop import Learner, OnStep, train_learners
from tlbench.methods.base import DeepMethod
from tlbench.suite import Suite
from tlbench.terms import Case, Cost, Domain, Scores


@dataclass(frozen=True)
class Measurement:
    """What a record says of a case that came to its end."""

    scores: Scores
    cost: Cost
    notes: tuple[str, ...]
    predictions: bytes | None = None
    """The content of the predictions file."""


class PreparedCase:
    """A case with its rows, its seeds and its instruments."""

    def __init__(self, case: Case, suite: Suite, domains: Mapping[str, Domain], device: torch.device) -> None:
        pair = {name: domains[name].fingerprint for name in (*case.sources, case.target)}
        self.case, self.device = case, device
        self.suite, seen = frozen.with_frozen_features(suite, {name: domains[name] for name in pair}, device)
        read = [f"{name}: {note}" for name in pair for note in domains[name].notes]
        self.notes, self.feature_seconds = (*read, *seen.notes), seen.seconds
        drawn, prints = _drawn(case, suite, pair)
        self.seed: Callable[[str], int] = partial(seed_of, drawn, fingerprints=prints)
        sources, target = [seen.domains[name] for name in case.sources], seen.domains[case.target]
        self.parts = splits.make_case_data(
            sources, target, suite.protocol_of(case.target), self.seed, device, suite.train.resident
        )
        if not self.parts.scored.store.resident:
            self.notes = (*self.notes, "rows are mapped from disk, and read as the steps draw them")
        self.precision = (
            resolve_precision(suite.train, device) if issubclass(methods.method_class(case.method), DeepMethod) else "fp32"
        )
        with matmul_precision(self.precision, device):
            warm_up(device, self.precision)
        self.memory, self.energy, self.watch = clock.Memory(device), clock.Energy(device), clock.Clock(device)


def _drawn(case: Case, suite: Suite, pair: dict[str, str]) -> tuple[Case, dict[str, str]]:
    """The case and the fingerprints that seeds are hashed from: all steps of a ladder of labels draw as their domain does.

    So the rows granted on one step are among those of the next, and a step is the suite that grants as many without a ladder.
    """
    if (rung := suite.rungs.get(case.target)) is None:
        return case, pair
    prints = {rung.domain if name == case.target else name: print_ for name, print_ in pair.items()}
    return case.model_copy(update={"target": rung.domain}), prints


def measure(
    case: Case,
    suite: Suite,
    domains: Mapping[str, Domain],
    device: torch.device,
    on_step: OnStep | None = None,
    *,
    largest: bool = False,
) -> Measurement:
    """Run one case; arguments as those of `engine.run`, which turns what is raised into a record."""
    at = PreparedCase(case, suite, domains, device)
    parts = at.parts
    fitted = fit(case, at.suite, parts.granted, at.watch, at.seed, device, validation=parts.validation, on_step=on_step)
    return _finish(at, fitted, at.energy.joules(), largest=largest)


def measure_vmapped(
    cases: Sequence[Case], suite: Suite, domains: Mapping[str, Domain], device: torch.device, on_step: OnStep | None = None
) -> list[Callable[[], Measurement]]:
    """Train cases that differ in their seed alone in one program; what is left to do for each.

    Raises:
        Apart: that can't be done.
    """
    places = [PreparedCase(case, suite, domains, device) for case in cases]
    first, count = places[0], len(places)
    ready = [prepare_training(at.case, at.suite, at.parts.granted, at.seed, device, at.parts.validation) for at in places]
    learners: list[Learner] = [one.learner for one in ready]
    with matmul_precision(first.precision, device):
        outcomes = train_learners(learners, first.suite.train, ready[0].inputs, first.watch, on_step=on_step)
    joules = first.energy.joules()
    share = {name: seconds / count for name, seconds in first.watch.seconds.items()}
    said = (
        f"{count} seeds trained together: train and compile seconds and energy are a share of theirs; samples per second, "
        "step times and peak memory are of all"
    )

    def finish(at: PreparedCase, fitted: FittedMethod) -> Measurement:
        if fitted.outcome.diverged is not None:
            raise fitted.outcome.diverged
        at.watch.seconds.update(share)
        at.memory = first.memory
        at.notes = (*at.notes, said)
        return _finish(at, fitted, None if joules is None else joules / count)

    return [partial(finish, at, one.fitted(outcome)) for at, one, outcome in zip(places, ready, outcomes, strict=True)]


def _finish(at: PreparedCase, fitted: FittedMethod, joules: float | None, *, largest: bool = False) -> Measurement:
    """Predict and score."""
    parts, suite = at.parts, at.suite
    with matmul_precision(at.precision, at.device):
        on_source = _on_source(fitted, parts)  # before the scored rows: some methods go on learning on those
        predict(fitted, parts.scored[torch.arange(min(CHUNK, len(parts.scored)))])  # warm-up
        given = predict_scored(fitted, parts.scored, suite.train.batch, at.seed("stream"), at.watch)
    y = parts.scored.y
    assert y is not None  # scored rows have labels
    facts: dict[str, Any] = {"scored_samples": len(y), "trace": fitted.outcome.trace, **on_source}
    predictions = None
    if suite.protocol.task == "regression":
        facts |= metrics.regression_scores(given, y, parts.targets)
    else:
        predicted = metrics.predicted_classes(given)
        facts["predictions"], predictions = metrics.pack_predictions(predicted, predicted == y)
        facts |= {
            "target_accuracy": metrics.accuracy(predicted, y),
            "per_class_accuracy": metrics.per_class_accuracy(predicted, y, parts.classes),
            "macro_f1": metrics.macro_f1(predicted, y, len(parts.classes)),
        }
        if parts.scored.group is not None:
            facts["per_group_accuracy"] = metrics.per_group_accuracy(predicted, y, parts.scored.group, parts.groups)
    rows = sum(map(len, granted_subsets(fitted.method, parts.granted).values()))
    with matmul_precision(at.precision, at.device):
        cost = cost_of(fitted, parts.scored, at.watch, at.memory, joules, suite.train, at.precision, rows, largest=largest)
    cost = cost.model_copy(update={"feature_seconds": at.feature_seconds})
    return Measurement(Scores(**facts), cost, tuple(dict.fromkeys([*at.notes, *fitted.notes])), predictions)


def _on_source(fitted: FittedMethod, parts: splits.CaseData) -> dict[str, Any]:
    """The score on the source rows that were kept, if any."""
    held = parts.validation
    if held is None or held.y is None:
        return {}
    given = predict(fitted, held)
    if parts.granted.regression:
        return {"source_r2": metrics.regression_scores(given, held.y, parts.targets)["r2"]}
    return {"source_accuracy": metrics.accuracy(metrics.predicted_classes(given), held.y)}
