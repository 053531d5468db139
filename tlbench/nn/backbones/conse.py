"""ConSE: a classifier of ImageNet as an embedding of images among words, as `conse:mobilenet_v2` with a text encoder.

Norouzi, Mikolov, Bengio, Singer, Shlens, Frome, Corrado and Dean, Zero-shot learning by convex combination of semantic
embeddings, ICLR 2014. https://arxiv.org/abs/1312.5650. The features of an image are the mean of the embedded names of its
`top` most probable ImageNet classes, weighted by their probabilities; names have norm 1. Class names of other tasks are
embedded alike, so that an image lies near the names of what it shows. ImageNet's names are those that torchvision states.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from tlbench import content_hashes
from tlbench.errors import TlbenchError
from tlbench.nn import weights
from tlbench.nn.backbones import hf, torchvision, word_vectors
from tlbench.nn.net import Backbone
from tlbench.nn.shapes import suitable_backbone
from tlbench.nn.whole_network import ThreeChannels, WholeNetwork, grouped_layers

PATH_KEYS = ("weights", "text")
TOKENS = 32
"""Tokens of a class name; longer ones are cut."""
NAMES = 256
"""Class names of a forward pass."""
published_file = torchvision.published_file
"""The file of published weights of the classifier."""


class Options(torchvision.Options):
    """Options of the backbone `conse`."""

    network: str = Field("mobilenet_v2", description="the name of a classifier in torchvision.models")
    weights: str = Field("", description="of the whole classifier: empty for random ones, file:PATH, or DEFAULT")
    text: str = Field(description="the folder of a text encoder as of hf, or the npz file of word vectors, below the data root")
    top: int = Field(
        10, ge=1, description="T, the number of ImageNet classes whose names are combined; the paper takes 1 to 1000"
    )


def build(shape: tuple[int, ...], options: Options) -> Backbone:
    """Build the backbone: images (B, 3, height, width), or grey ones repeated to three channels -> features (B, D).

    D is the width of the text embeddings. The text encoder does not learn.

    Raises:
        TlbenchError: `shape` is no image, the weights do not fit, or the classifier is not one of named classes.
    """
    if len(shape) != 3 or shape[0] not in (1, 3):
        raise TlbenchError(
            f"The backbone conse takes grey or colour images, not samples of shape {shape}. Choose {suitable_backbone(shape)}."
        )
    classifier = torchvision.new_network(options.network, shape)
    if options.weights:
        weights.load(classifier, Path(options.weights), name=f"torchvision:{options.network}", unused=torchvision.AUXILIARY)
    encoder = _text_encoder(options.text)
    names_KD = _embedded_names(options.network, options.text, content_hashes.sha256(Path(options.text)))
    combination = ConvexCombination(names_KD.clone(), options.top)
    network = nn.Sequential(ThreeChannels(), classifier, combination)
    return ConSE(network, encoder, names_KD.shape[1], grouped_layers(classifier))


class ConSE(WholeNetwork):
    """Images (B, 3, height, width) -> features (B, D) among the embeddings of texts.

    Args:
        network: the classifier, and the combination of its classes' names.
        encoder: the text encoder, which is no part of what learns.
        width: D.
        stages: groups of the layers of the classifier.
    """

    def __init__(self, network: nn.Module, encoder: Backbone, width: int, stages: list[nn.Module]) -> None:
        super().__init__(network, width, stages)
        self.encoder = (encoder,)  # a tuple: its parameters are none of this module

    def embed_classes(self, texts: Sequence[str]) -> Tensor:
        """C class names -> embeddings (C, D) by the text encoder, on the CPU."""
        return self.encoder[0].embed_classes(texts)


class ConvexCombination(nn.Module):
    """Logits (B, K) -> the mean (B, D) of the embeddings of the `top` most probable classes, weighted by their probabilities.

    Args:
        names_KD: the embeddings (K, D) of the names of the K classes.
        top: the number of classes; at least all K are taken where it is larger.
    """

    names_KD: Tensor

    def __init__(self, names_KD: Tensor, top: int) -> None:
        super().__init__()
        self.register_buffer("names_KD", names_KD)
        self.top = min(top, len(names_KD))

    def forward(self, logits_BK: Tensor) -> Tensor:
        """The weights of the combination sum to 1."""
        probabilities_BT, classes_BT = logits_BK.float().softmax(dim=1).topk(self.top, dim=1)
        weights_BT = probabilities_BT / probabilities_BT.sum(dim=1, keepdim=True)
        return torch.einsum("bt,btd->bd", weights_BT, self.names_KD[classes_BT])


def categories(network: str) -> list[str]:
    """The K class names of a classifier of torchvision, in the order of its logits.

    Raises:
        TlbenchError: torchvision states none.
    """
    from torchvision import models

    for published in models.get_model_weights(network):
        if names := published.meta.get("categories"):
            return list(names)
    raise TlbenchError(f"net.network: torchvision states no class names of {network!r}. Choose another classifier.")


def _text_encoder(path: str) -> Backbone:
    """The encoder of texts of a folder of transformers, or of a file of word vectors; it does not learn."""
    if Path(path).is_dir():
        encoder = hf.build((TOKENS,), hf.Options(network=path))
    else:
        encoder = word_vectors.build((TOKENS,), word_vectors.Options(network=path))
    return encoder.eval().requires_grad_(False)


@functools.lru_cache(maxsize=4)
def _embedded_names(network: str, text: str, sha256: str) -> Tensor:
    """The embeddings (K, D) of the class names of a classifier, of norm 1; they are made once for each content of the encoder.

    Args:
        network: the classifier.
        text: the path of the encoder.
        sha256: of its content.
    """
    names, encoder = categories(network), _text_encoder(text)
    with torch.no_grad():
        chunks = [encoder.embed_classes(names[start : start + NAMES]) for start in range(0, len(names), NAMES)]
    return F.normalize(torch.cat(chunks))
