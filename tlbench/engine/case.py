"""Case -> Record: fit the method, predict, score and measure the cost; errors become records as well."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from tlbench import clock, methods
from tlbench.engine.cost import measure_device_limit
from tlbench.engine.data import pair_checks
from tlbench.engine.data.inputs import check_channels
from tlbench.engine.data.position_checks import check_backbone_positions
from tlbench.engine.failure import REASON_CHARACTERS, failure_reason, traceback_text
from tlbench.engine.measurement import Measurement, measure, measure_vmapped
from tlbench.engine.runtime.class_texts import check_declared
from tlbench.engine.runtime.device import code, device_context, machine
from tlbench.engine.runtime.identity import contents, identity
from tlbench.engine.runtime.precision import matmul_precision, resolve_precision
from tlbench.engine.runtime.seeds import seeded_rng
from tlbench.engine.training.loop import OnStep
from tlbench.engine.training.oom_retry import retry_accumulated
from tlbench.engine.training.optimizer import import_optimizers
from tlbench.engine.vmap_trial import vmap_pays
from tlbench.errors import NotApplicableError, TlbenchError, plain_text
from tlbench.methods.base import DeepMethod
from tlbench.nn import backbones
from tlbench.nn.augmentation.pipeline import check_shape
from tlbench.suite import Suite
from tlbench.terms import Case, Domain, Record, WeightsSource

NOTE_CHARACTERS = 1000
"""The longest note of a record; a note may come from a method."""
MAX_NOTES = 100
"""The most notes of a record."""


def check_pairs(suite: Suite, domains: Mapping[str, Domain], pairs: Sequence[tuple[tuple[str, ...], str]]) -> None:
    """Check everything about pairs that can be known before training.

    Args:
        suite: its protocol and network.
        domains: the loaded domains of the pairs, by name.
        pairs: the names of the sources and of the target of each pair.

    Raises:
        TlbenchError: a pair can't be run; the text lists the errors of all pairs.
    """
    classes = [methods.method_class(entry.method or name) for name, entry in suite.methods.items()]
    has_network = suite.net.frozen or any(issubclass(one, DeepMethod) or one.reads_class_texts for one in classes)
    errors: list[str] = []
    tried: set[tuple[int, ...]] = set()  # the shapes that a network was built for: a large one takes seconds
    try:
        check_declared(suite, domains)
    except TlbenchError as error:
        errors.append(str(error))
    for sources, target in pairs:
        try:
            pair_checks.check_pair([domains[name] for name in sources], domains[target], suite.protocol_of(target))
            shape = _shape(domains[target])
            check_channels(suite.net, shape)
            tokens = domains[target].samples.x.dtype == torch.int32
            check_shape(suite.train.augment, shape, tokens=tokens)
            if has_network:
                backbones.check_tokens(suite.net.backbone, tokens=tokens)
            if has_network and shape not in tried:
                tried.add(shape)
                with seeded_rng(0, torch.device("cpu")):
                    backbone = backbones.build_backbone(suite.net.backbone, shape, suite.net.options, suite.files)
                check_backbone_positions(backbone, suite.net.backbone, shape, suite.protocol.task, suite.train)
        except TlbenchError as error:
            errors.append(str(error))
    if errors:
        raise TlbenchError("\n".join(dict.fromkeys(errors)))


def warm_up(case: Case, suite: Suite, device: torch.device) -> None:
    """Do what takes the first case of a process seconds: late imports of torch, the device's limit, the commit.

    Args:
        case: the case that comes next.
        suite: its training.
        device: where the case runs.

    Raises:
        TlbenchError: its method can't be imported.
    """
    precision = resolve_precision(suite.train, device) if issubclass(methods.method_class(case.method), DeepMethod) else "fp32"
    import_optimizers()
    machine(device, precision)
    code()
    with device_context(device), matmul_precision(precision, device):
        measure_device_limit(device, precision)


def run_case(
    case: Case,
    suite: Suite,
    domains: Mapping[str, Domain],
    device: torch.device,
    on_step: OnStep | None = None,
    *,
    largest: bool = False,
) -> Record:
    """Run one case. An error within it becomes a record with the status `skipped` or `failed`, and its reason.

    Args:
        case: one of `suite.cases()`.
        suite: its protocol, network and training.
        domains: the loaded domains of the pair, by name.
        device: where the case runs.
        on_step: called from time to time with the steps done and the steps in all.
        largest: whether to search for the largest prediction batch as well; for benches, it takes seconds.
    """
    fingerprints = {name: domains[name].fingerprint for name in (*case.sources, case.target)}
    facts = case_facts(case, suite, fingerprints, device, _shape(domains[case.target]))
    is_deep = issubclass(methods.method_class(case.method), DeepMethod)
    run = functools.partial(measure, case, suite, domains, device, on_step, largest=largest)

    def run_with_retry() -> Measurement:
        measurement, notes = retry_accumulated(run, is_deep, device)
        return dataclasses.replace(measurement, notes=(*measurement.notes, *notes))

    with device_context(device):
        return to_record(facts, run_with_retry)


def run_seeds(
    cases: Sequence[Case],
    suite: Suite,
    domains: Mapping[str, Domain],
    device: torch.device,
    on_step: OnStep | None = None,
) -> list[Record]:
    """Run cases that differ in their seed alone, in one vmapped program where `train.vmap_seeds` and the method allow it.

    Otherwise they run one after the other, and the records note the reason.

    Args:
        cases: the seeds of one case.
        suite: their protocol, network and training.
        domains: the loaded domains of the pair, by name.
        device: where the cases run.
        on_step: called from time to time with the steps done and the steps in all.

    Raises:
        ValueError: the cases differ in more than their seed.
    """
    if len({case.model_copy(update={"seed": 0}).model_dump_json() for case in cases}) != 1:
        raise ValueError("The cases of one vmapped program must differ in their seed alone.")
    with device_context(device):
        records, note = _try_vmapped(cases, suite, domains, device, on_step)
        if records is not None:
            return records
        single = [run_case(case, suite, domains, device, on_step) for case in cases]
    return single if note is None else [record.model_copy(update={"notes": (*record.notes, note)}) for record in single]


def _try_vmapped(
    cases: Sequence[Case], suite: Suite, domains: Mapping[str, Domain], device: torch.device, on_step: OnStep | None
) -> tuple[list[Record] | None, str | None]:
    """The records of vmapped seeds; None, and a note with the reason, where the seeds must run one by one."""
    if len(cases) < 2 or not vmap_pays(cases, suite, domains, device):
        return None, None
    fingerprints = {name: domains[name].fingerprint for name in (*cases[0].sources, cases[0].target)}
    shape = _shape(domains[cases[0].target])
    facts = [case_facts(case, suite, fingerprints, device, shape) for case in cases]
    try:
        measurements = measure_vmapped(cases, suite, domains, device, on_step)
        return [to_record(of_case, measured) for of_case, measured in zip(facts, measurements, strict=True)], None
    except NotApplicableError:
        return None, None  # each seed's own record says so
    except Exception as error:  # a method that can't be vmapped may well run seed by seed
        return None, f"seeds not vmapped: {plain_text(failure_reason(error, None), 200)}"


def to_record(facts: Mapping[str, Any], run: Callable[[], Measurement]) -> Record:
    """The record of a case from the facts before its run, and from its measurement or its error."""
    predictions, trace, model = None, None, None
    candidates: Mapping[str, bytes] = {}
    try:
        measured = run()
        result: dict[str, Any] = {
            "status": "done",
            "scores": measured.scores,
            "cost": measured.cost,
            "notes": tuple(plain_text(str(note), NOTE_CHARACTERS) for note in measured.notes[:MAX_NOTES]),
        }
        predictions, candidates, model = measured.predictions, measured.candidates, measured.model
        if model is not None:
            result["model"] = hashlib.sha256(model).hexdigest()
    except KeyboardInterrupt:  # the user's, except where Ctrl-C can't reach: the worker then knows that it is the method's
        raise
    except BaseException as error:  # whatever a third-party method raises must not end the other cases
        reason = failure_reason(error, methods.method_class(facts["method"]))
        result = {"status": "skipped" if isinstance(error, NotApplicableError) else "failed", "reason": reason}
        trace = traceback_text(error)
    record = Record(**facts, **result, finished=clock.utc())
    return record.attach(predictions).attach_facts(candidates).attach_model(model).attach_traceback(trace)


def failed_record(case: Case, suite: Suite, fingerprints: Mapping[str, str], device: torch.device, reason: str) -> Record:
    """The record of a case that was ended from outside, such as by a worker that died or by the time limit.

    Args:
        case: the case.
        suite: its suite.
        fingerprints: domain name -> fingerprint, for the domains of the pair.
        device: where the case ran.
        reason: why it was ended, as a sentence.
    """
    facts = case_facts(case, suite, fingerprints, device)
    return Record(**facts, status="failed", reason=plain_text(reason, REASON_CHARACTERS), finished=clock.utc())


def _shape(domain: Domain) -> tuple[int, ...]:
    """The shape of a sample of a domain."""
    return tuple(domain.samples.x.shape[1:])


def case_facts(
    case: Case,
    suite: Suite,
    fingerprints: Mapping[str, str],
    device: torch.device,
    shape: tuple[int, ...] | None = None,
) -> dict[str, Any]:
    """The fields of a record that are known before the case runs.

    Args:
        case: the case.
        suite: its suite.
        fingerprints: domain name -> fingerprint, for the domains of the pair.
        device: where the case runs.
        shape: of a sample, which the backbone may need; None: it is not known.
    """
    method_class = methods.method_class(case.method)
    is_deep = issubclass(method_class, DeepMethod)
    return {
        **case.model_dump(exclude={"options"}),
        "options": methods.method_options(case.method, case.options),
        "identity": identity(case, suite, fingerprints),
        "kind": "deep" if is_deep else "shallow",
        "reads": tuple(sorted(method_class.reads)),
        "baseline": suite.protocol.baseline,
        "metric": suite.protocol.metric,
        "task": suite.protocol.task,
        "label_set": suite.protocol.label_set,
        "target_labels": suite.protocol_of(case.target).target_labels,
        "suite_hash": suite.hash,
        "sweep_levels": suite.sweep_levels_of((*case.sources, case.target)),
        "machine": machine(device, resolve_precision(suite.train, device) if is_deep else "fp32"),
        "code": code(),
        "data": dict(fingerprints),
        **vars(read := contents(case, suite, shape)),
        "weights_source": suite.net.weights_source if read.weights and suite.net.weights_source != WeightsSource() else None,
        "started": clock.utc(),
    }
