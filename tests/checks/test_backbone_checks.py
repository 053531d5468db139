"""Contract checks of backbones: the shipped ones pass, and each check can fail."""

from __future__ import annotations

import pytest
from plugin_files import plugged
from typer.testing import CliRunner

from tlbench import checks, cli
from tlbench.errors import TlbenchError
from tlbench.nn import backbones

HEADER = '''"""A backbone of a test."""
import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import nn
from tlbench.errors import TlbenchError
from tlbench.nn.net import Backbone
class Options(BaseModel):
    model_config = ConfigDict(extra="forbid")
'''
WIDTH = '    width: int = Field(8, ge=1, description="D")\n'
BUILD = "def build(shape, options):\n    return Backbone([nn.Flatten(), nn.LazyLinear(8){}], {})\n"
BROKEN = {
    "an option without a default": (
        '    width: int = Field(description="D")\n' + BUILD.format("", 8),
        "These options have no default: width",
    ),
    "an option without a description": (
        "    width: int = 8\n" + BUILD.format("", 8),
        "These options have no description: width",
    ),
    "another width": (WIDTH + BUILD.format("", 9), "returns_features: For 8 samples of shape"),
    "a random feature in evaluation": (
        WIDTH + BUILD.format(", Noise()", 8),
        "is_deterministic_in_evaluation: Two forward passes",
    ),
    "no shape that it takes": (
        WIDTH + 'def build(shape, options):\n    raise TlbenchError("Too small.")\n',
        r"The backbone takes none of the shapes .*Too small",
    ),
    "class names of another width": (
        WIDTH + "class Named(Backbone):\n    def embed_classes(self, texts):\n        return torch.zeros(len(texts), 3)\n"
        "def build(shape, options):\n    return Named([nn.Flatten(), nn.LazyLinear(8)], 8)\n",
        r"embed_classes of 3 texts has the shape \(3, 3\)",
    ),
    "class names that depend on each other": (
        WIDTH + "class Named(Backbone):\n    def embed_classes(self, texts):\n"
        "        lengths = torch.tensor([[float(len(text))] * 8 for text in texts])\n        return lengths - lengths.mean()\n"
        "def build(shape, options):\n    return Named([nn.Flatten(), nn.LazyLinear(8)], 8)\n",
        "depends on the names beside it",
    ),
    "a parameter of no use": (WIDTH + BUILD.format(", Idle(3, 3)", 8), "The parameter .* gets no gradient"),
}
NOISE = "class Noise(nn.Module):\n    def forward(self, x):\n        return x + torch.randn_like(x)\n"
IDLE = "class Idle(nn.Linear):\n    def forward(self, x):\n        return x\n"


@pytest.mark.parametrize(
    "name", sorted({*backbones.backbone_names()} - {"torchvision", "timm", "hf", "word_vectors", "conse", "clip"})
)  # their network has no default
def test_every_backbone_passes_every_check(name):
    assert len(checks.check_backbone(name)) == len(checks.BACKBONE_CHECKS)


@pytest.mark.parametrize("fault", BROKEN)
def test_a_failing_check_is_reported(fault, tmp_path):
    body, words = BROKEN[fault]
    body = body.replace("def build", NOISE + IDLE + "def build").replace(
        "LazyLinear(8)", "Linear(torch.Size(shape).numel(), 8)"
    )
    with plugged(tmp_path, "broken_backbone", body, HEADER) as name, pytest.raises(TlbenchError, match=words):
        checks.check_backbone(name)


def test_check_on_the_command_line_takes_backbones(tmp_path):
    body = WIDTH + BUILD.format("", 8).replace("LazyLinear(8)", "Linear(torch.Size(shape).numel(), 8)")
    with plugged(tmp_path, "plain_backbone", body, HEADER):
        done = CliRunner().invoke(
            cli.app, ["check", str(tmp_path / "plain_backbone.py"), str(backbones.__file__).replace("__init__", "mlp")]
        )
    assert done.exit_code == 0, done.output
    assert done.output.count("ok  Features have the shape (B, D)") == 2
