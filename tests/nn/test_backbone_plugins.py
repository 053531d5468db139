"""Third-party backbones: plugin files and entry points, and every way to get one wrong."""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint

import pytest
import torch
from command_line import tlbench
from plugin_files import plugged
from tiny_suite import SUITE, write_domains

from tlbench import api, methods, plugins
from tlbench.errors import TlbenchError
from tlbench.nn import backbones

HEADER = '''"""A backbone of a test."""
from pydantic import BaseModel, ConfigDict, Field
from torch import nn
from tlbench.nn.net import Backbone
'''
OPTIONS = """class Options(BaseModel):
    model_config = ConfigDict(extra="forbid")
    width: int = Field(8, ge=1, description="D")
"""
BUILD = """def build(shape, options):
    return Backbone([nn.Sequential(nn.Flatten(), nn.Linear(shape[0], options.width), nn.ReLU())], options.width)
"""


def test_a_plugin_file_is_a_backbone_under_its_name(tmp_path):
    with plugged(tmp_path, "narrow", OPTIONS + BUILD, HEADER) as name:
        assert name in backbones.backbone_names() and name not in methods.method_names()
        assert backbones.backbone_summary(name) == "A backbone of a test."
        assert methods.registered_files() == [(tmp_path / "narrow.py").resolve()]
        assert methods.register_file(tmp_path / "narrow.py") == name  # twice is no error: worker processes do it
        backbone = backbones.build_backbone(name, (6,), {"width": 5})
        assert backbone(torch.randn(3, 6)).shape == (3, 5)
        with pytest.raises(TlbenchError, match=r"net: Unknown key 'widht'. Did you mean 'width'\?"):
            backbones.build_backbone(name, (6,), {"widht": 5})
    assert "narrow" not in backbones.backbone_names()


BROKEN = {
    "no Options": (BUILD, "this one lacks Options"),
    "no build": (OPTIONS, "this one lacks build"),
    "Options of another kind": ("class Options:\n    width = 8\n" + BUILD, "Options is no pydantic model"),
    "Options that takes anything": (OPTIONS.replace('extra="forbid"', "") + BUILD, "Options accepts unknown options"),
    "an option of a reserved name": (OPTIONS + '    frozen: bool = Field(True, description="x")\n' + BUILD, "key 'frozen' of"),
    "a build of one argument": (
        OPTIONS + BUILD.replace("shape, options)", "shape)"),
        "build must be a function of two arguments",
    ),
    "a build that is no function": (OPTIONS + "build = 3\n", "build must be a function of two arguments"),
    "a build of something else": (OPTIONS + "def build(shape, options):\n    return nn.Identity()\n", "an object of Identity"),
    "an import that fails": ("import no_such_module\n" + OPTIONS + BUILD, "cannot be imported: ModuleNotFoundError"),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_a_backbone_that_breaks_the_contract_is_refused_with_a_sentence(fault, tmp_path):
    body, words = BROKEN[fault]
    with pytest.raises(TlbenchError, match=words), plugged(tmp_path, "broken", body, HEADER) as name:
        backbones.build_backbone(name, (6,), {})


@pytest.mark.parametrize("name", ["mlp", "auto"])
def test_a_plugin_may_not_take_the_name_of_a_shipped_backbone(name, tmp_path):
    with (
        pytest.raises(TlbenchError, match=f"There is already a backbone '{name}'"),
        plugged(tmp_path, name, OPTIONS + BUILD, HEADER),
    ):
        pass


def test_two_plugin_files_may_not_have_one_name(tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    (other / "narrow.py").write_text(HEADER + OPTIONS + BUILD)
    with (
        plugged(tmp_path, "narrow", OPTIONS + BUILD, HEADER),
        pytest.raises(TlbenchError, match="already defines a backbone 'narrow'"),
    ):
        methods.register_file(other / "narrow.py")
    method = "class Mine(DeepMethod):\n    reads = frozenset({'source'})\n"
    (other / "narrow.py").write_text("from tlbench.methods.base import DeepMethod\n" + method)
    with plugged(tmp_path, "narrow", OPTIONS + BUILD, HEADER) as name:
        backbones.build_backbone(name, (6,), {})
        try:
            methods.register_file(other / "narrow.py")
            with pytest.raises(TlbenchError, match="is a plugin of the same name"):
                methods.method_class("narrow")
        finally:
            methods._registered.pop("narrow", None)


def test_backbones_of_an_installed_package_come_in_by_entry_points(monkeypatch):
    points = {
        "theirs": EntryPoint("theirs", "tlbench.nn.backbones.mlp", "tlbench.backbones"),
        "broken": EntryPoint("broken", "no_such_package", "tlbench.backbones"),
        "function": EntryPoint("function", "tlbench.nn.backbones.mlp:build", "tlbench.backbones"),
    }
    monkeypatch.setattr(plugins, "entry_points", lambda group: points if group == "tlbench.backbones" else {})
    assert {*points} <= {*backbones.backbone_names()}
    assert backbones.backbone_summary("theirs") == "(entry point tlbench.nn.backbones.mlp)"
    assert backbones.build_backbone("theirs", (6,), {"hidden": [7]}).width == 7
    with pytest.raises(TlbenchError, match=r"entry point broken of tlbench\.backbones: no_such_package cannot be imported"):
        backbones.build_backbone("broken", (6,), {})
    with pytest.raises(TlbenchError, match=r"entry point function of tlbench\.backbones: Options is no pydantic model"):
        backbones.build_backbone("function", (6,), {})


def test_a_suite_runs_on_a_backbone_of_a_plugin_file(tmp_path):
    write_domains(tmp_path)
    (tmp_path / "narrow.py").write_text(HEADER + OPTIONS + BUILD)
    text = SUITE.replace('backbone = "mlp"\nhidden = [8]', 'backbone = "narrow"\nwidth = 8')
    (tmp_path / "tiny.toml").write_text(text.replace("[methods.coral]\n", ""))
    with pytest.raises(TlbenchError, match=r"net\.backbone: Unknown backbone 'narrow'"):
        api.load_suite(tmp_path / "tiny.toml")
    done = tlbench("run", "tiny.toml", "--plugin", "narrow.py", "--device", "cpu", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    listed = tlbench("list", "backbones", "--plugin", "narrow.py", cwd=tmp_path)
    assert [line.split(maxsplit=1)[1] for line in listed.stdout.splitlines() if line.startswith("narrow ")] == [
        "A backbone of a test."
    ]
    assert "tlbench_plugin_narrow" not in sys.modules
