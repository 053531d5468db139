"""Weights of backbones: every form of file, what does not fit, where files are looked for, and published ones."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from tlbench import content_hashes
from tlbench.errors import TlbenchError
from tlbench.nn import backbones, weights

NETWORK = "torchvision:squeezenet1_1"


def trained() -> dict[str, torch.Tensor]:
    """The state dict of a small network whose tensors count up."""
    network = small()
    return {key: torch.full_like(tensor, number + 1.0) for number, (key, tensor) in enumerate(network.state_dict().items())}


def small(classes: int = 3) -> nn.Sequential:
    return nn.Sequential(nn.Linear(4, 2), nn.BatchNorm1d(2), nn.Linear(2, classes))


def prefixed(state: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {prefix + key: tensor for key, tensor in state.items()}


FORMS = {
    "plain": ("a.pth", lambda state: state),
    "old format": ("a.tar", lambda state: {"epoch": 3, "state_dict": state}),
    "model": ("a.pt", lambda state: {"model": state, "optimizer": {"lr": 0.1}}),
    "averaged": ("a.th", lambda state: {"state_dict": {k: v * 0 for k, v in state.items()}, "state_dict_ema": state}),
    "data parallel": ("a.bin", lambda state: {"state_dict": prefixed(state, "module.")}),
    "compiled": ("a.pth", lambda state: prefixed(state, "_orig_mod.")),
    "compiled in parallel": ("a.pth", lambda state: prefixed(state, "module._orig_mod.")),
    "half": ("a.pth", lambda state: {key: tensor.half() for key, tensor in state.items()}),
    "safetensors": ("a.safetensors", lambda state: state),
    "half safetensors": ("a.safetensors", lambda state: {key: tensor.half() for key, tensor in state.items()}),
    "without the last layer": ("a.pth", lambda state: {k: v for k, v in state.items() if not k.startswith("2.")}),
    "other classes": ("a.pth", lambda state: {**state, "2.weight": torch.ones(1000, 2), "2.bias": torch.ones(1000)}),
    "without counters": ("a.pth", lambda state: {k: v for k, v in state.items() if "num_batches" not in k}),
    "auxiliary": ("a.pth", lambda state: {**state, "aux.fc.weight": torch.ones(5, 5)}),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_file_gives_the_same_network(form, tmp_path):
    name, of_state = FORMS[form]
    content = of_state(trained())
    if name.endswith("safetensors"):
        save_file(content, tmp_path / name)
    else:
        torch.save(content, tmp_path / name, _use_new_zipfile_serialization=form != "old format")
    network = small()
    before = network[2].weight.clone()
    weights.load(network, tmp_path / name, name="small", last="2", unused=("aux.",))
    for key, tensor in list(trained().items())[:6]:
        assert torch.equal(network.state_dict()[key], tensor) and network.state_dict()[key].dtype == torch.float32, key
    assert torch.equal(network[2].weight, before)  # the last layer is the network's own


def test_a_mismatch_is_one_short_sentence(tmp_path):
    state = {f"blocks.{number}.weight": torch.zeros(2) for number in range(400)} | {"0.weight": torch.zeros(7)}
    torch.save(state, tmp_path / "other.pth")
    with pytest.raises(TlbenchError) as raised:
        weights.load(small(), tmp_path / "other.pth", name="small", last="2")
    assert str(raised.value) == (
        f"{tmp_path / 'other.pth'} does not fit small: of its 7 tensors, 5 missing, such as 0.bias, 1.weight, 1.bias; 400 "
        "unexpected, such as blocks.0.weight, blocks.1.weight, blocks.2.weight; 1 of another shape, such as 0.weight. Name the "
        "network that the file is of, or another file."
    )


class Harmful:
    def __reduce__(self):
        return print, ("code of the file has run",)


@pytest.mark.parametrize(
    ("name", "write", "words"),
    [
        ("cut.pth", lambda path: path.write_bytes(b"PK\x03\x04 cut"), "This is not a whole checkpoint"),
        ("cut.safetensors", lambda path: path.write_bytes(b"\x08\0\0\0\0\0\0\0{}"), "This is not a whole safetensors file"),
        ("code.pth", lambda path: torch.save({"a": Harmful()}, path), "This is not a whole checkpoint"),
        ("empty.pth", lambda path: torch.save({"epoch": 3}, path), "The file holds no tensors by name"),
        ("tensor.pth", lambda path: torch.save(torch.ones(3), path), "The file holds no tensors by name"),
        ("weights.npz", lambda path: path.write_bytes(b""), "Weights are files with a suffix of .pth"),
    ],
)
def test_what_is_no_file_of_weights_is_refused_with_one_sentence(name, write, words, tmp_path, capfd):
    write(tmp_path / name)
    with pytest.raises(TlbenchError, match=words) as raised:
        weights.read_state(tmp_path / name)
    assert "\n" not in str(raised.value) and len(str(raised.value)) < 600
    assert "code of the file" not in capfd.readouterr().out


def test_files_are_looked_for_below_the_data_root_and_not_outside_it(tmp_path):
    root = tmp_path / "root"
    (root / "weights" / "folder").mkdir(parents=True)
    (tmp_path / "outside.pth").write_bytes(b"outside")
    (root / "weights" / "a.pth").write_bytes(b"a")
    (root / "weights" / "folder" / "model.safetensors").write_bytes(b"m")
    (root / "weights" / "link.pth").symlink_to(tmp_path / "outside.pth")
    sha256 = hashlib.sha256(b"a").hexdigest()
    for text in ("weights/a.pth", "file:weights/a.pth", str(root / "weights" / "a.pth"), f"file:{root / 'weights' / 'a.pth'}"):
        found = weights.named_files({"weights": text}, root)
        assert {key: file.sha256 for key, file in found.items()} == {text: sha256}
        assert weights.with_paths({"weights": text, "width": 3}, found) == {
            "weights": str(root / "weights" / "a.pth"),
            "width": 3,
        }
    absolute = str(tmp_path / "outside.pth")
    assert list(weights.named_files({"weights": absolute}, root)) == [absolute]
    for text in ("../outside.pth", "file:../outside.pth", "weights/link.pth"):
        with pytest.raises(TlbenchError, match=r"net\.weights: The path .* leaves the data root"):
            weights.named_files({"weights": text}, root)
    with pytest.raises(TlbenchError, match=r"net\.weights: The file 'no.pth' is not there in the data root"):
        weights.named_files({"weights": "file:no.pth"}, root)
    with pytest.raises(TlbenchError, match=r"There is no file '/no/such\.pth'"):
        weights.named_files({"weights": "/no/such.pth"}, root)
    (root / "table.txt").write_text("t")
    options = {"encoder": "weights/folder", "kind": "weights", "other": ["no/such/file", "weights/a.pth", "table.txt"]}
    assert list(weights.named_files(options, root)) == ["weights/folder", "weights/a.pth", "table.txt"]
    assert list(weights.named_files({"network": "weights"}, root, path_keys=("network",))) == ["weights"]
    with pytest.raises(TlbenchError, match=r"net\.network: The file 'bert' is not there"):
        weights.named_files({"network": "bert"}, root, path_keys=("network",))
    with pytest.raises(TlbenchError, match=r"net\.encoder: The file 'weights/no' is not there"):
        weights.named_files({"encoder": "file:weights/no"}, root)
    with pytest.raises(TlbenchError, match=f"has the sha256 {sha256}, and the suite states {'0' * 64}"):
        weights.named_files({"weights": "weights/a.pth"}, root, sha256="0" * 64)
    assert weights.named_files({"weights": "weights/a.pth"}, root, sha256=sha256)


def test_a_file_that_changes_after_the_plan_is_refused(tmp_path):
    (tmp_path / "a.pth").write_bytes(b"a")
    found = weights.named_files({"weights": "a.pth"}, tmp_path)
    (tmp_path / "a.pth").write_bytes(b"b")
    with pytest.raises(TlbenchError, match=r"had .* when the run was planned"):
        weights.with_paths({"weights": "a.pth"}, found)
    (tmp_path / "a.pth").unlink()
    with pytest.raises(TlbenchError, match="can't be read on this machine"):
        weights.with_paths({"weights": "a.pth"}, found)


def test_a_file_is_read_once_for_each_of_its_stamps(tmp_path, monkeypatch):
    reads = []
    digest = hashlib.file_digest
    monkeypatch.setattr(hashlib, "file_digest", lambda stream, name: reads.append(stream.name) or digest(stream, name))
    file = tmp_path / "folder" / "a.pth"
    file.parent.mkdir()
    file.write_bytes(b"a")
    first = content_hashes.sha256(file)
    of_folder = content_hashes.sha256(file.parent)
    assert (content_hashes.sha256(file), content_hashes.sha256(file.parent)) == (first, of_folder) and len(reads) == 1
    file.write_bytes(b"other")
    assert content_hashes.sha256(file) == hashlib.sha256(b"other").hexdigest() != first and len(reads) == 2
    changed = content_hashes.sha256(file.parent)
    (file.parent / ".hidden").write_bytes(b"x")
    assert content_hashes.sha256(file.parent) == changed != of_folder
    file.rename(file.with_name("b.pth"))
    assert content_hashes.sha256(file.parent) != changed


@pytest.mark.parametrize("name", ["DEFAULT", "IMAGENET1K_V1"])
def test_published_weights_are_not_downloaded_without_permission(name, tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.delenv("TLBENCH_DOWNLOAD", raising=False)
    with pytest.raises(TlbenchError) as raised:
        backbones.build_backbone(NETWORK, (3, 32, 32), {"weights": name})
    assert str(raised.value).startswith(f"net.weights: The weights {name} of squeezenet1_1 are not on this machine")
    assert "--download" in str(raised.value) and "\n" not in str(raised.value)


def test_a_download_that_fails_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("TLBENCH_DOWNLOAD", "1")
    with pytest.raises(TlbenchError, match=r"can't be downloaded from file:///no/such-0123456789\.pth") as raised:
        weights.downloaded("DEFAULT of none", "file:///no/such-0123456789.pth")
    assert "\n" not in str(raised.value)
    (tmp_path / "small-0123456789.pth").write_bytes(b"other content")
    address = (tmp_path / "small-0123456789.pth").as_uri()
    with pytest.raises(TlbenchError, match="invalid hash value"):
        weights.downloaded("DEFAULT of none", address)
    sha256 = hashlib.sha256(b"other content").hexdigest()
    (tmp_path / f"small-{sha256[:8]}.pth").write_bytes(b"other content")
    address = (tmp_path / f"small-{sha256[:8]}.pth").as_uri()
    path = weights.downloaded("DEFAULT of none", address)
    assert path.read_bytes() == b"other content" and path.is_relative_to(tmp_path / "hub")
    monkeypatch.delenv("TLBENCH_DOWNLOAD")
    assert weights.downloaded("DEFAULT of none", address) == path  # what is there needs no permission


def test_torchvision_takes_published_and_own_weights_alike(tmp_path, monkeypatch):
    from torchvision import models

    torch.manual_seed(1)
    network = models.squeezenet1_1(weights=None)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    name = Path(models.SqueezeNet1_1_Weights.DEFAULT.url).name
    (tmp_path / "hub" / "checkpoints").mkdir(parents=True)
    torch.save(network.state_dict(), tmp_path / "hub" / "checkpoints" / name)
    other = models.squeezenet1_1(weights=None, num_classes=7)
    other.features.load_state_dict(network.features.state_dict())
    torch.save({"state_dict": prefixed(other.state_dict(), "module.")}, tmp_path / "mine.tar")
    x = torch.randn(2, 3, 32, 32)
    features = network.eval().features(x).mean(dim=(2, 3))
    for text in ("DEFAULT", f"file:{tmp_path / 'mine.tar'}"):
        backbone = backbones.build_backbone(NETWORK, (3, 32, 32), {"weights": text}).eval()
        assert torch.allclose(backbone(x), features, atol=1e-5)
    with pytest.raises(TlbenchError, match=r"does not fit torchvision:resnet18: of its 120 tensors, 100 missing") as raised:
        backbones.build_backbone("torchvision:resnet18", (3, 32, 32), {"weights": str(tmp_path / "mine.tar")})
    assert len(str(raised.value)) < 600


@pytest.mark.parametrize("name", ["googlenet", "inception_v3"])
def test_auxiliary_classifiers_of_a_file_are_left_out(name, tmp_path):
    from torchvision import models

    network = models.get_model(name, weights=None, aux_logits=True, init_weights=False)
    torch.save(network.state_dict(), tmp_path / "a.pth")
    backbone = backbones.build_backbone(f"torchvision:{name}", (3, 80, 80), {"weights": str(tmp_path / "a.pth")}).eval()
    network.fc = nn.Identity()
    x = torch.randn(2, 3, 80, 80)
    assert torch.allclose(backbone(x), network.eval()(x), atol=1e-5)
