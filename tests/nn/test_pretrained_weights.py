"""Real pre-trained weights: 1-NN of frozen features on photographs, held to published figures; they need the data root."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

import tlbench
from tlbench.nn import backbones

pytestmark = [pytest.mark.data, pytest.mark.slow]

SUITE = """
name = "photographs"
version = 1
[data]
reader = "images"
path = "office_caltech10/images.tar"
size = 256
crop = 224
full_decode = true
[domains.amazon]
domain = "images/amazon"
[domains.webcam]
domain = "images/webcam"
[domains.dslr]
domain = "images/dslr"
[pairs]
all = true
[protocol]
baseline = "nearest_neighbor"
source_held_out = 0.0
seeds = [0]
[net]
frozen = true
{net}
[methods.nearest_neighbor]
distance = "cosine"
"""
MOBILENET_V1 = """
backbone = "mobilenet_v1"
weights = "file:weights/mobilenetV1X0.25_pretrain.tar"
mean = [0.485, 0.456, 0.406]
std = [0.229, 0.224, 0.225]
"""
EFFICIENTNET = """
backbone = "timm:tf_efficientnet_lite0"
weights = "file:weights/efficientnet_lite0_imagenet_fp16.safetensors"
mean = 0.49804
std = 0.50196
"""

MOBILENET_V2 = """
backbone = "torchvision:mobilenet_v2"
weights = "file:weights/{file}"
mean = [0.485, 0.456, 0.406]
std = [0.229, 0.224, 0.225]
"""


@pytest.fixture
def accuracies(data_root, tmp_path, monkeypatch):
    monkeypatch.setenv("TLBENCH_CACHE", "off")

    def of_pairs(net, pairs):
        if not (data_root / "weights").is_dir() or not (data_root / "office_caltech10" / "images.tar").is_file():
            pytest.skip(f"no weights or office_caltech10/images.tar in {data_root}")
        (tmp_path / "photographs.toml").write_text(SUITE.format(net=net), encoding="utf-8")
        frame = tlbench.run(
            tmp_path / "photographs.toml", results=tmp_path / "results", data=data_root, device="cpu", pairs=pairs
        )
        assert (frame["status"] == "done").all(), frame["reason"].tolist()
        return {pair: round(100 * accuracy, 1) for pair, accuracy in zip(frame["pair"], frame["target_accuracy"], strict=True)}

    return of_pairs


def test_mobilenet_v1_of_two_cameras(accuracies):
    measured = accuracies(MOBILENET_V1, ["dslr:webcam", "webcam:dslr"])
    assert measured == pytest.approx({"dslr:webcam": 96.6, "webcam:dslr": 98.7}, abs=0.11)


def test_mobilenet_v1_of_product_pictures(accuracies):
    assert accuracies(MOBILENET_V1, ["amazon:webcam"]) == pytest.approx({"amazon:webcam": 75.3}, abs=0.11)


def test_efficientnet_lite0_of_two_cameras(accuracies):
    assert accuracies(EFFICIENTNET, ["dslr:webcam"])["dslr:webcam"] == pytest.approx(99.3, abs=0.5)


@pytest.mark.parametrize(
    ("file", "low", "high"),
    [("mobilenet_v2_imagenet_fp16.pth", 98, 99.8), ("mobilenet_v2_inat_bird_fp16.safetensors", 43, 55)],
    ids=["ImageNet", "birds"],
)
def test_a_network_of_birds_is_far_from_two_cameras_in_an_office(accuracies, file, low, high):
    """Published: 43 to 55 % with features of birds, and 98 to 99 % with those of ImageNet (here 99.7)."""
    assert low <= accuracies(MOBILENET_V2.format(file=file), ["dslr:webcam"])["dslr:webcam"] <= high


def test_voice_encoder_of_spoken_digits(data_root):
    """The features of the LSTM in plain torch, from bytes as from WAV files; recordings of one speaker are neighbours."""
    file, digits = data_root / "weights/audio/resemblyzer_ge2e_fp16.safetensors", data_root / "fsdd/fsdd_logmel_u8.npz"
    if not file.is_file() or not digits.is_file():
        pytest.skip(f"no {file.name} or {digits.name} in {data_root}")
    with np.load(digits, allow_pickle=False) as arrays:
        x = torch.from_numpy(arrays["x"][::10].astype(np.float32))
        speaker, digit = (torch.from_numpy(arrays[key][::10].astype(np.int64)) for key in ("speaker", "y"))
    options = {"weights": str(file), "decibel_scale": 0.5, "decibel_offset": -100.0}
    network = nn.ModuleDict({"lstm": nn.LSTM(40, 256, 3, batch_first=True), "linear": nn.Linear(256, 256)})
    network.load_state_dict(load_file(file))
    of_wav = backbones.build_backbone("speech_embedding:voices", (1, 40, 48), options | {"decibel_scale": 127.5}).eval()
    with torch.no_grad():
        features = backbones.build_backbone("speech_embedding:voices", (40, 48), options).eval()(x)
        plain = network["linear"](network["lstm"](10 ** ((x / 2 - 100) / 10).transpose(1, 2))[1][0][-1]).relu()
        assert torch.allclose(of_wav(x[:, None] / 255), features, atol=1e-4)
    assert torch.allclose(features, plain / plain.norm(dim=1, keepdim=True), atol=1e-5)
    similarity = (features @ features.T).masked_fill(digit[:, None] == digit, -1)  # neighbours say another digit
    assert float((speaker[similarity.argmax(dim=1)] == speaker).float().mean()) > 0.8  # chance: 1 in 6


def test_speech_embedding_of_spoken_digits(data_root):
    """Golden values: the network in plain torch that lies beside the weights, on the same frames."""
    weights, digits = data_root / "weights/audio/google_speech_embedding.safetensors", data_root / "fsdd/fsdd_logmel_u8.npz"
    if not weights.is_file() or not digits.is_file():
        pytest.skip(f"no {weights.name} or {digits.name} in {data_root}")
    options = {"weights": str(weights), "decibel_scale": 0.5, "decibel_offset": -100.0}
    backbone = backbones.build_backbone("speech_embedding", (40, 48), options).eval()
    with np.load(digits, allow_pickle=False) as arrays:
        x = torch.from_numpy(arrays["x"][::500].astype(np.float32))
    with torch.no_grad():
        features = backbone(x)
    assert features.shape == (6, 96)
    golden = [[-14.2073, 7.4075, 4.2350, -9.7513], [-3.8864, 15.9083, -15.2978, -3.7738], [-14.1603, 15.8219, 40.1294, 0.5546]]
    assert torch.allclose(features[:3, :4], torch.tensor(golden), atol=2e-4)
