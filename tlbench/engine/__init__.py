"""Case -> Record: build, train or fit, predict, score, and say what it cost."""

from __future__ import annotations

import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from tlbench import clock, methods
from tlbench.engine import cell, score
from tlbench.engine.fitting import Fitted, fit, granted_to, predict, scores
from tlbench.engine.inputs import CHUNK
from tlbench.engine.machine import code, device_of, machine
from tlbench.engine.seeds import seed_of, seeded
from tlbench.engine.train import OnStep
from tlbench.methods.base import Trained
from tlbench.nn import trunks
from tlbench.suite import Suite, digest
from tlbench.terms import Case, Cost, Diverged, Domain, NotApplicable, Record, Scores, TlbenchError

__all__ = ["Fitted", "check", "device_of", "failed", "fit", "identity", "run", "scores"]


def identity(case: Case, suite: Suite, fingerprints: Mapping[str, str]) -> str:
    """Hash of all that decides a case's numbers: what was asked, the data's content and the method's version.

    Options at their defaults are left out, as in `Suite.decides`: a method may get a new option without a new version.
    """
    kind = methods.find(case.method)
    defaults = kind.Options.model_construct().model_dump()
    chosen = {k: v for k, v in methods.options(case.method, case.options).items() if k not in defaults or v != defaults[k]}
    return digest(
        {
            "suite": [case.suite, case.suite_version],
            "method": [case.method, kind.version, chosen],
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
    facts = _asked(case, suite, {name: domains[name].fingerprint for name in (*case.sources, case.target)}, device)
    predictions: bytes | None = None
    try:
        measured, cost, notes, predictions = _measure(case, suite, domains, device, on_step)
        ending: dict[str, Any] = {"status": "done", "scores": measured, "cost": cost, "notes": notes}
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
    return Record(**facts, **ending, finished=clock.utc()).attach(predictions)


def failed(case: Case, suite: Suite, fingerprints: Mapping[str, str], device: torch.device, why: str) -> Record:
    """The record of a case that could not be run to its end, for a reason outside it: its worker died, its time was over."""
    return Record(**_asked(case, suite, fingerprints, device), status="failed", why=why, finished=clock.utc())


def _asked(case: Case, suite: Suite, pair: Mapping[str, str], device: torch.device) -> dict[str, Any]:
    """What a record holds before anything is measured."""
    kind = methods.find(case.method)
    return {
        **case.model_dump(exclude={"options"}),
        "options": methods.options(case.method, case.options),
        "identity": identity(case, suite, pair),
        "kind": "trained" if issubclass(kind, Trained) else "solved",
        "reads": tuple(sorted(kind.reads)),
        "baseline": suite.protocol.baseline,
        "metric": suite.protocol.metric,
        "task": suite.protocol.task,
        "target_labels": suite.protocol.target_labels,
        "suite_hash": suite.hash,
        "machine": machine(device),
        "code": code(),
        "data": dict(pair),
        "started": clock.utc(),
    }


def _measure(
    case: Case, suite: Suite, domains: Mapping[str, Domain], device: torch.device, on_step: OnStep | None
) -> tuple[Scores, Cost, tuple[str, ...], bytes | None]:
    pair = {name: domains[name].fingerprint for name in (*case.sources, case.target)}

    def seed(use: str) -> int:
        return seed_of(case, use, pair)

    parts = cell.make([domains[n] for n in case.sources], domains[case.target], suite.protocol, seed, device)
    memory, energy, watch = clock.Memory(device), clock.Energy(device), clock.Clock(device)
    fitted = fit(case, suite, parts.granted, watch, seed, device, validation=parts.validation, on_step=on_step)
    joules = energy.joules()
    held = None if suite.protocol.task == "regression" else parts.validation
    # before the scored rows: some methods go on learning on those
    source_accuracy = held and score.accuracy(score.predicted(predict(fitted, held.x)), held.y)
    predict(fitted, parts.scored.x[:CHUNK])  # warm-up
    given, y = scores(fitted, parts.scored.x, suite.train.batch, seed("stream"), watch), parts.scored.y
    facts: dict[str, Any] = {"scored_rows": len(y), "trace": fitted.outcome.trace}
    predictions = None
    if suite.protocol.task == "regression":
        facts |= score.regression(given, y, parts.targets)
    else:
        predicted = score.predicted(given)
        facts["predictions"], predictions = score.kept(predicted, predicted == y)
        facts |= {
            "target_accuracy": score.accuracy(predicted, y),
            "source_accuracy": source_accuracy,
            "per_class_accuracy": score.per_class(predicted, y, parts.classes),
            "macro_f1": score.macro_f1(predicted, y, len(parts.classes)),
        }
        if parts.scored.group is not None:
            facts["per_group_accuracy"] = score.per_group(predicted, y, parts.scored.group, parts.groups)
    measured = Scores(**facts)
    is_trained = isinstance(fitted.method, Trained)
    rate = fitted.outcome.samples_per_second
    if not is_trained:
        seen = sum(len(p) for p in granted_to(fitted.method, parts.granted).values())
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
    return measured, cost, fitted.notes, predictions
