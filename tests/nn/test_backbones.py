"""Backbones: forward and backward passes, errors, weights from a file."""

from __future__ import annotations

import re

import pytest
import torch
import torch.nn.functional as F

from tlbench.errors import TlbenchError
from tlbench.nn import backbones
from tlbench.nn.net import Net

BACKBONES = [
    ("mlp", (6,), {}),
    ("mlp", (1, 8, 8), {"hidden": [16, 8], "dropout": 0.5, "batch_norm": True}),
    ("convnet", (1, 8, 8), {}),
    ("convnet", (3, 9, 12), {"channels": 4, "width": 16, "batch_norm": True}),
    ("lenet", (1, 28, 28), {}),
    ("lenet", (3, 16, 20), {"width": 32, "dropout": 0.3, "batch_norm": True}),
    ("shot_lenet", (1, 28, 28), {}),
    ("shot_lenet", (3, 16, 20), {"dropout": 0.0}),
    ("domain_bed_cnn", (2, 14, 14), {}),
    ("domain_bed_cnn", (1, 9, 12), {"channels": 8}),
    ("conv1d", (9, 128), {}),
    ("conv1d", (3, 8), {"channels": 4, "width": 16, "kernel": 8, "batch_norm": False, "dropout": 0.5}),
    ("torchvision:resnet18", (3, 32, 32), {}),
    ("torchvision:squeezenet1_1", (1, 32, 32), {}),
    ("torchvision:mobilenet_v3_small", (1, 32, 32), {}),
    ("torchvision:googlenet", (3, 32, 32), {}),
    ("torchvision:inception_v3", (3, 80, 80), {}),
    ("mobilenet_v1", (3, 64, 64), {}),
    ("mobilenet_v1", (1, 64, 64), {"width": 0.5}),
    ("resnet", (3, 32, 32), {}),
    ("resnet", (1, 9, 12), {"depth": 8, "channels": 4}),
    ("inceptiontime", (3, 64), {}),
    ("speech_embedding", (40, 48), {"decibel_scale": 10.0}),
    ("speech_embedding", (32, 90), {}),
    ("speech_embedding", (1, 40, 48), {"decibel_scale": 10.0}),
    ("speech_embedding:voices", (40, 48), {}),
    ("speech_embedding:voices", (1, 32, 20), {"decibel_scale": 2.0}),
    ("inceptiontime", (1, 8), {"filters": 4, "kernel": 10, "modules": 3}),
    ("timm:tf_efficientnet_lite0", (3, 64, 64), {}),
    ("timm:vit_tiny_patch16_224", (1, 224, 224), {}),
    ("features", (5,), {}),
    ("features", (5,), {"width": 3}),
    ("auto", (5,), {}),
    ("auto", (1, 8, 8), {}),
    ("auto", (1, 28, 28), {}),
    ("auto", (9, 128), {}),
    ("auto", (9, 4), {}),
    ("auto", (1, 2, 2), {}),
]


@pytest.mark.parametrize(("name", "shape", "options"), BACKBONES, ids=lambda v: str(v).replace(" ", ""))
def test_every_backbone_goes_forward_and_back(name, shape, options):
    torch.manual_seed(0)
    backbone = backbones.build_backbone(name, shape, options)
    net = Net(backbone, 3)
    x = torch.randn(8, *shape)
    features = backbone(x)
    assert features.shape == (8, backbone.width) and features.dtype == torch.float32
    F.cross_entropy(net(x), torch.arange(8) % 3).backward()
    assert not [key for key, p in net.named_parameters() if p.grad is None or not (p.grad != 0).any()]
    in_stages = {id(p) for stage in backbone.stages for p in stage.parameters()}
    assert in_stages == {id(p) for p in backbone.parameters()}
    net.eval()
    assert torch.equal(net(x), net(x))


CLASSIFIERS = (
    *(
        "alexnet",
        "convnext_tiny",
        "densenet121",
        "efficientnet_b0",
        "efficientnet_v2_s",
        "googlenet",
        "inception_v3",
        "maxvit_t",
    ),
    *("mnasnet0_5", "mobilenet_v2", "mobilenet_v3_small", "regnet_x_400mf", "regnet_y_400mf", "resnet18", "resnet50"),
    *("resnext50_32x4d", "shufflenet_v2_x0_5", "squeezenet1_0", "swin_t", "swin_v2_t", "vgg11", "vgg11_bn", "vit_b_32"),
    "wide_resnet50_2",
)
"""Classifiers of torchvision of every family; within a family they differ in depth and width."""


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_every_family_of_classifiers_of_torchvision_is_a_backbone(name):
    with torch.device("cpu" if name.startswith("regnet") else "meta"):  # shapes without numbers; regnet computes its widths
        backbone = backbones.build_backbone(f"torchvision:{name}", (3, 224, 224), {}).eval()
        assert backbone(torch.zeros(2, 3, 224, 224)).shape == (2, backbone.width)


def test_no_family_of_classifiers_of_torchvision_is_left_out():
    from torchvision import models

    families = {re.match("[a-z]+", name)[0] for name in CLASSIFIERS}
    assert {re.match("[a-z]+", name)[0] for name in models.list_models(module=models)} == families


@pytest.mark.slow
@pytest.mark.parametrize("family", sorted({re.match("[a-z]+", name)[0] for name in CLASSIFIERS}))
def test_every_classifier_of_torchvision_takes_a_train_step(family):
    """All names of `list_models`, with the shapes of a step and without its numbers."""
    from torchvision import models

    for name in models.list_models(module=models):
        if re.match("[a-z]+", name)[0] != family:
            continue
        with torch.device("cpu" if family == "regnet" else "meta"):  # regnet computes its widths
            net = Net(backbones.build_backbone(f"torchvision:{name}", (3, 224, 224), {}), 3)
        net.to("meta").train()
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
        logits = net(torch.zeros(2, 3, 224, 224, device="meta"))
        F.cross_entropy(logits, torch.zeros(2, dtype=torch.long, device="meta")).backward()
        optimizer.step()
        assert logits.shape == (2, 3), name
        assert not [key for key, parameter in net.named_parameters() if parameter.grad is None], name


def test_every_backbone_file_is_tried_here_or_with_texts():
    """Others are in test_text_backbones.py and test_class_embeddings.py, those of pixels in tests/engine/positions."""
    tried_here = {name.partition(":")[0] for name, _, _ in BACKBONES} - {"auto"}
    elsewhere = {"hf", "word_vectors", "conse", "clip", "unet", "torchvision_segmentation"}
    assert set(backbones.backbone_names()) == tried_here | elsewhere


def test_auto_takes_the_backbone_of_the_kind_of_samples():
    shapes = {(5,): "mlp", (9, 128): "conv1d", (9, 4): "mlp", (1, 8, 8): "convnet", (3, 20, 20): "lenet", (1, 2, 2): "mlp"}
    assert {shape: backbones.resolve_backbone("auto", shape) for shape in shapes} == shapes


def test_features_of_two_batches_from_one_forward_pass():
    net = Net(backbones.build_backbone("convnet", (1, 8, 8), {}), 3)
    a, b = torch.randn(4, 1, 8, 8), torch.randn(6, 1, 8, 8)
    one, two = net.features(a, b)
    assert torch.allclose(one, net.backbone(a), atol=1e-6) and torch.allclose(two, net.backbone(b), atol=1e-6)


@pytest.mark.parametrize(
    ("name", "shape", "options", "words"),
    [
        ("lenett", (1, 28, 28), {}, "Did you mean 'lenet'"),
        ("lenet", (1, 8, 8), {}, "at least 16 pixels a side"),
        ("lenet", (6,), {}, "not samples of shape"),
        ("convnet", (6,), {}, "Choose mlp"),
        ("convnet", (9, 128), {}, "Choose conv1d"),
        ("lenet", (9, 128), {}, "Choose conv1d"),
        ("torchvision:resnet18", (9, 128), {}, "Choose conv1d"),
        ("conv1d", (9, 4), {}, "Choose mlp"),
        ("conv1d", (1, 28, 28), {}, "takes time series"),
        ("mlp", (6,), {"hiden": [3]}, "Did you mean 'hidden'"),
        ("mlp", (6,), {"hidden": []}, "hidden"),
        ("torchvision:resnet81", (3, 32, 32), {}, "Did you mean 'resnet18'"),
        ("torchvision", (3, 32, 32), {}, "network"),
        ("torchvision:resnet18", (6,), {}, "not samples of shape"),
        (
            "torchvision:resnet18",
            (3, 32, 32),
            {"weights": "no_such_file.pth"},
            "net.weights: The file 'no_such_file.pth' is not",
        ),
        ("timm:resnet81", (3, 32, 32), {}, "Did you mean 'resnet"),
        ("timm:resnet18", (6,), {}, "not samples of shape"),
        ("timm:vit_tiny_patch16_224", (3, 32, 32), {}, "takes images of 224 x 224 pixels, not of 32 x 32"),
        ("resnet", (3, 32, 32), {"depth": 18}, "6n \\+ 2 layers, not 18"),
        ("resnet", (3, 4, 4), {}, "at least 8 pixels a side"),
        ("mobilenet_v1", (9, 128), {}, "Choose conv1d"),
        ("inceptiontime", (3, 32, 32), {}, "takes time series"),
        ("speech_embedding", (3, 40, 48), {}, "speech_embedding takes log-mel spectrograms"),
        ("speech_embedding:voice", (40, 48), {}, "net.network"),
        ("torchvision:vit_b_16", (3, 32, 32), {}, "takes images of 224 x 224 pixels, not of 32 x 32"),
    ],
)
def test_a_backbone_that_can_not_be_built_says_why(name, shape, options, words):
    with pytest.raises(TlbenchError, match=words):
        backbones.build_backbone(name, shape, options)
