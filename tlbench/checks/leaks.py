"""Contract checks of whole cases: what a method predicts depends on no scored label, and on no case before it."""

from __future__ import annotations

import dataclasses
import gc

import torch
from torch import Tensor

from tlbench import methods
from tlbench.checks.toy_task import CLASS_NAMES, CLASSES, CPU, toy_samples, toy_suite
from tlbench.engine.measurement import Measurement, measure
from tlbench.errors import NotApplicableError, TlbenchError
from tlbench.runner.isolation import run_isolated
from tlbench.suite import Suite
from tlbench.terms import Case, Domain, Labelled


def ignores_scored_labels(name: str) -> None:
    """The labels of the scored samples have no influence on the predictions of these samples, bit for bit."""

    def outputs(offset: int) -> Tensor:
        x = toy_samples(5, 90, shift=0.7).x
        test = Labelled(x, (torch.arange(len(x)) + offset) % CLASSES)
        source, target = (
            Domain("a", toy_samples(1), CLASS_NAMES, "a"),
            Domain("b", toy_samples(2, shift=0.7), CLASS_NAMES, "b", test),
        )
        return _predict(_case(name, "a", "b"), {"a": source, "b": target}, "test")

    first = outputs(0)
    gc.collect()  # labels of the first run that are still in memory would be found in the second as well
    if not torch.equal(first, outputs(1)):
        raise TlbenchError(
            "The predictions change with the labels of the scored samples. Read nothing but the splits that a method is handed."
        )


def remembers_no_other_case(name: str) -> None:
    """A case comes out the same after a case with the domains swapped, whose labels it must not know, and in a new process."""
    samples = {"a": toy_samples(11), "b": toy_samples(12, shift=0.7)}
    domains = {key: Domain(key, of_domain, CLASS_NAMES, key) for key, of_domain in samples.items()}
    case, swapped = _case(name, "a", "b"), _case(name, "b", "a")
    here, suite = _measure(case, domains, "adapted")
    before = _scored(here)
    _predict(swapped, domains, "adapted")
    if not torch.equal(before, _predict(case, domains, "adapted")):
        raise TlbenchError(
            "After a case with source and target swapped, the same case gives other predictions. A method must keep nothing "
            "from one case to the next: hold its state in the instance, not in the class or the file."
        )
    if methods.is_registered_class(name):
        return  # it exists in this process alone
    record = run_isolated(case, suite, domains, CPU)
    if record.status != "done":
        raise TlbenchError(f"In a process of its own, the case has no result: {record.reason}")
    if record.scores.predictions != here.scores.predictions:
        raise TlbenchError(
            "In a new process, the same case gives other predictions. A method must keep nothing from one case to the next: "
            "hold its state in the instance, not in the class or the file."
        )


def _case(name: str, source: str, target: str) -> Case:
    return Case(suite="toy", suite_version=1, entry=name, method=name, sources=(source,), target=target, seed=0)


def _predict(case: Case, domains: dict[str, Domain], scored: str) -> Tensor:
    """The outputs (N, C) of a case for its scored samples, in a run of the whole case as `tlbench run` has it."""
    return _scored(_measure(case, domains, scored)[0])


def _scored(measured: Measurement) -> Tensor:
    """The outputs (N, C) of a measurement for its scored samples."""
    assert measured.outputs is not None  # it is a measurement of this process
    return measured.outputs.scored


def _measure(case: Case, domains: dict[str, Domain], scored: str) -> tuple[Measurement, Suite]:
    """The measurement of a case and its suite, with batch normalisation where the method needs it."""
    if methods.method_class(case.method).reads_class_texts:
        suite = _suite(scored, class_names=True)
        return measure(case, suite, domains, CPU), suite
    suites = [_suite(scored, batch_norm=batch_norm) for batch_norm in (False, True)]
    try:
        return measure(case, suites[0], domains, CPU), suites[0]
    except NotApplicableError:  # some methods adapt batch normalisation
        return measure(case, suites[1], domains, CPU), suites[1]


def _suite(scored: str, *, batch_norm: bool = False, class_names: bool = False) -> Suite:
    suite = toy_suite(batch_norm=batch_norm, class_names=class_names)
    train = suite.train.model_copy(update={"trace": 0})
    return dataclasses.replace(suite, protocol=suite.protocol.model_copy(update={"scored": scored}), train=train)
