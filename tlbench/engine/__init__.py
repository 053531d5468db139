"""Case -> Record: build, train or fit, predict, score, and say what it cost."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tlbench import clock, methods
from tlbench.engine import cell, score
from tlbench.engine.inputs import CHUNK, Inputs, in_chunks
from tlbench.engine.machine import code, device_of, machine
from tlbench.engine.rates import warm_up
from tlbench.engine.seeds import generator, seed_of, seeded
from tlbench.engine.stream import predict_online
from tlbench.engine.train import OnStep, Outcome, train
from tlbench.methods.base import Method, Predictor, Solved, Trained
from tlbench.nn import trunks
from tlbench.nn.net import Net
from tlbench.suite import Suite, digest
from tlbench.terms import (
    PARTS,
    STREAM,
    Case,
    Cost,
    Diverged,
    Domain,
    Labelled,
    NotApplicable,
    Record,
    Scores,
    Task,
    TlbenchError,
)

__all__ = ["Fitted", "check", "device_of", "fit", "identity", "run", "scores"]

WATCHED = 2000
"""Rows that a checkpoint of the trace looks at, at most: evenly spread over the source's kept rows, and over the target's."""


@dataclass
class Fitted:
    """A method after its training, before its scoring: all that the target labels are then held against."""

    predictor: Predictor
    """Network inputs (N, ...) -> class scores (N, C)."""
    inputs: Inputs
    outcome: Outcome
    method: Method


def identity(case: Case, suite: Suite, fingerprints: Mapping[str, str]) -> str:
    """Hash of all that decides a case's numbers: what was asked, the data's content and the method's version."""
    kind = methods.find(case.method)
    return digest(
        {
            "suite": [case.suite, case.suite_version],
            "method": [case.method, kind.version, methods.options(case.method, case.options)],
            "pair": [case.sources, case.target],
            "seed": case.seed,
            "data": dict(fingerprints),
            "decides": suite.decides(),
        }
    )


def check(suite: Suite, domains: Mapping[str, Domain], pairs: Sequence[tuple[tuple[str, ...], str]]) -> None:
    """Everything about the pairs of a suite that can be known before training.

    Raises:
        TlbenchError: with every mistake in one text.
    """
    wrong: list[str] = []
    for sources, target in pairs:
        try:
            cell.check([domains[name] for name in sources], domains[target], suite.protocol)
            shape = tuple(domains[target].rows.x.shape[1:])
            with seeded(0, torch.device("cpu")):
                trunks.build(suite.net.trunk, shape, suite.net.options)
        except TlbenchError as error:
            wrong.append(str(error))
    if wrong:
        raise TlbenchError("\n".join(dict.fromkeys(wrong)))


def run(case: Case, suite: Suite, domains: Mapping[str, Domain], device: torch.device, on_step: OnStep | None = None) -> Record:
    """Run one case. What goes wrong inside it becomes its record: `skipped` or `failed`, with the reason.

    Args:
        case: one of `suite.cases()`.
        suite: its protocol, network and budget.
        domains: the loaded domains of the pair, by name.
        device: where to run.
        on_step: told (steps done, steps in all) now and then.
    """
    pair = {name: domains[name].fingerprint for name in (*case.sources, case.target)}
    kind = methods.find(case.method)
    facts: dict[str, Any] = {
        **case.model_dump(exclude={"options"}),
        "options": methods.options(case.method, case.options),
        "identity": identity(case, suite, pair),
        "kind": "trained" if issubclass(kind, Trained) else "solved",
        "reads": tuple(sorted(kind.reads)),
        "baseline": suite.protocol.baseline,
        "metric": suite.protocol.metric,
        "target_labels": suite.protocol.target_labels,
        "suite_hash": suite.hash,
        "machine": machine(device),
        "code": code(),
        "data": pair,
        "started": clock.utc(),
    }
    try:
        measured, cost = _measure(case, suite, domains, device, on_step)
        ending: dict[str, Any] = {"status": "done", "scores": measured, "cost": cost}
    except NotApplicable as error:
        ending = {"status": "skipped", "why": str(error)}
    except (Diverged, TlbenchError) as error:
        ending = {"status": "failed", "why": str(error)}
    except Exception as error:  # a method of anyone's must not end the other cases
        last = traceback.extract_tb(error.__traceback__)[-1]
        said = " ".join(str(error).split())[:500]
        ending = {
            "status": "failed",
            "why": f"{type(error).__name__}: {said} ({Path(last.filename).name}:{last.lineno})",
        }
    return Record(**facts, **ending, finished=clock.utc())


def _measure(
    case: Case, suite: Suite, domains: Mapping[str, Domain], device: torch.device, on_step: OnStep | None
) -> tuple[Scores, Cost]:
    pair = {name: domains[name].fingerprint for name in (*case.sources, case.target)}

    def seed(use: str) -> int:
        return seed_of(case, use, pair)

    parts = cell.make([domains[n] for n in case.sources], domains[case.target], suite.protocol, seed, device)
    memory, energy, watch = clock.Memory(device), clock.Energy(device), clock.Clock(device)
    fitted = fit(case, suite, parts.granted, watch, seed, device, validation=parts.validation, on_step=on_step)
    joules = energy.joules()
    source_accuracy = None
    if parts.validation is not None:
        held = parts.validation
        source_accuracy = score.accuracy(score.predicted(_predict(fitted, held.x)), held.y)
    _predict(fitted, parts.scored.x[:CHUNK])  # warm-up
    predicted = score.predicted(scores(fitted, parts.scored.x, suite.train.batch, seed("stream"), watch))
    y = parts.scored.y
    measured = Scores(
        target_accuracy=score.accuracy(predicted, y),
        source_accuracy=source_accuracy,
        per_class_accuracy=score.per_class(predicted, y, parts.classes),
        macro_f1=score.macro_f1(predicted, y, len(parts.classes)),
        scored_rows=len(y),
        trace=fitted.outcome.trace,
    )
    is_trained = isinstance(fitted.method, Trained)
    rate = fitted.outcome.samples_per_second
    if not is_trained:
        seen = sum(len(p) for p in _granted(fitted.method, parts.granted).values())
        rate = seen / watch.seconds["train"]
    cost = Cost(
        train_seconds=watch.seconds["train"],
        train_samples_per_second=rate,
        predict_samples_per_second=len(y) / watch.seconds["predict"],
        peak_memory_bytes=memory.peak(),
        energy_joules=joules,
        steps=len(fitted.outcome.losses) if is_trained else None,
        batch=suite.train.batch if is_trained else None,
    )
    return measured, cost


def fit(
    case: Case,
    suite: Suite,
    granted: Task,
    watch: clock.Clock,
    seed: Callable[[str], int],
    device: torch.device,
    *,
    validation: Labelled | None = None,
    on_step: OnStep | None = None,
) -> Fitted:
    """Train or solve the method of a case on what the suite grants and the method reads.

    Raises:
        NotApplicable: the suite does not grant what the method reads.
        Diverged: the loss is no longer finite.
    """
    warm_up()
    kind = methods.find(case.method)
    options = methods.options(case.method, case.options)
    there = {part for part in PARTS if getattr(granted, part) is not None} | {STREAM} & {*suite.protocol.grants}
    if missing := sorted(kind.reads - there):
        raise NotApplicable(f"{case.method} reads {', '.join(missing)}, which the suite does not grant")
    task = Task(granted.classes, **{part: getattr(granted, part) if part in kind.reads else None for part in PARTS})
    some = next(part for part in (granted.source, granted.target, granted.few) if part is not None)
    shape = tuple((some.x if isinstance(some, Labelled) else some).shape[1:])

    if issubclass(kind, Solved):
        inputs = Inputs(suite.net, channels_last=False)
        with seeded(seed("solve"), device), torch.no_grad():
            ready = {name: _ready(part, inputs) for name, part in _granted(kind, task).items()}
            solved = kind(**options)
            with watch.measure("train"):
                predictor = solved.fit(Task(task.classes, **ready))  # type: ignore[arg-type]
        return Fitted(predictor, inputs, Outcome(), solved)

    assert issubclass(kind, Trained)
    with seeded(seed("network"), device):
        net = Net(trunks.build(suite.net.trunk, shape, suite.net.options), granted.classes)
    domains = 1
    if granted.source is not None and granted.source.domain is not None:
        domains = int(granted.source.domain.max()) + 1
    with seeded(seed("method"), device):
        method = kind(net, domains, **options)
    channels_last = suite.train.layout == "channels_last" or (
        suite.train.layout == "auto" and any(isinstance(m, nn.Conv2d) for m in net.modules())
    )
    inputs = Inputs(suite.net, channels_last)
    method.to(device)
    if channels_last:
        method.to(memory_format=torch.channels_last)
    watched = None if granted.target is None else granted.target[_spread(len(granted.target))]
    validation = None if validation is None else validation[_spread(len(validation)).to(device)]
    with seeded(seed("steps"), device):
        outcome = train(method, task, suite.train, inputs, watch, seed, validation=validation, watched=watched, on_step=on_step)
    return Fitted(method.predict, inputs, outcome, method)


def scores(fitted: Fitted, x: Tensor, batch: int, seed: int, watch: clock.Clock) -> Tensor:
    """Scores of the scored rows: at once, or on a stream in a seeded order where the method goes on learning."""
    online = fitted.method.online() if isinstance(fitted.method, Trained) else None
    if online is None or not isinstance(fitted.method, Trained):
        with watch.measure("predict"):
            return _predict(fitted, x)
    order = torch.randperm(len(x), generator=generator(seed)).to(x.device)
    with seeded(seed, x.device), watch.measure("predict"):
        in_order = predict_online(fitted.method, online, x[order], fitted.inputs, batch)
    return in_order[torch.argsort(order)]


def _spread(rows: int) -> Tensor:
    """The numbers of at most `WATCHED` of the rows, evenly spread: files are often sorted by class."""
    return torch.linspace(0, rows - 1, min(rows, WATCHED)).long()


def _predict(fitted: Fitted, x: Tensor) -> Tensor:
    return in_chunks(fitted.predictor, x, fitted.inputs, CHUNK)


def _granted(method: Method | type[Method], task: Task) -> dict[str, Labelled | Tensor]:
    parts = {name: getattr(task, name) for name in PARTS if name in method.reads}
    return {name: part for name, part in parts.items() if part is not None}


def _ready(part: Labelled | Tensor, inputs: Inputs) -> Labelled | Tensor:
    return Labelled(inputs(part.x), part.y, part.domain) if isinstance(part, Labelled) else inputs(part)
