"""A frozen backbone: its features are extracted once, and give the numbers of plain features."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from engine_runs import (
    run_done,
    short_suite,
    toy_domains,
)
from plugin_files import plugged
from tiny_suite import CPU, blobs, case, domain

from tlbench import engine
from tlbench.engine import frozen
from tlbench.engine.data.inputs import Inputs
from tlbench.errors import TlbenchError
from tlbench.suite import Network
from tlbench.terms import Labelled

FROZEN = {"backbone": "mlp", "hidden": [12, 5], "frozen": True}


@pytest.fixture
def cached(tmp_path, monkeypatch):
    """A cache, and the domains that went through a frozen backbone."""
    monkeypatch.setenv("TLBENCH_CACHE", str(tmp_path / "cache"))
    extracted, seen = frozen.extract_features, []
    monkeypatch.setattr(frozen, "extract_features", lambda domain, *rest: seen.append(domain.name) or extracted(domain, *rest))
    return seen


def test_features_are_made_once_for_all_methods_seeds_and_runs(cached):
    loaded = toy_domains()
    chosen = short_suite(net=FROZEN, steps=5)
    for name in ("source_only", "coral", "nearest_neighbor"):
        for seed in (0, 1):
            record = engine.run_case(case(name, seed=seed), chosen, loaded, CPU)
            assert record.status == "done", record.reason
            assert record.notes == (
                "the backbone is frozen: the head alone learns from its features, and throughput is that of these steps",
            )
            assert record.cost.feature_seconds is not None and record.cost.feature_seconds > 0
    assert cached == ["a", "b"]
    again = engine.run_case(case("source_only"), chosen, toy_domains(), CPU)  # as another process would: from the disk
    assert cached == ["a", "b"] and again.cost.feature_seconds == record.cost.feature_seconds
    other = engine.run_case(case("source_only"), short_suite(net={**FROZEN, "hidden": [12, 6]}, steps=5), loaded, CPU)
    assert other.status == "done" and cached == ["a", "b"] * 2


def test_options_that_no_layer_shows_make_other_features(cached, tmp_path):
    text = (
        '"""pooled: a backbone of a test."""\nfrom pydantic import BaseModel, ConfigDict, Field\nfrom torch import nn\n'
        "from tlbench.nn.net import Backbone\nclass Options(BaseModel):\n    model_config = ConfigDict(extra='forbid')\n"
        "    factor: float = Field(1.0, description='of the inputs')\n"
        "class Scaled(nn.Module):\n    def forward(self, x):\n        return self.factor * x\n"
        "def build(shape, options):\n    layer = Scaled()\n    layer.factor = options.factor\n"
        "    return Backbone([layer], shape[0])\n"
    )
    with plugged(tmp_path, "pooled", "", text):
        nets = [Network.model_validate({"backbone": "pooled", "factor": factor, "frozen": True}) for factor in (1.0, 2.0)]
        seen = [
            frozen.with_frozen_features(dataclasses.replace(short_suite(), net=net), toy_domains(), CPU)[1]
            .domains["a"]
            .samples.x
            for net in nets
        ]
    assert torch.equal(2 * seen[0], seen[1])


def test_features_of_the_cache_give_the_numbers_of_those_made_anew(cached, monkeypatch):
    chosen = short_suite(net={**FROZEN, "bottleneck": 4})
    extracted, cached_record = run_done("dann", chosen), run_done("dann", chosen)
    monkeypatch.setenv("TLBENCH_CACHE", "off")
    assert extracted.scores == cached_record.scores == run_done("dann", chosen).scores
    assert cached == ["a", "b"] * 2 and "a bottleneck of 4 learns" in extracted.notes[0]


def test_a_method_on_a_frozen_backbone_sees_its_features(cached):
    """The same numbers as on domains whose rows are the features; the backbone's start has nothing to do with the seed."""
    chosen, loaded = short_suite(net=FROZEN), toy_domains()
    plain = short_suite(net={"backbone": "features"})
    plain = dataclasses.replace(plain, net=Network(backbone="features"))
    _, seen = frozen.with_frozen_features(chosen, {name: loaded[name] for name in "ab"}, CPU)
    for name in ("source_only", "nearest_neighbor", "logistic"):
        for seed in (0, 1):
            one = engine.run_case(case(name, seed=seed), chosen, loaded, CPU)
            two = engine.run_case(case(name, seed=seed), plain, seen.domains, CPU)
            assert one.scores == two.scores and one.identity != two.identity
    assert seen.domains["a"].samples.x.shape == (120, 5) and seen.domains["a"].samples.x.dtype == torch.float32
    assert seen.domains["b"].fingerprint == loaded["b"].fingerprint


def test_images_go_through_a_frozen_backbone_as_through_one_that_learns():
    images = Labelled(torch.randint(0, 256, (20, 1, 16, 16), dtype=torch.uint8), torch.arange(20) % 3)
    net = Network.model_validate({"backbone": "lenet", "frozen": True, "mean": 0.3, "std": 0.2})
    chosen = dataclasses.replace(short_suite(), net=net)
    _, seen = frozen.with_frozen_features(chosen, {"i": domain("i", images)}, CPU)
    backbone, _ = frozen._frozen_backbone(chosen, (1, 16, 16), "fp32")
    with torch.no_grad():
        expected = backbone(Inputs(net, channels_last=True)(images.x))
    assert torch.allclose(seen.domains["i"].samples.x, expected, atol=1e-5)


def test_what_moves_features_alone_has_nothing_to_learn_from_frozen_ones():
    record = engine.run_case(case("mcd"), short_suite(net=FROZEN, steps=5), toy_domains(), CPU)
    assert record.status == "skipped" and "An update of this method has nothing to learn" in record.reason
    assert run_done("mcd", short_suite(net={**FROZEN, "bottleneck": 4}, steps=5)).status == "done"


def test_a_bottleneck_is_of_a_frozen_backbone():
    from tlbench.nn import backbones

    assert backbones.suite_errors({"net": {"backbone": "mlp", "bottleneck": 4}}) == [
        "net.bottleneck: A bottleneck is a layer on frozen features. Set frozen = true as well."
    ]
    with pytest.raises(TlbenchError, match="takes vectors"):
        backbones.build_backbone("features", (1, 8, 8), {})
    assert blobs(1).x.ndim == 2
