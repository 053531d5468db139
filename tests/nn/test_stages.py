"""Stages of networks of other libraries: groups of layers in order, with every parameter in one of them."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torchvision.models import VisionTransformer

from tlbench.engine.training import vmapped_seeds
from tlbench.methods.fine_tuning.fine_tune import FineTune
from tlbench.nn import backbones
from tlbench.nn.net import Net
from tlbench.nn.whole_network import WholeNetwork, grouped_layers

NETWORKS = [
    ("torchvision:mobilenet_v2", (3, 32, 32)),
    ("torchvision:efficientnet_b0", (3, 32, 32)),
    ("torchvision:densenet121", (3, 32, 32)),
    ("timm:convnext_atto", (3, 32, 32)),
    ("timm:vit_tiny_patch16_224", (3, 224, 224)),
]


def small_vit(layers: int = 1) -> WholeNetwork:
    """A vision transformer of torchvision for images (3, 8, 8), whose class token and positions belong to no layer."""
    network = VisionTransformer(8, 4, layers, num_heads=2, hidden_dim=8, mlp_dim=16)
    network.heads = nn.Identity()
    return WholeNetwork(network, 8)


@pytest.mark.parametrize(("name", "shape"), NETWORKS)
def test_a_network_has_five_stages_that_share_out_its_parameters(name, shape):
    backbone = backbones.build_backbone(name, shape, {})
    in_stages = [id(parameter) for stage in backbone.stages for parameter in stage.parameters()]
    assert len(backbone.stages) == 5 and len(in_stages) == len(set(in_stages))
    assert set(in_stages) == {id(parameter) for parameter in backbone.parameters()}
    assert len(backbone.state_dict()) == len({tensor.data_ptr() for tensor in backbone.state_dict().values() if tensor.numel()})


@pytest.mark.parametrize(("name", "shape"), NETWORKS)
def test_later_stages_see_what_earlier_ones_give(name, shape):
    torch.manual_seed(0)
    backbone = backbones.build_backbone(name, shape, {}).eval()
    x = torch.randn(2, *shape)
    with torch.no_grad():
        before = backbone.stage_outputs(x)
        assert torch.equal(before[-1], backbone(x)) and len(before) == 5
        for parameter in backbone.stages[3].parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
        after = backbone.stage_outputs(x)
    changed = [not torch.equal(one, other) for one, other in zip(before, after, strict=True)]
    assert changed == [False, False, False, True, True]


def test_a_copy_has_stages_of_its_own():
    backbone = backbones.build_backbone("torchvision:mobilenet_v2", (3, 32, 32), {})
    copied = copy.deepcopy(backbone)
    in_stages = {id(parameter) for stage in copied.stages for parameter in stage.parameters()}
    assert in_stages == {id(parameter) for parameter in copied.parameters()}
    assert not in_stages & {id(parameter) for parameter in backbone.parameters()}


@pytest.mark.parametrize("layers", [1, 3])
def test_parameters_that_belong_to_no_layer_are_in_the_stage_of_the_layer_after_them(layers):
    torch.manual_seed(0)
    backbone = small_vit(layers).eval()
    in_stages = [id(parameter) for stage in backbone.stages for parameter in stage.parameters()]
    assert len(in_stages) == len(set(in_stages)) and set(in_stages) == {id(parameter) for parameter in backbone.parameters()}
    assert any(parameter is backbone.network.class_token for parameter in backbone.stages[0].parameters())
    outputs = backbone.stage_outputs(torch.randn(2, 3, 8, 8))
    assert len(outputs) == len(backbone.stages) and outputs[-1].shape == (2, 8)


def test_parameters_after_the_last_layer_are_in_the_last_stage():
    class Scaled(nn.Module):
        """A body whose scale is registered in a module without layers that have parameters after it."""

        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(2, 2)
            self.last = nn.Sequential(nn.ReLU())
            self.last.register_parameter("scale", nn.Parameter(torch.ones(2)))

    network = Scaled()
    stages = grouped_layers(network)
    in_stages = [parameter for stage in stages for parameter in stage.parameters()]
    assert len(in_stages) == 3 and any(parameter is network.last.scale for parameter in in_stages)
    assert isinstance([*stages[-1].children()][-1], nn.ReLU)


@pytest.mark.parametrize("options", [{}, {"freeze": 1}, {"gradual": True}])
def test_stages_of_stacked_and_copied_networks_hold_their_own_parameters(options):
    """The class token of a ViT is in no layer; where the tensors of a network are replaced, its stage must follow."""
    methods = []
    for seed in range(2):
        torch.manual_seed(seed)
        methods.append(FineTune(Net(small_vit(), 3), **FineTune.Options(**options).model_dump()))
    for changed in (vmapped_seeds.stack_methods(methods), copy.deepcopy(methods[0]), methods[0].double()):
        own = {id(parameter) for parameter in changed.net.parameters()}
        _, phase = changed.phases()
        in_groups = {id(p): group for group in phase.groups for module in group.modules for p in module.parameters()}
        assert set(in_groups) == own
        token = changed.net.backbone.network.class_token
        assert (in_groups[id(token)].scale(1.0) == 0) == bool(options.get("freeze"))
