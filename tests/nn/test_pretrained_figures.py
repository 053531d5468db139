"""Figures that the descriptions of pre-trained weights state, on real photographs and recordings; they need the data root."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import tlbench
from tlbench import data
from tlbench.nn import backbones, weights
from tlbench.nn.backbones import torchvision
from tlbench.terms import Labelled

pytestmark = [pytest.mark.data, pytest.mark.slow]

CLASSES = {
    "backpack": ("backpack",),
    "bike": ("mountain bike", "bicycle-built-for-two"),
    "keyboard": ("computer keyboard", "space bar"),
    "laptop": ("laptop", "notebook"),
    "monitor": ("monitor", "screen", "desktop computer"),
    "mouse": ("mouse",),
    "mug": ("coffee mug", "cup"),
    "projector": ("projector",),
}
"""What ImageNet calls the eight classes of Office-Caltech10 that it has, too."""


@pytest.fixture
def samples(data_root, monkeypatch):
    """The samples of a domain of a shipped suite, and its class names."""
    monkeypatch.setenv("TLBENCH_CACHE", "off")

    def of_domain(suite: str, name: str, file: str) -> tuple[Labelled, tuple[str, ...]]:
        if not (data_root / file).is_file():
            pytest.skip(f"no {file} in {data_root}")
        domain = data.load(tlbench.load_suite(suite).domains[name], data_root)
        return domain.samples, domain.classes

    return of_domain


def mobilenet_v2(root: Path) -> tuple[nn.Module, Tensor, Tensor]:
    network = torchvision.new_network("mobilenet_v2", (3, 224, 224))
    weights.load(network, root / "weights/mobilenet_v2_imagenet_fp16.pth", name="torchvision:mobilenet_v2")
    return network, torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1), torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)


def efficientnet_lite0(root: Path) -> tuple[nn.Module, Tensor, Tensor]:
    network = pytest.importorskip("timm", reason="timm is not installed").create_model("tf_efficientnet_lite0")
    weights.load(network, root / "weights/efficientnet_lite0_imagenet_fp16.safetensors", name="timm:tf_efficientnet_lite0")
    return network, torch.tensor(127 / 255), torch.tensor(128 / 255)


TOP_1 = {
    (mobilenet_v2, "amazon"): (68.8, 62.5),
    (mobilenet_v2, "webcam"): (75.0, 73.0),
    (mobilenet_v2, "dslr"): (82.8, 81.8),
    (efficientnet_lite0, "amazon"): (65.4, 73.7),
    (efficientnet_lite0, "webcam"): (80.6, 80.2),
    (efficientnet_lite0, "dslr"): (87.1, 84.1),
    (efficientnet_lite0, "caltech"): (72.5, 78.3),
}
"""Top-1 in per cent as published, of 260 photographs that the descriptions do not name, and of all photographs."""


@pytest.mark.filterwarnings("ignore:.*turned upright")
@pytest.mark.parametrize(("network", "domain"), TOP_1)
def test_imagenet_classifiers_know_eight_classes_of_photographs(network, domain, samples, data_root):
    """Top-1 among all 1,000 classes; the published figure is within two standard errors of a draw of 65 photographs."""
    from torchvision import models

    labeled, names = samples("office_caltech10_mobilenet", domain, "office_caltech10/images.tar")
    imagenet = models.MobileNet_V2_Weights.IMAGENET1K_V1.meta["categories"]
    classifier, mean, deviation = network(data_root)
    shared = torch.tensor([names[label] in CLASSES for label in labeled.y.tolist()]).nonzero().flatten()
    with torch.inference_mode():
        chunks = [classifier.eval()((labeled.x[chunk].float() / 255 - mean) / deviation) for chunk in shared.split(16)]
    predicted = torch.cat(chunks).argmax(dim=1).tolist()
    correct = [imagenet[index] in CLASSES[names[labeled.y[at]]] for at, index in zip(shared.tolist(), predicted, strict=True)]
    published, of_all = TOP_1[network, domain]
    assert 100 * sum(correct) / len(correct) == pytest.approx(of_all, abs=0.5)
    assert abs(of_all - published) < 200 * (of_all / 100 * (1 - of_all / 100) / 65) ** 0.5


def accuracy_of_neighbors(features: dict[str, tuple[Tensor, Tensor]], target: str) -> float:
    """Accuracy in per cent of the nearest neighbour by the cosine among the samples of all other domains."""
    x = torch.cat([of for name, (of, _) in features.items() if name != target])
    y = torch.cat([labels for name, (_, labels) in features.items() if name != target])
    nearest = (F.normalize(features[target][0]) @ F.normalize(x).T).argmax(dim=1)
    return 100 * float((y[nearest] == features[target][1]).double().mean())


def test_the_speech_encoder_tells_digits_of_an_unseen_speaker_and_log_mel_does_not(samples, data_root):
    """Published: 77 to 99 % of the digits of a speaker by the encoder's features, 49 to 69 % by the log-mel spectrograms."""
    file = "weights/audio/google_speech_embedding.safetensors"
    if not (data_root / file).is_file():
        pytest.skip(f"no {file} in {data_root}")
    options = {"weights": str(data_root / file), "decibel_scale": 0.5, "decibel_offset": -100.0}
    encoder = backbones.build_backbone("speech_embedding", (40, 48), options).eval()
    encoded, plain = {}, {}
    for name in ("george", "jackson", "lucas", "nicolas", "theo", "yweweler"):
        labeled, _ = samples("fsdd_speakers_pretrained", name, "fsdd/fsdd_logmel_u8.npz")
        with torch.inference_mode():
            encoded[name] = torch.cat([encoder(chunk.float()) for chunk in labeled.x.split(250)]), labeled.y
        plain[name] = labeled.x.flatten(1).float() / 2 - 100, labeled.y  # decibels
    by_encoder, by_spectrum = ([accuracy_of_neighbors(one, name) for name in one] for one in (encoded, plain))
    assert min(by_encoder) > 77 and max(by_encoder) < 99.5
    assert min(by_spectrum) > 48 and max(by_spectrum) < 70
