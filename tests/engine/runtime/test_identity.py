"""Identities by content: weights, third-party code, the engine's version, and what decides nothing for shallow methods."""

from __future__ import annotations

import dataclasses
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from plugin_files import PLAIN_LOSS, READS_BOTH, plugged
from tiny_suite import CPU, blobs, case, domain, record, suite

from tlbench import engine, methods, plugins
from tlbench.engine.runtime import identity
from tlbench.engine.runtime.device import code
from tlbench.errors import TlbenchError
from tlbench.nn import backbones
from tlbench.suite import NamedFile, Suite

PRINTS = {"a": "1", "b": "2"}
DEEP = "class Mine(DeepMethod):\n" + READS_BOTH + PLAIN_LOSS
SHALLOW = 'class Mine(ShallowMethod):\n    reads = frozenset({"source"})\n'
BACKBONE_HEADER = '''"""A backbone of a test."""
from pydantic import BaseModel, ConfigDict
from torch import nn
from tlbench.nn.net import Backbone
class Options(BaseModel):
    model_config = ConfigDict(extra="forbid")
'''
BACKBONE = "def build(shape, options):\n    return Backbone([nn.Linear(shape[0], 8)], 8)\n"


def with_weights(sha256: str, **net: object) -> Suite:
    chosen = suite(net={"weights": "file:w.pth", **net}, methods={"source_only": {}, "nearest_neighbor": {}})
    return dataclasses.replace(chosen, files={"file:w.pth": NamedFile(Path("/data/w.pth"), sha256)})


def test_weights_are_in_the_identity_of_the_cases_that_read_them_by_content():
    one, two = with_weights("1" * 64), with_weights("2" * 64)
    deep, shallow = case("source_only"), case("nearest_neighbor")
    assert engine.identity(deep, one, PRINTS) != engine.identity(deep, two, PRINTS)
    assert engine.identity(shallow, one, PRINTS) == engine.identity(shallow, two, PRINTS)
    frozen = [with_weights(digit * 64, frozen=True) for digit in "12"]
    for of in (deep, shallow):
        assert len({engine.identity(of, chosen, PRINTS) for chosen in frozen}) == 2
    elsewhere = dataclasses.replace(one, files={"file:w.pth": NamedFile(Path("/other/w.pth"), "1" * 64)})
    assert engine.identity(deep, one, PRINTS) == engine.identity(deep, elsewhere, PRINTS)
    stated = record(data=PRINTS, weights={"file:w.pth": "2" * 64})
    bare = dataclasses.replace(one, files={})
    assert engine.stated_identity(stated, bare) == engine.identity(case(seed=0), two, PRINTS)
    with pytest.raises(TlbenchError, match=r"The file file:w\.pth of suite tiny was not looked for yet"):
        engine.identity(deep, bare, PRINTS)
    words = dataclasses.replace(bare, net=type(bare.net)(backbone="word_vectors:glove.npz"))
    with pytest.raises(TlbenchError, match=r"The file glove\.npz of suite tiny was not looked for yet"):
        engine.identity(deep, words, PRINTS)


def test_budget_and_unfrozen_network_decide_nothing_for_shallow_methods():
    changes = [
        {"train": {"steps": 7}},
        {"train": {"lr": 0.5, "batch": 4, "optimizer": "sgd", "precision": "bf16", "layout": "contiguous", "trace": 0}},
        {"net": {"hidden": [9]}},
        {"net": {"backbone": "auto", "hidden": None}},
    ]
    table = {"source_only": {}, "nearest_neighbor": {}}
    plain = suite(methods=table)
    for change in changes:
        other = suite(methods=table, **change)
        if change.get("net", {}).get("backbone") == "auto":
            other = dataclasses.replace(other, net=type(other.net)())
        assert engine.identity(case("nearest_neighbor"), plain, PRINTS) == engine.identity(
            case("nearest_neighbor"), other, PRINTS
        )
        assert engine.identity(case("source_only"), plain, PRINTS) != engine.identity(case("source_only"), other, PRINTS)
        assert plain.hash != other.hash
    scaled = suite(methods=table, net={"mean": 0.1})  # images are scaled for shallow methods, too
    assert engine.identity(case("nearest_neighbor"), plain, PRINTS) != engine.identity(case("nearest_neighbor"), scaled, PRINTS)


def test_a_frozen_network_and_its_precision_decide_for_shallow_methods():
    shallow, table = case("nearest_neighbor"), {"source_only": {}, "nearest_neighbor": {}}
    frozen = suite(methods=table, net={"frozen": True})
    same = [
        suite(methods=table, net={"frozen": True, "bottleneck": 3}),
        suite(methods=table, net={"frozen": True}, train={"lr": 0.5}),
    ]
    others = [
        suite(methods=table),
        suite(methods=table, net={"frozen": True, "hidden": [9]}),
        suite(methods=table, net={"frozen": True}, train={"precision": "bf16"}),
        suite(methods=table, net={"frozen": True}, train={"layout": "contiguous"}),
    ]
    plain = engine.identity(shallow, frozen, PRINTS)
    assert {engine.identity(shallow, one, PRINTS) for one in same} == {plain}
    assert len({plain, *(engine.identity(shallow, one, PRINTS) for one in others)}) == 5


@pytest.mark.parametrize("body", [DEEP, SHALLOW])
def test_an_edited_plugin_is_another_method_and_runs_its_new_code(body, tmp_path):
    with plugged(tmp_path, "mine", body):
        first = engine.identity(case("mine"), suite(), PRINTS)
        contents = engine.contents(case("mine"), suite())
        assert contents.plugins == {"mine": methods.plugin_hash("mine")} and len(contents.plugins["mine"]) == 64
        file = tmp_path / "mine.py"
        file.write_text(file.read_text() + "    new = 1\n")
        # this process has imported the old code and runs it, so that the identity stays
        assert engine.identity(case("mine"), suite(), PRINTS) == first and not hasattr(methods.method_class("mine"), "new")
        methods.register_file(file)
        assert engine.identity(case("mine"), suite(), PRINTS) != first and methods.method_class("mine").new == 1
        file.write_text(file.read_text().removesuffix("    new = 1\n"))
        methods.register_file(file)
        assert engine.identity(case("mine"), suite(), PRINTS) == first and not hasattr(methods.method_class("mine"), "new")


def test_an_edit_of_one_size_within_one_second_is_seen(tmp_path):
    """A cached bytecode file is known by size and seconds alone; plugins are compiled from what was hashed."""
    for number in range(3):
        (tmp_path / "mine.py").unlink(missing_ok=True)
        with plugged(tmp_path, "mine", f"{DEEP}    number = {number}\n"):
            assert methods.method_class("mine").number == number


def test_a_backbone_of_a_plugin_is_in_the_identity_of_what_uses_it(tmp_path):
    text = {"methods": {"source_only": {}, "nearest_neighbor": {}}}
    with plugged(tmp_path, "narrow", BACKBONE, BACKBONE_HEADER):
        chosen = dataclasses.replace(suite(**text), net=type(suite().net)(backbone="narrow"))
        cases = [case("source_only"), case("nearest_neighbor")]
        first = engine.identities(cases, chosen, PRINTS)
        assert engine.contents(cases[0], chosen).plugins == {"narrow": backbones.plugin_hash("narrow")}
        assert engine.contents(cases[1], chosen).plugins == {}
        (tmp_path / "narrow.py").write_text(BACKBONE_HEADER + BACKBONE.replace("8", "9"))
        methods.register_file(tmp_path / "narrow.py")
        second = engine.identities(cases, chosen, PRINTS)
        assert first[0] != second[0] and first[1] == second[1]
        assert backbones.build_backbone("narrow", (4,), {}).width == 9


def test_entry_points_are_known_by_their_source_file_or_by_their_version(tmp_path, monkeypatch):
    (tmp_path / "their_methods.py").write_text("from tlbench.methods.base import ShallowMethod\n" + SHALLOW)
    monkeypatch.syspath_prepend(tmp_path)
    point = EntryPoint("theirs", "their_methods:Mine", "tlbench.methods")
    monkeypatch.setattr(plugins, "entry_points", lambda group: {"theirs": point} if group == "tlbench.methods" else {})
    hashed = methods.plugin_hash("theirs")
    assert engine.contents(case("theirs"), suite()).plugins == {"theirs": hashed} and len(hashed or "") == 64
    assert engine.identity(case("theirs"), suite(), PRINTS)
    plugins.module_hash.cache_clear()
    del sys.modules["their_methods"]
    assert plugins.module_hash("builtins") == "version unknown"
    assert plugins.module_hash("pydantic.no_such_module").startswith("version pydantic ")
    assert methods.plugin_hash("source_only") is None and backbones.plugin_hash("torchvision:resnet18") is None


def test_the_version_of_the_engine_is_hashed_from_the_second_on(monkeypatch):
    before = engine.identity(case("source_only"), suite(), PRINTS)
    assert code().engine == identity.ENGINE_VERSION == 1
    monkeypatch.setattr(identity, "ENGINE_VERSION", 2)
    assert engine.identity(case("source_only"), suite(), PRINTS) != before


def test_records_name_backbone_weights_and_plugins(tmp_path):
    domains = {"a": domain("a", blobs(1)), "b": domain("b", blobs(2))}
    table = {"source_only": {}, "nearest_neighbor": {}}
    auto = dataclasses.replace(suite(methods=table), net=type(suite().net)())
    deep = engine.run_case(case("source_only"), auto, domains, CPU)
    assert (deep.status, deep.backbone, deep.weights, deep.plugins) == ("done", "mlp", {}, {})
    shallow = engine.run_case(case("nearest_neighbor"), auto, domains, CPU)
    assert (shallow.backbone, shallow.weights, shallow.plugins) == (None, {}, {})
    frozen = engine.run_case(case("nearest_neighbor"), suite(methods=table, net={"frozen": True}), domains, CPU)
    assert (frozen.status, frozen.backbone) == ("done", "mlp")
    lost = engine.failed_record(case("source_only"), auto, PRINTS, CPU, "The worker died.")
    assert lost.backbone is None and lost.identity == engine.identity(case("source_only"), auto, PRINTS)
    assert backbones.full_name("torchvision:resnet18", {}, None) == "torchvision:resnet18"
    assert backbones.full_name("torchvision", {"network": "vgg11"}, (3, 8, 8)) == "torchvision:vgg11"
