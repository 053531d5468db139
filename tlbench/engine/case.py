"""Case -> Record: build, train or fit, predict, score, and say what it cost."""

from __future__ import annotations

import functools
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from tlbench import clock, methods
from tlbench.engine.data import splits
from tlbench.engine.measurement import Measurement, measure, measure_vmapped
from tlbench.engine.runtime.device import code, current, machine
from tlbench.engine.runtime.identity import identity
from tlbench.engine.runtime.precision import resolve_precision
from tlbench.engine.runtime.seeds import seeded_rng
from tlbench.engine.training.loop import OnStep
from tlbench.engine.training.oom_retry import retry_accumulated
from tlbench.engine.training.vmap_trial import vmap_pays
from tlbench.errors import DivergedError, NotApplicableError, TlbenchError
from tlbench.methods.base import DeepMethod
from tlbench.nn import backbones
from tlbench.suite import Suite
from tlbench.terms import Case, Domain, Record


def check_pairs(suite: Suite, domains: Mapping[str, Domain], pairs: Sequence[tuple[tuple[str, ...], str]]) -> None:
    """Everything about the pairs of a suite that can be known before training.

    Raises:
        TlbenchError: with every mistake in one text.
    """
    wrong: list[str] = []
    for sources, target in pairs:
        try:
            splits.check_pair([domains[name] for name in sources], domains[target], suite.protocol_of(target))
            shape = tuple(domains[target].samples.x.shape[1:])
            with seeded_rng(0, torch.device("cpu")):
                backbones.build_backbone(suite.net.backbone, shape, suite.net.options)
        except TlbenchError as error:
            wrong.append(str(error))
    if wrong:
        raise TlbenchError("\n".join(dict.fromkeys(wrong)))


def run_case(
    case: Case,
    suite: Suite,
    domains: Mapping[str, Domain],
    device: torch.device,
    on_step: OnStep | None = None,
    *,
    largest: bool = False,
) -> Record:
    """Run one case. What goes wrong inside it becomes its record: `skipped` or `failed`, with the reason.

    Args:
        case: one of `suite.cases()`.
        suite: its protocol, network and budget.
        domains: the loaded domains of the pair, by name.
        device: where to run.
        on_step: told (steps done, steps in all) now and then.
        largest: find and time the largest number of rows that are predicted at once too; for benches, it takes seconds.
    """
    facts = _asked(case, suite, {name: domains[name].fingerprint for name in (*case.sources, case.target)}, device)
    trained = issubclass(methods.method_class(case.method), DeepMethod)
    work = functools.partial(measure, case, suite, domains, device, on_step, largest=largest)
    with current(device):
        return _ended(facts, lambda: retry_accumulated(work, trained, device))


def run_seeds(
    cases: Sequence[Case],
    suite: Suite,
    domains: Mapping[str, Domain],
    device: torch.device,
    on_step: OnStep | None = None,
) -> list[Record]:
    """Run cases that differ in their seed alone, in one program where `train.vmap_seeds` wants it and the method allows it.

    Else one after the other, and the records say why. Arguments and results as those of `run`, case by case.

    Raises:
        ValueError: the cases differ in more than their seed.
    """
    if len({case.model_copy(update={"seed": 0}).model_dump_json() for case in cases}) != 1:
        raise ValueError("cases that are run together differ in their seed alone")
    with current(device):
        return _together(cases, suite, domains, device, on_step)


def _together(
    cases: Sequence[Case], suite: Suite, domains: Mapping[str, Domain], device: torch.device, on_step: OnStep | None
) -> list[Record]:
    """`run_together`, where the device is the current one."""
    why: str | None = None
    if len(cases) > 1 and vmap_pays(cases, suite, domains, device):
        pair = {name: domains[name].fingerprint for name in (*cases[0].sources, cases[0].target)}
        asked = [_asked(case, suite, pair, device) for case in cases]
        try:
            endings = measure_vmapped(cases, suite, domains, device, on_step)
            return [_ended(facts, ending) for facts, ending in zip(asked, endings, strict=True)]
        except NotApplicableError:
            pass  # one by one they say so themselves
        except Exception as error:  # what a method can't do together it may do alone
            why = f"seeds apart: {' '.join(str(error).split())[:200] or type(error).__name__}"
    alone = [run_case(case, suite, domains, device, on_step) for case in cases]
    return alone if why is None else [record.model_copy(update={"notes": (*record.notes, why)}) for record in alone]


def _ended(facts: Mapping[str, Any], work: Callable[[], Measurement]) -> Record:
    """The record of a case from what was asked and what comes of it."""
    predictions: bytes | None = None
    try:
        measured = work()
        ending: dict[str, Any] = {"status": "done", "scores": measured.scores, "cost": measured.cost, "notes": measured.notes}
        predictions = measured.predictions
    except NotApplicableError as error:
        ending = {"status": "skipped", "reason": str(error)}
    except (DivergedError, TlbenchError) as error:
        ending = {"status": "failed", "reason": str(error)}
    except Exception as error:  # a method of anyone's must not end the other cases
        last = traceback.extract_tb(error.__traceback__)[-1]
        said = " ".join(str(error).split())[:500]
        ending = {
            "status": "failed",
            "reason": f"{type(error).__name__}: {said} ({Path(last.filename).name}:{last.lineno})",
        }
    return Record(**facts, **ending, finished=clock.utc()).attach(predictions)


def failed_record(case: Case, suite: Suite, fingerprints: Mapping[str, str], device: torch.device, why: str) -> Record:
    """The record of a case that could not be run to its end, for a reason outside it: its worker died, its time was over."""
    return Record(**_asked(case, suite, fingerprints, device), status="failed", reason=why, finished=clock.utc())


def _asked(case: Case, suite: Suite, pair: Mapping[str, str], device: torch.device) -> dict[str, Any]:
    """What a record holds before anything is measured."""
    kind = methods.method_class(case.method)
    return {
        **case.model_dump(exclude={"options"}),
        "options": methods.method_options(case.method, case.options),
        "identity": identity(case, suite, pair),
        "kind": "trained" if issubclass(kind, DeepMethod) else "solved",
        "reads": tuple(sorted(kind.reads)),
        "baseline": suite.protocol.baseline,
        "metric": suite.protocol.metric,
        "task": suite.protocol.task,
        "target_labels": suite.protocol_of(case.target).target_labels,
        "suite_hash": suite.hash,
        "machine": machine(device, resolve_precision(suite.train, device) if issubclass(kind, DeepMethod) else "fp32"),
        "code": code(),
        "data": dict(pair),
        "started": clock.utc(),
    }
