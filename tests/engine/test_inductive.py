"""Inductive label sets: a head for the source's classes, a new one for the target's, and the methods that can learn so."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tiny_suite import CPU, blobs, case, suite
from torch import Tensor

from tlbench import clock, engine, methods
from tlbench.engine.data.inductive import phase_of_new_head
from tlbench.engine.fitting import FittedMethod
from tlbench.engine.isolated import IsolatedCase, run_packed
from tlbench.engine.measurement import PreparedCase
from tlbench.errors import NotApplicableError
from tlbench.methods.base import DeepMethod, Phase, ShallowMethod
from tlbench.terms import Domain, Labelled, Record

FINE_TUNING = (
    *("fine_tune", "linear_probe", "last_stages", "lp_ft", "l2_sp", "delta", "bss", "co_tuning", "stochnorm", "wise_ft"),
    *("lora", "adapters", "bitfit", "ssf", "norm_tuning", "layerwise_decay", "gradual_unfreezing"),
    *("nearest_class_mean", "cosine_head", "prototypical", "target_only", "from_scratch"),
)


def moved(samples: Labelled) -> Labelled:
    """The same samples with their columns in reverse order: classes of their own."""
    return Labelled(samples.x.flip(1), samples.y)


DOMAINS = {
    "a": Domain("a", blobs(1, 60, classes=2, columns=6), ("x", "y"), "a"),
    "b": Domain("b", moved(blobs(2, 90, classes=3, columns=6)), ("u", "v", "w"), "b"),
}


def inductive_suite(**changes: dict[str, Any]) -> Any:
    tables: dict[str, dict[str, Any]] = {
        "protocol": {"label_set": "inductive", "target_labels": 5, "baseline": "target_only"},
        "net": {"hidden": [16, 8], "batch_norm": True},
        "train": {"steps": 200, "batch": 16, "lr": 0.02},
        "methods": {"target_only": {}},
    }
    return suite(**{**tables, **changes})


def run(method: str, **changes: Any) -> Record:
    return engine.run_case(case(method, **changes), inductive_suite(), DOMAINS, CPU)


def fitted(method: str, **options: Any) -> FittedMethod:
    prepared = PreparedCase(case(method, options=options), inductive_suite(), DOMAINS, CPU)
    inputs = prepared.inputs
    return engine.fit(inputs.case, inputs.suite, inputs.granted, clock.Clock(CPU), inputs.seed, CPU)


@pytest.mark.parametrize("method", FINE_TUNING)
def test_methods_that_learn_from_labelled_target_samples_run(method):
    record = run(method)
    assert record.status == "done", record.reason
    assert list(record.scores.per_class_accuracy or ()) == ["u", "v", "w"] and record.scores.scored_samples == 75
    assert record.scores.target_accuracy is not None and record.scores.target_accuracy > 0.8
    assert record.scores.source_accuracy is None and record.label_set == "inductive"
    assert all(point.target_entropy is None for point in record.scores.trace)


@pytest.mark.parametrize("method", ["source_only", "dann", "coral", "joint", "mme", "shot", "tent", "logistic", "tradaboost"])
def test_methods_that_need_the_same_classes_are_skipped_with_the_reason(method):
    record = run(method)
    assert record.status == "skipped"
    assert "the label set of the suite is inductive" in (record.reason or "")


def test_every_method_runs_or_is_skipped_by_what_it_reads():
    for name in methods.method_names():
        kind = methods.method_class(name)
        if "target_labeled" not in kind.reads or (issubclass(kind, ShallowMethod) and "source" in kind.reads):
            with pytest.raises(NotApplicableError):
                fitted(name)
        elif issubclass(kind, ShallowMethod):
            assert fitted(name).method.reads == {"target_labeled"}


def test_the_head_is_new_and_the_same_for_all_methods_that_start_from_it():
    tuned = fitted("fine_tune").method
    assert isinstance(tuned, DeepMethod) and tuned.net.head.weight.shape == (3, 8) and tuned.net.source_classes == 2
    frozen = [fitted("fine_tune", freeze=2, backbone_lr=0.0).method, fitted("last_stages", stages=0).method]
    heads: list[Tensor] = [method.net.head.weight for method in frozen if isinstance(method, DeepMethod)]
    assert torch.allclose(*heads), "one head learns on frozen features in both, from the same weights and batches"
    scratch, only = (fitted(name).method for name in ("from_scratch", "target_only"))
    assert isinstance(scratch, DeepMethod) and isinstance(only, DeepMethod)
    assert torch.equal(scratch.net.head.weight, only.net.head.weight), "without pre-trained weights they are one method"


def test_the_source_decides_the_result_of_a_method_that_reads_it():
    other = {**DOMAINS, "a": Domain("a", blobs(7, 60, classes=2, columns=6, shift=2.0), ("x", "y"), "a")}
    for method, same in (("fine_tune", False), ("target_only", True)):
        one, two = (engine.run_case(case(method), inductive_suite(), domains, CPU) for domains in (DOMAINS, other))
        assert (one.attached == two.attached) is same or one.scores.trace != two.scores.trace


def test_classes_of_equal_number_get_a_new_head_too():
    domains = {**DOMAINS, "a": Domain("a", blobs(1, 60, columns=6), ("x", "y", "z"), "a")}
    prepared = PreparedCase(case("nearest_class_mean"), inductive_suite(), domains, CPU)
    assert prepared.case_data.granted.source_classes == prepared.case_data.granted.classes == 3
    record = engine.run_case(case("wise_ft", options={"alpha": 1.0}), inductive_suite(), domains, CPU)
    assert record.scores.target_accuracy is not None and record.scores.target_accuracy > 0.8


def test_another_process_gives_the_same_record():
    isolated = IsolatedCase(case("fine_tune"), inductive_suite(), DOMAINS, CPU)
    record = isolated.record(run_packed(isolated.inputs, CPU))
    assert record.status == "done", record.reason
    assert record.scores == run("fine_tune").scores


def test_seeds_are_not_vmapped_across_two_heads():
    cases = [case("fine_tune", seed=seed) for seed in (0, 1)]
    records = engine.run_seeds(cases, inductive_suite(train={"vmap_seeds": "on", "steps": 20, "batch": 8}), DOMAINS, CPU)
    assert [record.status for record in records] == ["done", "done"]
    assert "its head is replaced between two phases" in " ".join(records[0].notes)


@pytest.mark.parametrize(
    ("uses", "text"),
    [
        ((("source", "target_labeled"),), "at once"),
        ((("source",), ("target", "source")), "at once"),
        ((("source",), ("target_labeled",), ("source",)), "comes back to the source"),
    ],
)
def test_phases_that_mix_the_sides_are_refused(uses, text):
    phases = [Phase(lambda step: step.source.x.sum(), frozenset(splits)) for splits in uses]
    with pytest.raises(NotApplicableError, match=text):
        phase_of_new_head("one", phases)
    assert phase_of_new_head("two", [Phase(None, frozenset({"source"})), Phase(None, frozenset({"target"}))]) == 1
