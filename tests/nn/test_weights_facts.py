"""What weights state of themselves: who trained them, on what, under which licence, and the scale of their inputs."""

from __future__ import annotations

import dataclasses
import tomllib

import pytest
import timm
import torch
from command_line import tlbench
from engine_runs import blob_domains
from plugin_files import plugged
from tiny_suite import CPU, SUITE, case, suite
from tiny_suite import record as made_up_record
from torchvision import models

from tlbench import checks, engine, records, reports, session
from tlbench.errors import TlbenchError
from tlbench.nn import backbones
from tlbench.nn.weights_facts import with_published_facts
from tlbench.runner.plan import with_files
from tlbench.site import descriptions
from tlbench.suite import Network, parse_suite, shipped_suites
from tlbench.terms import Record, WeightsSource

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
STATED = {
    "name": "a network",
    "trained_on": "pictures",
    "citation": "Nobody 1999",
    "licence": "MIT",
    "url": "https://a.example",
}


def network(**keys: object) -> Network:
    return Network.model_validate({"backbone": "torchvision:resnet18", **keys})


def test_torchvision_states_data_and_scale_of_its_weights():
    net = with_published_facts(network(weights="DEFAULT", normalization="weights"))
    weights = models.ResNet18_Weights.DEFAULT
    assert (net.mean, net.std) == (tuple(weights.transforms().mean), tuple(weights.transforms().std))
    assert (net.mean, net.std, net.normalization) == (IMAGENET_MEAN, IMAGENET_STD, "stated")
    assert net.weights_source.name == "ResNet18_Weights.IMAGENET1K_V1 of torchvision"
    assert net.weights_source.trained_on == "ImageNet-1K" and net.weights_source.url == weights.meta["recipe"]
    assert net.weights_source.licence == "" and with_published_facts(net) == net
    with_licence = with_published_facts(network(backbone="torchvision:vit_b_16", weights="IMAGENET1K_SWAG_E2E_V1"))
    assert with_licence.weights_source.licence == models.ViT_B_16_Weights.IMAGENET1K_SWAG_E2E_V1.meta["license"]
    own = with_published_facts(network(weights="DEFAULT", weights_source={"licence": "mine", "trained_on": "pictures"}))
    assert (own.weights_source.licence, own.weights_source.trained_on) == ("mine", "pictures")
    assert own.weights_source.url == weights.meta["recipe"] and own.mean == 0.5


@pytest.mark.parametrize("tag", ["DEFAULT", "in1k"])
def test_timm_states_licence_and_scale_of_its_weights(tag, tmp_path, monkeypatch):
    net = network(backbone="timm:tf_efficientnet_lite0", weights=tag, normalization="weights")
    facts = with_published_facts(net)
    published = timm.get_pretrained_cfg("tf_efficientnet_lite0")
    assert (facts.mean, facts.std) == (published.mean, published.std)
    assert facts.weights_source.licence == published.license and facts.weights_source.trained_on == published.tag == "in1k"
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "_hub_dir", None)
    with pytest.raises(TlbenchError, match=f"The weights {tag} of tf_efficientnet_lite0 are not on this machine"):
        backbones.named_files(net.backbone, net.options, tmp_path)
    from safetensors.torch import save_file

    state = timm.create_model("tf_efficientnet_lite0").state_dict()
    (tmp_path / "hub" / "checkpoints").mkdir(parents=True)
    file = tmp_path / "hub" / "checkpoints" / "tf_efficientnet_lite0.in1k.safetensors"
    save_file({key: tensor.contiguous() for key, tensor in state.items()}, file)
    (named,) = backbones.named_files(net.backbone, net.options, tmp_path).values()
    assert named.path == file
    built = backbones.build_backbone(net.backbone, (3, 32, 32), net.options, {tag: named})
    assert torch.equal(built.network[1].conv_stem.weight, state["conv_stem.weight"])


@pytest.mark.parametrize("weights", ["", "file:weights/own.pth", "IMAGENET1K_V9"])
@pytest.mark.parametrize("backbone", ["torchvision:resnet18", "timm:tf_efficientnet_lite0"])
def test_weights_that_state_no_scale_are_one_sentence(backbone, weights):
    with pytest.raises(TlbenchError, match=r"net.normalization: 'weights' takes mean and std .* State net.mean and net.std"):
        with_published_facts(network(backbone=backbone, weights=weights, normalization="weights"))


def test_a_suite_states_either_a_scale_or_that_of_the_weights():
    with pytest.raises(TlbenchError, match=r"normalization = 'weights' takes mean and std from the weights. Leave both out"):
        suite(net={"normalization": "weights", "mean": 0.4})
    with pytest.raises(TlbenchError, match=r"net.weights_source: Unknown key 'license'. Did you mean 'licence'\?"):
        suite(net={"weights_source": {"license": "MIT"}})


def test_what_is_stated_of_weights_decides_no_number():
    plain, stated = suite(), suite(net={"weights_source": STATED})
    assert stated.net.weights_source == WeightsSource(**STATED) and stated.hash == plain.hash
    scaled = dataclasses.replace(plain, net=with_published_facts(network(weights="DEFAULT", normalization="weights")))
    by_hand = dataclasses.replace(plain, net=network(weights="DEFAULT", mean=list(IMAGENET_MEAN), std=list(IMAGENET_STD)))
    assert scaled.hash == by_hand.hash != dataclasses.replace(plain, net=network(weights="DEFAULT")).hash


LOADED_HEADER = '''"""A linear layer from a file."""
from pathlib import Path
from pydantic import BaseModel, ConfigDict, Field
from torch import nn
from tlbench.nn import weights
from tlbench.nn.net import Backbone
'''
LOADED = """class Options(BaseModel):
    model_config = ConfigDict(extra="forbid")
    weights: str = Field("", description="file:PATH")
def build(shape, options):
    layer = nn.Linear(shape[0], 4)
    if options.weights:
        weights.load(layer, Path(options.weights), name="loaded")
    return Backbone([layer], 4)
"""


def test_the_record_of_a_case_states_the_source_of_the_weights_that_it_read(tmp_path):
    torch.save(torch.nn.Linear(4, 4).state_dict(), tmp_path / "own.pth")
    text = SUITE.replace('backbone = "mlp"\nhidden = [8]', 'backbone = "loaded"\nweights = "file:own.pth"')
    with plugged(tmp_path, "loaded", LOADED, LOADED_HEADER):
        for stated in (WeightsSource(**STATED), None):
            tables = tomllib.loads(text)
            if stated is not None:
                tables["net"]["weights_source"] = STATED
            read = with_files(parse_suite(tables, "suite of a test"), tmp_path, ["source_only"])
            deep = engine.run_case(case("source_only"), read, blob_domains(), CPU)
            shallow = engine.run_case(case("nearest_neighbor"), read, blob_domains(), CPU)
            assert deep.status == shallow.status == "done" and [*deep.weights] == ["file:own.pth"]
            assert deep.weights_source == stated and shallow.weights_source is None
            if stated is not None:
                identity = deep.identity
        assert deep.identity == identity


def test_tables_and_pages_show_the_source_of_the_weights():
    one = made_up_record(weights={"file:own.pth": "0" * 64}, weights_source=WeightsSource(**STATED))
    assert Record.model_validate_json(records.to_line(one)) == one
    frame = reports.frame([one, made_up_record(1)])
    (table,) = reports.tables(frame, "accuracy")
    assert "Pre-trained weights: a network, trained on pictures (Nobody 1999; licence MIT)." in table.caption
    assert descriptions.describe_suite([one]).weights == [
        ("Weights", "a network"),
        ("Trained on", "pictures"),
        ("Licence of the weights", "MIT"),
        ("To be cited for the weights", "Nobody 1999"),
        ("Address of the weights", "https://a.example"),
    ]
    unstated = one.model_copy(update={"weights_source": None})
    assert ("Licence of the weights", "not stated in the suite") in descriptions.describe_suite([unstated]).weights
    assert descriptions.describe_suite([made_up_record()]).weights == []


def test_check_warns_of_weights_without_data_or_licence(tmp_path):
    text = shipped_suites()["office_caltech10_mobilenet"].read_text(encoding="utf-8")
    file = tmp_path / "office_caltech10_mobilenet.toml"
    file.write_text(text.replace("licence = ", "# licence = ").replace("trained_on = ", "# trained_on = "), encoding="utf-8")
    done = tlbench("check", str(file), cwd=tmp_path)
    assert done.returncode == 0 and done.stdout.startswith("ok  Suite office_caltech10_mobilenet")
    assert "warning: " in done.stderr and "weights/mobilenetV1X0.25_pretrain.tar and does not state trained_on" in done.stderr
    assert "and licence (" in done.stderr


@pytest.mark.parametrize("name", sorted(shipped_suites()))
def test_every_shipped_suite_says_what_its_weights_are(name):
    assert checks.suite_warnings(session.load_suite(name)) == []
