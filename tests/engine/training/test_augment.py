"""`train.augment` in the engine: which samples it changes, from which seeds, and what it refuses."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from engine_runs import DEEP_METHODS
from method_choice import others_slow
from plugin_files import Cut
from tiny_suite import CPU, IMAGES, SUITE, blobs, case, domain, suite

from tlbench import engine, methods
from tlbench.checks.soft_labels import takes_class_probabilities, why_not_soft
from tlbench.clock import Clock
from tlbench.engine.data.phase_batches import PhaseDraws
from tlbench.engine.fitting import prepare_training
from tlbench.engine.measurement import PreparedCase
from tlbench.engine.runtime.seeds import seeded_rng
from tlbench.engine.training import oom_retry
from tlbench.engine.training.checkpoint import Checkpointer, active_checkpointer
from tlbench.engine.training.loop import train_learners
from tlbench.errors import TlbenchError
from tlbench.terms import SPLITS, Labelled, Step

KINDS = [
    {"kind": "crop", "padding": 2},
    {"kind": "flip"},
    {"kind": "color", "brightness": 0.4, "contrast": 0.2, "saturation": 0.2, "hue": 0.1},
    {"kind": "random_resized_crop", "scale": [0.5, 1.0]},
    {"kind": "rand_augment", "operations": 2, "magnitude": 9},
    {"kind": "mixup", "alpha": 0.2},
    {"kind": "cutmix"},
]


def image_domains(channels: int = 3):
    """Two domains of byte images (N, channels, 16, 16) of three brightnesses."""
    domains = {}
    for name, seed in (("a", 1), ("b", 2)):
        source = torch.Generator().manual_seed(seed)
        y = torch.arange(36) % 3
        x = 60 * y[:, None, None, None] + torch.randint(100, (36, channels, 16, 16), generator=source)
        domains[name] = domain(name, Labelled(x.byte(), y))
    return domains


def image_suite(*kinds, protocol=None, net=None, **train):
    return suite(IMAGES, train={"augment": list(kinds), **train}, protocol=protocol or {}, net=net or {})


def step_of(method: str, chosen, step=0, seeds: int = 1) -> Step:
    """What a step of the first phase of a method draws."""
    loaded = image_domains()
    prepared = [PreparedCase(case(method, seed=seed), chosen, loaded, CPU) for seed in range(seeds)]
    trainings = [prepare_training(one.case, one.suite, one.case_data.granted, one.seed, CPU) for one in prepared]
    learners = [training.learner for training in trainings]
    reads = methods.method_class(method).reads
    subsets = {split: [getattr(one.granted, split) for one in learners] for split in SPLITS if split in reads}
    draws = PhaseDraws(learners, subsets, 0, chosen.train.steps, chosen.train, CPU)
    return draws.batches(trainings[0].inputs, 0).at(step, 0.0)


def losses_of(method: str, chosen, seeds: int = 1) -> list[list[float]]:
    """The losses of each seed; several are trained in one vmapped program."""
    loaded = image_domains()
    prepared = [PreparedCase(case(method, seed=seed), chosen, loaded, CPU) for seed in range(seeds)]
    trainings = [prepare_training(one.case, one.suite, one.case_data.granted, one.seed, CPU) for one in prepared]
    with seeded_rng(0, CPU):
        outcomes = train_learners([one.learner for one in trainings], chosen.train, trainings[0].inputs, Clock(CPU))
    return [outcome.losses for outcome in outcomes]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind["kind"])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_case_runs_with_each_kind_and_gives_the_same_numbers_twice(kind, channels):
    chosen, loaded = image_suite(kind), image_domains(channels)
    first, second = (engine.run_case(case("coral"), chosen, loaded, CPU) for _ in range(2))
    assert first.status == "done", first.reason
    assert first.scores == second.scores
    plain = engine.run_case(case("coral"), image_suite(), loaded, CPU)
    assert first.scores.trace[-1].loss != plain.scores.trace[-1].loss
    assert first.identity != plain.identity and first.suite_hash != plain.suite_hash


def test_without_the_key_no_identity_changes():
    chosen = suite(IMAGES)
    assert chosen.hash == image_suite().hash and "augment" not in str(chosen.hashed_settings())
    fingerprints = {"a": "1", "b": "2"}
    augmented = image_suite("flip")
    assert engine.identity(case(), chosen, fingerprints) != engine.identity(case(), augmented, fingerprints)
    shallow = case("logistic")
    assert engine.identity(shallow, chosen, fingerprints) == engine.identity(shallow, augmented, fingerprints)


def test_all_methods_of_a_cell_see_the_same_views():
    chosen = image_suite(*KINDS[:5])
    source_only, dann, plain = step_of("source_only", chosen), step_of("dann", chosen), step_of("dann", image_suite())
    assert torch.equal(source_only.source.x, dann.source.x)
    assert torch.equal(source_only.indices["source"], plain.indices["source"])  # the draws of samples are as ever
    for view, sample in ((dann.source.x, plain.source.x), (dann.target, plain.target)):
        assert view.shape == sample.shape and not (view == sample).flatten(1).all(dim=1).any()
    assert not torch.equal(step_of("dann", chosen, 1).source.x, dann.source.x)
    on_device = step_of("dann", chosen, torch.tensor([0]))
    assert torch.equal(on_device.source.x, dann.source.x) and torch.equal(on_device.target, dann.target)


def test_mixing_changes_labelled_samples_alone():
    chosen, plain = image_suite({"kind": "mixup", "alpha": 1.0}), step_of("dann", image_suite())
    mixed = step_of("dann", chosen)
    assert mixed.source.y.shape == (8, 3) and torch.allclose(mixed.source.y.sum(dim=1), torch.ones(8))
    assert torch.allclose(mixed.target, plain.target, atol=1e-6)
    own = mixed.source.y.gather(1, plain.source.y[:, None])[:, 0]
    assert bool(((own > 0) & (own <= 1)).all()) and bool((own < 1).any())
    other = plain.source.y.roll(1)
    same = other == plain.source.y
    share = torch.where(same, 0.5, own)[:, None, None, None]  # where both have one class, labels do not tell the share
    expected = plain.source.x * share + plain.source.x.roll(1, 0) * (1 - share)
    assert torch.allclose(mixed.source.x[~same], expected[~same], atol=1e-5) and bool((~same).any())


def test_a_regression_mixes_targets():
    loaded = image_domains()
    targets = {
        name: dataclasses.replace(
            one, samples=dataclasses.replace(one.samples, y=one.samples.y.float()[:, None]), classes=(), targets=("y",)
        )
        for name, one in loaded.items()
    }
    chosen = image_suite({"kind": "mixup", "alpha": 1.0}, protocol={"task": "regression"})
    record = engine.run_case(case(), chosen, targets, CPU)
    assert record.status == "done", record.reason


def test_vmapped_seeds_see_the_views_of_single_seeds():
    chosen = image_suite(*KINDS, steps=8, lr=1e-3)
    together = step_of("source_only", chosen, seeds=2)
    assert together.source.x.shape == (2, 8, 3, 16, 16) and together.source.y.shape == (2, 8, 3)
    alone = step_of("source_only", chosen)
    assert torch.allclose(together.source.x[0], alone.source.x, atol=1e-6)
    assert torch.allclose(together.source.y[0], alone.source.y)
    vmapped, single = losses_of("source_only", chosen, seeds=2), losses_of("source_only", chosen)
    assert vmapped[0] == pytest.approx(single[0], abs=1e-4)


def test_a_case_that_was_cut_off_goes_on_to_the_same_numbers(tmp_path):
    chosen, loaded = image_suite(*KINDS, steps=30, trace=5), image_domains()
    whole = engine.run_case(case(), chosen, loaded, CPU)

    def cut(done: int, total: int) -> None:
        if done > 9:
            raise Cut

    records = []
    for on_step in (cut, None):
        token = active_checkpointer.set(Checkpointer(tmp_path / "case.pt", 0.0, {"machine": "this"}))
        try:
            records.append(engine.run_case(case(), chosen, loaded, CPU, on_step))
        except Cut:
            pass
        finally:
            active_checkpointer.reset(token)
    (resumed,) = records
    assert any("resumed from a checkpoint" in note for note in resumed.notes)
    assert resumed.scores == whole.scores


def test_samples_from_the_host_get_the_same_views():
    resident, streamed = (step_of("dann", image_suite(*KINDS, resident=choice)) for choice in ("on", "off"))
    assert torch.equal(resident.source.x, streamed.source.x) and torch.equal(resident.source.y, streamed.source.y)
    assert torch.equal(resident.target, streamed.target)


def test_two_microbatches_share_the_views_and_the_mixed_labels_of_a_batch():
    step = step_of("source_only", image_suite(*KINDS))
    microbatches = [microbatch for microbatch, _ in oom_retry.split_step(step)]
    assert torch.equal(torch.cat([one.source.x for one in microbatches]), step.source.x)
    assert torch.equal(torch.cat([one.source.y for one in microbatches]), step.source.y)


def test_scored_samples_are_never_changed():
    records = [
        engine.run_case(case(), image_suite(*kinds, lr=1e-30), image_domains(), CPU) for kinds in ((), ("flip", KINDS[0]))
    ]
    assert records[0].scores.predictions == records[1].scores.predictions  # the network has not moved
    assert records[0].scores.trace[-1].target_entropy == records[1].scores.trace[-1].target_entropy


def test_labelled_target_samples_are_augmented_too():
    protocol = {"target_labels": 3}
    views, samples = (step_of("target_only", image_suite(*kinds, protocol=protocol)) for kinds in (KINDS[:3], ()))
    assert not (views.target_labeled.x == samples.target_labeled.x).flatten(1).all(dim=1).any()


def test_methods_of_single_classes_are_skipped_where_labels_are_mixed():
    record = engine.run_case(case("dsan"), image_suite("mixup", "cutmix"), image_domains(), CPU)
    assert record.status == "skipped"
    assert "dsan computes with single classes, and train.augment mixes them (mixup and cutmix)" in record.reason
    assert engine.run_case(case("dsan"), image_suite("flip"), image_domains(), CPU).status == "done"


@pytest.mark.parametrize("name", others_slow(DEEP_METHODS))
def test_soft_labels_is_declared_where_the_loss_takes_class_probabilities(name):
    if methods.method_class(name).soft_labels:
        takes_class_probabilities(name)


@pytest.mark.parametrize("name", ["co_tuning", "dsan", "mixmatch"])
def test_the_check_of_soft_labels_finds_methods_of_single_classes(name):
    assert not methods.method_class(name).soft_labels
    assert "class probabilities" in why_not_soft(name)


def test_a_frozen_backbone_and_augmentation_are_refused():
    with pytest.raises(TlbenchError, match=r"train.augment: net.frozen = true makes the features of each sample once"):
        image_suite("flip", net={"frozen": True})


@pytest.mark.parametrize("kinds", [["jitter"], ["scaling", {"kind": "jitter", "sigma": 0.1}, "mixup"]])
def test_series_are_augmented(kinds):
    loaded = {}
    for name, seed in (("a", 1), ("b", 2)):
        samples = blobs(seed, 48, columns=3)
        waves = samples.x[:, :, None] * torch.arange(32).div(5).sin()
        loaded[name] = domain(name, Labelled(waves, samples.y))
    settings = {"net": {"backbone": "conv1d"}, "train": {"steps": 6, "batch": 8, "augment": kinds}}
    text = SUITE.replace('backbone = "mlp"\nhidden = [8]', "")
    chosen, plain = suite(text, **settings), suite(text, **settings | {"train": {"steps": 6, "batch": 8}})
    records = [engine.run_case(case("coral"), one, loaded, CPU) for one in (chosen, chosen, plain)]
    assert all(record.status == "done" for record in records), records[0].reason
    losses = [[point.loss for point in record.scores.trace] for record in records]
    assert losses[0] == losses[1] != losses[2]


def test_vectors_are_refused_before_anything_runs():
    loaded = {"a": domain("a", blobs(1)), "b": domain("b", blobs(2))}
    with pytest.raises(TlbenchError, match=r"train.augment\[0\]: flip changes images, and the samples are vectors"):
        engine.check_pairs(suite(SUITE, train={"augment": ["flip"]}), loaded, [(("a",), "b")])
    mixed = suite(SUITE, train={"augment": [{"kind": "mixup", "alpha": 0.4}]})
    engine.check_pairs(mixed, loaded, [(("a",), "b")])
    assert engine.run_case(case(), mixed, loaded, CPU).status == "done"
