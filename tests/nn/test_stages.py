"""Stages of networks of other libraries: groups of layers in order, with every parameter in one of them."""

from __future__ import annotations

import copy

import pytest
import torch

from tlbench.nn import backbones

NETWORKS = [
    ("torchvision:mobilenet_v2", (3, 32, 32)),
    ("torchvision:efficientnet_b0", (3, 32, 32)),
    ("torchvision:densenet121", (3, 32, 32)),
    ("timm:convnext_atto", (3, 32, 32)),
    ("timm:vit_tiny_patch16_224", (3, 224, 224)),
]


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
