"""Every method on a second device: the scores are those of the CPU, no tensor of the CPU is in the way, and no step waits."""

from __future__ import annotations

import contextlib
import dataclasses
import threading
from collections.abc import Iterator

import pytest
import torch
from fake_device import ELSEWHERE, Mixed, second_device, streams, watched
from method_choice import others_slow
from plugin_files import plugged
from tiny_suite import CPU, IMAGES, NAMED, SUITE, case, domain, suite

from tlbench import engine, methods
from tlbench.checks.toy_task import CLASS_EMBEDDINGS, toy_regression, toy_samples
from tlbench.engine.data import batches
from tlbench.engine.runtime import device_limits
from tlbench.engine.streams import predictor
from tlbench.engine.training import step_runner
from tlbench.methods.base import DeepMethod
from tlbench.suite import Suite
from tlbench.terms import Domain, Labelled, Record

NAMES = methods.method_names()
TRAINED = [name for name in NAMES if issubclass(methods.method_class(name), DeepMethod)]
NUMBERS = [name for name in NAMES if "regression" in methods.method_class(name).tasks]


def asked(text: str = SUITE, net=None, protocol=None, **train) -> Suite:
    grants = ["source", "target", "stream"]
    net = {"batch_norm": True, **(net or {})} if text != NAMED else net
    return suite(
        text,
        protocol={"scored": "test", "target_labels": 3, "grants": grants, "source_held_out": 0.1, **(protocol or {})},
        net=net,
        train={"steps": 8, "batch": 12, "schedule": "inverse", "trace": 4, "resident": "on", **train},
        methods={"source_only": {}},
    )


def domains(images: bool = False) -> dict[str, Domain]:
    def rows(part: int, shift: float = 0.0) -> Labelled:
        made = toy_samples(part, 45, shift)
        pixels = torch.randint(0, 256, (len(made), 1, 28, 28), generator=torch.Generator().manual_seed(part), dtype=torch.uint8)
        return Labelled(pixels, made.y) if images else made

    return {"a": domain("a", rows(1)), "b": domain("b", rows(2, 0.7), rows(5, 0.7)), "c": domain("c", rows(3, 0.2))}


def with_numbers() -> dict[str, Domain]:
    a, b, test = toy_regression(1, 60), toy_regression(2, 60, 0.5), toy_regression(5, 40, 0.5)
    held = {"a": domain("a", a), "b": domain("b", b, test)}
    return {name: dataclasses.replace(one, classes=(), targets=("first", "second")) for name, one in held.items()}


@pytest.fixture
def away(monkeypatch) -> Iterator[torch.device]:
    """The second device; every step there is watched, and its limits are not measured."""
    product = device_limits.peak_matmul_flops
    monkeypatch.setattr(
        device_limits, "peak_matmul_flops", lambda device, *how: 1e9 if device == ELSEWHERE else product(device, *how)
    )

    def under_watch(written):
        def step(holder, *args):
            decides = isinstance(holder, predictor.StreamPredictor) and holder.adaptation.decides_on_host
            with contextlib.nullcontext() if decides else watched():
                return written(holder, *args)

        return step

    for holder, way in (
        (step_runner.StepRunner, "_run_step"),
        (step_runner.StepRunner, "_run_indexed_step"),
        (predictor.StreamPredictor, "predict"),
    ):
        monkeypatch.setattr(holder, way, under_watch(getattr(holder, way)))
    with second_device(monkeypatch) as device:
        yield device


def assert_alike(name: str, chosen: Suite, held: dict[str, Domain], device: torch.device, **changes) -> Record:
    """Scores, with the losses of the trace among them, are equal to the bit."""
    of = case(name, **changes)
    here, there = (engine.run_case(of, chosen, held, where) for where in (CPU, device))
    assert (here.status, there.status) == ("done", "done"), there.reason
    assert here.scores == there.scores and here.notes == there.notes
    return there


@pytest.mark.parametrize("name", others_slow(NAMES))
def test_scores_are_those_of_the_cpu_and_no_step_waits(name, away):
    named = methods.method_class(name).reads_class_texts
    chosen = asked(NAMED, {"class_embeddings": CLASS_EMBEDDINGS}) if named else asked()
    assert_alike(name, chosen, domains(), away)


@pytest.mark.parametrize("name", others_slow(TRAINED))
def test_no_step_of_two_sources_waits(name, away):
    assert_alike(name, asked(), domains(), away, sources=("a", "c"))


@pytest.mark.parametrize("name", others_slow(NUMBERS))
def test_regression_is_that_of_the_cpu(name, away):
    chosen = asked(protocol={"task": "regression", "metric": "rmse"})
    assert_alike(name, chosen, with_numbers(), away)


@pytest.mark.parametrize("name", ["dann", "mcd", "fixmatch", "mean_teacher", "shot", "tent"])
def test_no_step_on_images_waits(name, away):
    assert_alike(name, asked(IMAGES, steps=3), domains(images=True), away)


@pytest.mark.parametrize("sources", [("a",), ("a", "c")], ids=len)
@pytest.mark.parametrize("name", ["source_only", "dann", "mcd", "shot", "fine_tune"])
def test_rows_sent_ahead_are_those_that_were_drawn(name, sources, away, monkeypatch):
    """A thread gathers and sends them; the steps copy nothing. Room in pinned memory is used again when its copy has passed."""
    synchronised, made = streams(monkeypatch), []
    written = batches.Prefetcher._gather
    monkeypatch.setattr(batches.Prefetcher, "_gather", lambda self, step: made.append(step) or written(self, step))
    record = assert_alike(name, asked(resident="off", steps=20), domains(), away, sources=sources)
    phases = 2 if name in {"shot", "fine_tune"} else 1
    assert len(set(synchronised)) == len(synchronised) == 20 - phases * (batches.PREFETCHED + 1)
    assert "samples are memory-mapped from disk" in record.notes[0] and made == list(range(20 // phases)) * phases
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("batches")]


@pytest.mark.parametrize("name", ["dann", "coral_map"])
def test_features_of_a_frozen_backbone_are_those_of_the_cpu(name, away, monkeypatch):
    monkeypatch.setenv("TLBENCH_CACHE", "off")
    record = assert_alike(name, asked(IMAGES, net={"frozen": True}), domains(images=True), away)
    assert record.cost.feature_seconds > 0


@pytest.mark.parametrize("name", others_slow(TRAINED))
def test_no_step_that_may_be_captured_waits(name, away, monkeypatch):
    """Its number lies on the device; what is to be captured is done instead. Views are drawn by the host's generator here."""
    captured = []
    monkeypatch.setattr(step_runner, "MIN_CAPTURE_STEPS", 2)
    monkeypatch.setattr(step_runner, "may_capture", lambda choice, device: choice == "graph")
    monkeypatch.setattr(step_runner, "capture", lambda step, stream: captured.append(1) or step)
    assert_alike(name, asked(compile="graph", steps=24), domains(), away)
    draws = methods.method_class(name).draws_per_sample or name == "pcgrad"
    repeats_passes = name == "pada"
    assert len(captured) % 2 == 0 and bool(captured) != (draws or repeats_passes)


@pytest.mark.parametrize("name", others_slow(TRAINED))
def test_no_step_of_seeds_together_waits(name, away):
    cases, held = [case(name, seed=seed) for seed in range(2)], domains()
    here, there = (engine.run_seeds(cases, asked(vmap_seeds="on"), held, device) for device in (CPU, away))
    for one, other in zip(here, there, strict=True):
        assert (one.status, other.status) == ("done", "done"), other.reason
        assert one.scores == other.scores and one.notes == other.notes


BAD = (
    "class Bad(DeepMethod):\n    reads = frozenset({'source'})\n    def build(self):\n        self.table = torch.ones(3)\n"
    "    def loss(self, step: Step) -> Tensor:\n        logits, y = self.net(step.source.x), step.source.y\n"
    "        loss = F.cross_entropy(logits, y)\n        return loss"
)


@pytest.mark.parametrize(
    ("rest", "words"),
    [
        (" * (2.0 if float(loss.detach()) > 1 else 1.0)", "waits"),
        (" + logits[y == 1].mean()", "by a mask"),
        (" + logits.sum() * len(y.unique())", "waits"),
        (" + (logits * self.table).mean()", "two devices"),
        (" + (logits * self.table.to(logits.device)).mean()", "copies"),
        (" + logits.cpu().mean().to(logits.device)", "copies"),
        (" + logits.mean() * torch.tensor(2.0, device=logits.device)", "copies"),
        (" + logits[torch.randperm(len(y))].mean()", "copies"),
    ],
)
def test_what_waits_or_copies_is_seen(rest, words, away, tmp_path):
    with plugged(tmp_path, "bad", BAD + rest + "\n") as name:
        assert engine.run_case(case(name), asked(), domains(), CPU).status == "done"
        there = engine.run_case(case(name), asked(), domains(), away)
    assert there.status == "failed" and Mixed.__name__ in there.reason and words in there.reason


def test_values_and_places_are_those_of_a_device(away):
    rows = torch.arange(6.0).view(3, 2).to(away)
    assert rows.device == away and rows.cpu().tolist() == rows.tolist() == [[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]]
    rows[1].mul_(10)
    assert rows.sum().item() == 60.0 and (rows @ rows.T).device == torch.ones(2, device=away).device == away
    with pytest.raises(RuntimeError, match="numpy"):
        rows.numpy()


@pytest.mark.parametrize("is_captured", [False, True])
def test_no_step_on_augmented_images_waits(is_captured, away, monkeypatch):
    """Views and mixed labels come from tables on the device, also where a captured step reads its index there."""
    captured = []
    monkeypatch.setattr(step_runner, "MIN_CAPTURE_STEPS", 2)
    monkeypatch.setattr(step_runner, "may_capture", lambda choice, device: choice == "graph")
    monkeypatch.setattr(step_runner, "capture", lambda step, stream: captured.append(1) or step)
    color = {"kind": "color", "brightness": 0.3, "contrast": 0.3, "saturation": 0.3, "hue": 0.1}
    kinds = ["crop", "flip", color, "random_resized_crop", "rand_augment", "mixup", "cutmix"]
    chosen = asked(IMAGES, augment=kinds, steps=14, compile="graph" if is_captured else "off")
    here, there = (engine.run_case(case("dann"), chosen, domains(images=True), where) for where in (CPU, away))
    assert there.status == "done", there.reason
    losses = [[point.loss for point in record.scores.trace] for record in (here, there)]
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)  # operations of all samples round otherwise than those of some
    assert bool(captured) == is_captured
