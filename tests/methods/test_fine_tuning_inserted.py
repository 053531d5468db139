"""Parameter-efficient fine-tuning: what learns, what stays, and that inserted layers start as the network of the source."""

from __future__ import annotations

import copy
from collections import OrderedDict

import pytest
import torch
import torch.nn.functional as F
from engine_runs import LABELED_TARGET_SUITE, blob_domains
from fine_tuning_samples import build, fill, fit_normalized, moved, wave
from tiny_suite import CPU, case
from torch import nn
from toy_training import fit_deep

from tlbench import engine
from tlbench.engine.training.learned_tensors import adapter_bytes, trainable_parameters
from tlbench.errors import NotApplicableError
from tlbench.methods.base import DeepMethod
from tlbench.nn import backbones
from tlbench.nn.inserted_layers import LowRankLayer, ScaleShiftLayer, WrappedLayer, wrap_layers
from tlbench.nn.net import Backbone, Net

INSERTED = ("lora", "adapters", "ssf")
IMAGES = (1, 16, 16)


def image_net() -> Net:
    return Net(backbones.build_backbone("lenet", IMAGES, {"width": 8, "batch_norm": True}), 3)


def wrapped_layers(method: DeepMethod) -> list[WrappedLayer]:
    return [module for module in method.net.modules() if isinstance(module, WrappedLayer)]


@pytest.mark.parametrize("name", INSERTED)
def test_inserted_layers_start_as_the_network_without_them(name):
    net = image_net()
    plain, x = copy.deepcopy(net), wave(4, *IMAGES)
    method = build(name, net)
    assert wrapped_layers(method)
    for mode in (True, False):
        assert torch.equal(net.train(mode)(x), plain.train(mode)(x))


@pytest.mark.parametrize("name", INSERTED)
@pytest.mark.parametrize("normalized", [False, True])
def test_inserted_layers_and_the_head_learn_and_the_backbone_stays(name, normalized):
    fit = fit_normalized if normalized else fit_deep
    method, start = fit(name), fit("source_only", steps=10)
    assert moved(method, normalized=normalized) == set()
    assert not torch.equal(method.net.head.weight, start.net.head.weight)
    adapters = [layer.adapter for layer in wrapped_layers(method)]
    learning = {id(p) for module in (*adapters, method.net.head) for p in module.parameters()}
    assert {id(p) for p in method.parameters() if p.requires_grad} == learning
    assert not torch.equal(method.predict(wave(16, 6)), start.predict(wave(16, 6)))


def test_a_merged_layer_equals_the_layer_with_its_adaptation():
    for layer, x in (
        (nn.Linear(6, 5), wave(3, 6)),
        (nn.Conv1d(2, 3, 3, padding=1), wave(2, 2, 7)),
        (nn.Conv2d(2, 3, 3, stride=2, bias=False), wave(2, 2, 7, 7)),
    ):
        for wrapped in (LowRankLayer(layer, rank=2, alpha=3.0), ScaleShiftLayer(layer)):
            fill(wrapped, 0.7)
            merged = copy.deepcopy(layer)
            if wrapped.bias is not None and merged.bias is None:
                merged.bias = nn.Parameter(wrapped.bias.detach().clone())
            with torch.no_grad():
                merged.weight.copy_(wrapped.weight)
                if merged.bias is not None:
                    merged.bias.copy_(wrapped.bias)
                assert torch.allclose(merged(x), wrapped(x), atol=1e-5)


def test_a_merged_normalisation_equals_the_scaled_and_shifted_one():
    for norm, x in ((nn.BatchNorm2d(3), wave(2, 3, 4, 4)), (nn.LayerNorm(5), wave(3, 4, 5))):
        wrapped = ScaleShiftLayer(norm).eval()
        fill(wrapped, 0.4)
        statistics = (norm.running_mean, norm.running_var) if isinstance(norm, nn.BatchNorm2d) else ()
        with torch.no_grad():
            if statistics:
                merged = F.batch_norm(x, *statistics, wrapped.weight, wrapped.bias, training=False)
            else:
                merged = F.layer_norm(x, (5,), wrapped.weight, wrapped.bias)
            assert torch.allclose(merged, wrapped(x), atol=1e-5)


def test_the_update_of_lora_has_its_rank_and_its_number_of_parameters():
    method = fit_deep("lora", rank=2, alpha=4.0)
    for layer in wrapped_layers(method):
        outputs, inputs = layer.layer.weight.shape
        update = (layer.weight - layer.layer.weight).detach().double()
        assert int(torch.linalg.matrix_rank(update, tol=1e-5)) == 2
        assert sum(p.numel() for p in layer.adapter.parameters()) == 2 * (inputs + outputs)
    stronger = fit_deep("lora", rank=2, alpha=8.0)
    assert not torch.equal(stronger.predict(wave(16, 6)), method.predict(wave(16, 6)))


def test_a_network_that_reads_a_weight_sees_the_update():
    class Reading(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return F.linear(x, self.layer.weight, self.layer.bias)

    network, x = Reading(), wave(3, 4)
    (layer,) = wrap_layers(network, [network.layer], lambda inner: LowRankLayer(inner, rank=2, alpha=2.0))
    assert torch.equal(network(x), layer.layer(x)) and layer.in_features == 4
    fill(layer.adapter, 0.3)
    assert torch.allclose(network(x), layer(x), atol=1e-6) and not torch.allclose(network(x), layer.layer(x), atol=1e-3)


def test_convolutions_with_groups_and_fixed_features_are_left_out():
    depthwise = nn.Sequential(nn.Conv2d(4, 4, 3, groups=4), nn.Conv2d(4, 6, 1), nn.Flatten())
    method = build("lora", Net(Backbone([depthwise], 6), 3))
    assert isinstance(depthwise[0], nn.Conv2d) and isinstance(depthwise[1], LowRankLayer) and len(method.inserted) == 1
    for name in INSERTED:
        with pytest.raises(NotApplicableError, match="this backbone has none that it can adapt"):
            build(name, Net(Backbone([nn.Identity()], 6), 3)).phases()


def test_there_is_an_adapter_after_the_last_layer_of_each_stage():
    method = build("adapters", image_net(), width=2)
    assert [type(stage[1 if number == 2 else 0]).__name__ for number, stage in enumerate(method.net.backbone.stages)] == [
        "BottleneckLayer"
    ] * 3
    assert [layer.adapter.down.weight.shape[:2] for layer in wrapped_layers(method)] == [(2, 20), (2, 50), (2, 8)]


def test_adapters_train_layer_normalisation_as_well():
    block = nn.Sequential(nn.Linear(6, 6), nn.LayerNorm(6))
    method = build("adapters", Net(Backbone([block], 6), 3))
    (layer,) = wrapped_layers(method)
    learning = [p for module in (layer.adapter, block[1], method.net.head) for p in module.parameters()]
    assert trainable_parameters(method) == sum(p.numel() for p in learning)


def test_bitfit_moves_biases_alone():
    assert moved(fit_deep("bitfit")) == {"stages.0.1.bias", "stages.1.0.bias"}
    names = moved(fit_normalized("bitfit"), normalized=True)
    assert names == {f"stages.{stage}.{layer}.bias" for stage, layer in ((0, 1), (0, 2), (1, 0), (1, 1))}
    no_bias = Net(Backbone([nn.Linear(6, 4, bias=False)], 4), 3)
    with pytest.raises(NotApplicableError, match="bitfit trains the biases of the backbone, and this one has none"):
        build("bitfit", no_bias).phases()


def test_norm_tuning_moves_normalisation_alone():
    layers = ("0.2", "1.1")
    facts = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    names = {f"stages.{layer}.{fact}" for layer in layers for fact in facts}
    assert moved(fit_normalized("norm_tuning"), normalized=True) == names


def test_costs_count_what_a_target_adds_to_the_network_of_the_source():
    def facts(name: str, **options) -> tuple[int, int | None]:
        method = build(name, Net(backbones.build_backbone("mlp", (6,), {"hidden": [4], "batch_norm": True}), 3), **options)
        return trainable_parameters(method), adapter_bytes(method)

    linear, norm, statistics, head = 6 * 4 + 4, 2 * 4, 4 * 2 * 4 + 8, 4 * 3 + 3
    network = linear + norm + head
    assert facts("source_only") == facts("adabn") == facts("target_only") == (network, None)
    assert facts("fine_tune") == facts("l2_sp") == facts("delta") == facts("wise_ft") == (network, 4 * network + statistics)
    assert facts("fine_tune", freeze=1) == facts("linear_probe") == facts("nearest_class_mean") == (head, 4 * head)
    assert facts("bitfit") == (4 + 4 + head, 4 * (4 + 4 + head))
    assert facts("norm_tuning") == (norm + head, 4 * (norm + head) + statistics)
    assert facts("lora", rank=2) == (2 * (6 + 4) + head, 4 * (2 * (6 + 4) + head))
    assert facts("ssf") == (2 * 4 + 2 * 4 + head, 4 * (2 * 4 + 2 * 4 + head))
    assert facts("tent") == (norm, 4 * norm + statistics)


@pytest.mark.parametrize("name", [*INSERTED, "bitfit"])
def test_the_rate_on_the_target_is_a_multiple_of_that_on_the_source(name):
    source, target = build(name, image_net(), target_lr=8.0).phases()
    assert [group.scale for group in target.groups] == [0.0, 8.0]
    assert {group.scale for group in source.groups} <= {0.0, 1.0}


def test_lora_adapts_the_layers_that_targets_names():
    def network() -> Net:
        layers = {"query": nn.Linear(6, 6), "key": nn.Linear(6, 6), "value": nn.Linear(6, 4)}
        return Net(Backbone([nn.Sequential(OrderedDict(layers))], 4), 3)

    method = build("lora", network(), rank=2, targets=["query", "value"])
    query, key, value = method.net.backbone.stages[0]
    assert [type(layer) for layer in (query, key, value)] == [LowRankLayer, nn.Linear, LowRankLayer]
    assert trainable_parameters(method) == 2 * (6 + 6) + 2 * (6 + 4) + 4 * 3 + 3
    with pytest.raises(NotApplicableError, match=r"targets names 'quary'.*Their names are key, query, value"):
        build("lora", network(), targets=["quary", "value"])


@pytest.mark.data
def test_costs_on_a_sentence_encoder(data_root):
    """MiniLM has 3 layers of width 384 with inner width 1536, 30,522 words and 512 positions."""
    pytest.importorskip("transformers")
    folder = data_root / "weights" / "paraphrase-MiniLM-L3-v2"
    if not (folder / "model.safetensors").is_file():
        pytest.skip(f"no weights/paraphrase-MiniLM-L3-v2/model.safetensors in {data_root}")

    def facts(name: str, **options) -> tuple[int, int | None]:
        method = build(name, Net(backbones.build_backbone(f"hf:{folder}", (16,), {}), 2), **options)
        return trainable_parameters(method), adapter_bytes(method)

    head = 384 * 2 + 2
    low_rank = 2 * 3 * (8 * 384 + 384 * 8) + head
    every_layer = 3 * (4 * 8 * (384 + 384) + 2 * 8 * (384 + 1536)) + head
    biases = 384 + 3 * (4 * 384 + 1536 + 384 + 2 * 384) + head
    weights = 3 * (4 * 384 * 384 + 2 * 384 * 1536) + (30522 + 512 + 2) * 384
    norms = 7 * 384
    network = weights + norms + biases
    assert facts("lora", rank=8, targets=["query", "value"]) == (low_rank, 4 * low_rank)
    assert facts("lora", rank=8) == (every_layer, 4 * every_layer)
    assert facts("bitfit") == (biases, 4 * biases)
    assert facts("fine_tune") == (network, 4 * network)
    assert facts("source_only") == (network, None)


def test_records_state_the_parameters_that_learn():
    record = engine.run_case(case("bitfit"), LABELED_TARGET_SUITE, blob_domains(), CPU)
    cost = record.cost
    assert record.status == "done" and 0 < cost.adapter_bytes == 4 * cost.trainable_parameters
    shallow = engine.run_case(case("logistic"), LABELED_TARGET_SUITE, blob_domains(), CPU).cost
    assert shallow.trainable_parameters is shallow.adapter_bytes is None
