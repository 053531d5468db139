"""Seeds and identities: all methods of a cell start alike, and an identity follows what decides numbers."""

from __future__ import annotations

import pytest
import torch
from engine_runs import (
    DEEP_METHODS,
    LABELED_TARGET_SUITE,
    blob_domains,
)
from plugin_files import plugged
from tiny_suite import CPU, case, suite

from tlbench import engine, methods
from tlbench.engine import fitting
from tlbench.engine.data import phase_batches
from tlbench.engine.data.inputs import draw_batches
from tlbench.engine.runtime.seeds import seed_of, seeded_rng
from tlbench.nn.net import Net


def start_and_batches(monkeypatch, name: str) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """The network that a method starts from, and the source samples that its first phase draws."""
    starts: list[dict[str, torch.Tensor]] = []
    drawn: list[torch.Tensor] = []

    def build(*arguments, **options):
        net = Net(*arguments, **options)
        starts.append({key: value.clone() for key, value in net.state_dict().items()})
        return net

    def draw(samples, *rest):
        batches = draw_batches(samples, *rest)
        drawn.extend([batches] * (samples == 41))  # a tenth of the 45 source samples is held out for validation
        return batches

    with monkeypatch.context() as patch:
        patch.setattr(fitting, "Net", build)
        patch.setattr(phase_batches, "draw_batches", draw)
        record = engine.run_case(case(name), LABELED_TARGET_SUITE, blob_domains(), CPU)
        assert record.status == "done", record.reason
    assert len(starts) == 1
    return starts[0], drawn[0] if drawn else torch.empty(0)


def test_all_methods_of_a_cell_start_alike_and_see_the_same_source_batches(monkeypatch):
    start, batches = start_and_batches(monkeypatch, "source_only")
    assert batches.shape == (5, 8)
    for name in DEEP_METHODS:
        other, drawn = start_and_batches(monkeypatch, name)
        assert all(torch.equal(start[key], other[key]) for key in start), name
        if "source" in methods.method_class(name).reads:
            assert torch.equal(drawn, batches[: len(drawn)]), name


def test_what_a_method_builds_or_draws_does_not_move_the_others(tmp_path):
    note = (
        "SEEN = []\n"
        "class Notes(DeepMethod):\n    reads = frozenset({reads})\n"
        "    def build(self) -> None:\n        self.extra = nn.Linear({width}, 1) if {width} else None\n"
        "    def loss(self, step: Step) -> Tensor:\n"
        "        SEEN.append((step.source.x.clone(), step.source.y.clone()))\n"
        "        torch.rand({width})\n        return self.supervised(step)\n"
    )
    seen = {}
    for name, reads, width in (("notes_one", '{"source"}', 0), ("notes_two", '{"source", "target", "target_labeled"}', 50)):
        with plugged(tmp_path, name, note.format(reads=reads, width=width)):
            assert engine.run_case(case(name), LABELED_TARGET_SUITE, blob_domains(), CPU).status == "done"
            seen[name] = methods.method_class(name).loss.__globals__["SEEN"]
    assert len(seen["notes_one"]) == 5
    for (x, y), (other_x, other_y) in zip(*seen.values(), strict=True):
        assert torch.equal(x, other_x) and torch.equal(y, other_y)


def test_a_seed_says_what_it_is_for():
    prints = {"a": "1", "b": "2"}
    plain = seed_of(case("dann"), "network", prints)
    assert plain == seed_of(case("coral", entry="x", options={"weight": 2.0}), "network", prints)
    assert plain == seed_of(case("dann", suite="other", suite_version=2), "network", prints)
    others = {
        seed_of(case("dann"), "batches source 0", prints),
        seed_of(case("dann", seed=1), "network", prints),
        seed_of(case("dann", sources=("b",), target="a"), "network", prints),
        seed_of(case("dann"), "network", {"a": "1", "b": "3"}),
    }
    assert len(others | {plain}) == 5
    assert 0 <= plain < 2**63


def test_seeded_leaves_the_generator_as_it_was():
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    with seeded_rng(1, CPU):
        inside = torch.rand(3)
    assert torch.equal(torch.rand(3), expected)
    with seeded_rng(1, CPU):
        assert torch.equal(torch.rand(3), inside)


@pytest.mark.parametrize("name", ["source_only", "dann", "discriminator_reweight", "coral_map", "linear_probe"])
def test_two_runs_are_equal(name):
    one, two = (engine.run_case(case(name), LABELED_TARGET_SUITE, blob_domains(), CPU) for _ in range(2))
    assert one.status == "done", one.reason
    assert one.scores == two.scores and one.identity == two.identity
    other = engine.run_case(case(name, seed=1), LABELED_TARGET_SUITE, blob_domains(), CPU)
    assert other.identity != one.identity


def test_identity_follows_what_decides_numbers_and_nothing_else():
    prints = {"a": "1", "b": "2"}
    plain = engine.identity(case("dann"), LABELED_TARGET_SUITE, prints)
    assert engine.identity(case("dann", options={"weight": 1.0}), LABELED_TARGET_SUITE, prints) == plain  # its default
    assert engine.identity(case("dann", entry="other"), LABELED_TARGET_SUITE, prints) == plain
    longer = suite(protocol={"target_labels": 3, "scored": "test"}, train={"steps": 6})
    others = [
        engine.identity(case("coral"), LABELED_TARGET_SUITE, prints),
        engine.identity(case("dann", options={"weight": 2.0}), LABELED_TARGET_SUITE, prints),
        engine.identity(case("dann", seed=1), LABELED_TARGET_SUITE, prints),
        engine.identity(case("dann"), LABELED_TARGET_SUITE, {"a": "1", "b": "x"}),
        engine.identity(case("dann"), longer, prints),
        engine.identity(case("dann", suite_version=2), LABELED_TARGET_SUITE, prints),
    ]
    assert len({plain, *others}) == 7
