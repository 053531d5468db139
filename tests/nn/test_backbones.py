"""Backbones: forward and backward passes, errors, weights from a file."""

from __future__ import annotations

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
    ("conv1d", (9, 128), {}),
    ("conv1d", (3, 8), {"channels": 4, "width": 16, "kernel": 8, "batch_norm": False, "dropout": 0.5}),
    ("torchvision:resnet18", (3, 32, 32), {}),
    ("torchvision:squeezenet1_1", (1, 32, 32), {}),
    ("torchvision:mobilenet_v3_small", (1, 32, 32), {}),
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
    if name == "torchvision:squeezenet1_1":
        with pytest.raises(TlbenchError, match="does not end in a linear layer"):
            backbones.build_backbone(name, shape, options)
        return
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


def test_every_backbone_file_is_tried_here():
    assert set(backbones.backbone_names()) == {name.partition(":")[0] for name, _, _ in BACKBONES} - {"auto"}


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
        ("torchvision:resnet18", (3, 32, 32), {"weights": "no_such_file.pth"}, "is not a state dict"),
    ],
)
def test_a_backbone_that_can_not_be_built_says_why(name, shape, options, words):
    with pytest.raises(TlbenchError, match=words):
        backbones.build_backbone(name, shape, options)


def test_weights_come_from_a_file(tmp_path):
    from torchvision import models

    torch.manual_seed(1)
    network = models.resnet18(weights=None)
    torch.save(network.state_dict(), tmp_path / "r18.pth")
    backbone = backbones.build_backbone("torchvision:resnet18", (3, 32, 32), {"weights": str(tmp_path / "r18.pth")})
    network.fc = torch.nn.Identity()
    x = torch.randn(2, 3, 32, 32)
    assert torch.allclose(backbone.eval()(x), network.eval()(x), atol=1e-5)
    (tmp_path / "bad.pth").write_bytes((tmp_path / "r18.pth").read_bytes()[:1000])
    with pytest.raises(TlbenchError, match="is not a state dict"):
        backbones.build_backbone("torchvision:resnet18", (3, 32, 32), {"weights": str(tmp_path / "bad.pth")})
