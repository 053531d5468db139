"""The baseline that starts from a fresh network: it is target_only without the weights that a suite names."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from tiny_suite import CPU

from tlbench import checks, engine
from tlbench.clock import Clock
from tlbench.errors import NotApplicableError
from tlbench.nn import backbones
from tlbench.nn.untrained import untrained_options
from tlbench.suite import Network
from tlbench.terms import Case, Labelled, Task

OPTIONS = {"depth": 8, "channels": 2}
SHAPE = (1, 8, 8)


def first_weights(method: str, weights: str = "") -> torch.Tensor:
    """The first weights (2, 1, 3, 3) of a small residual network after one step."""
    x = torch.sin(torch.arange(6 * 64.0)).view(6, *SHAPE)
    task = Task(3, target_labeled=Labelled(x, torch.arange(6) % 3))
    net = Network.model_validate({"backbone": "resnet", "weights": weights, **OPTIONS})
    suite = dataclasses.replace(checks.toy_suite(1), net=net)
    case = Case(suite="toy", suite_version=1, entry=method, method=method, sources=("a",), target="b", seed=0)
    fitted = engine.fit(case, suite, task, Clock(CPU), lambda use: sum(use.encode()), CPU)
    return next(fitted.method.net.parameters()).detach()


def test_from_scratch_starts_without_the_weights_of_the_suite(tmp_path):
    torch.manual_seed(5)
    network = backbones.build_backbone("resnet", SHAPE, OPTIONS)
    torch.save({published_name(key): value for key, value in network.state_dict().items()}, tmp_path / "weights.pth")
    pretrained = first_weights("target_only", str(tmp_path / "weights.pth"))
    assert torch.allclose(pretrained, next(network.parameters()), atol=0.02)  # one step of Adam at 0.01
    fresh = first_weights("from_scratch", str(tmp_path / "weights.pth"))
    assert torch.equal(fresh, first_weights("target_only")) and not torch.allclose(fresh, pretrained, atol=0.05)


def published_name(key: str) -> str:
    """The name in a published file of a tensor of the backbone `resnet`."""
    prefixes = {"stages.0.": "", "stages.1.": "layer1.", "stages.2.": "layer2.", "stages.3.0.": "layer3."}
    prefix = next(prefix for prefix in prefixes if key.startswith(prefix))
    return prefixes[prefix] + key.removeprefix(prefix)


def test_a_backbone_is_fresh_by_its_options():
    assert untrained_options("auto", {}) == {}
    assert untrained_options("mlp", {"hidden": [4]}) == {"hidden": [4]}
    named = {"weights": "a.pth", "depth": 8}
    assert untrained_options("resnet", named, ["a.pth"]) == {"depth": 8}
    assert untrained_options("torchvision:resnet18", {"weights": "DEFAULT"}, ["DEFAULT"]) == {}
    folder = {"network": "bert", "pooling": "first"}
    assert untrained_options("hf", folder, ["bert"]) == {**folder, "pretrained": False}


@pytest.mark.parametrize(
    ("name", "options", "files", "words"),
    [
        ("features", {"width": 4}, (), "the backbone is frozen"),
        ("mlp", {}, ("glove.npz",), "the backbone mlp consists of the content of glove.npz"),
    ],
)
def test_a_backbone_without_a_fresh_form_is_not_applicable(name, options, files, words):
    with pytest.raises(NotApplicableError, match=words):
        untrained_options(name, options, files)
