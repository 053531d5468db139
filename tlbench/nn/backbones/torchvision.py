"""A classification network of torchvision by its name, as `torchvision:resnet18`, without its last layer.

Weights are those of a file (`tlbench.nn.weights`), or published ones by their name in torchvision, such as DEFAULT. Published
ones state the mean and the standard deviation of their inputs, which `normalization = "weights"` takes; those of ImageNet in
files expect `mean = [0.485, 0.456, 0.406]` and `std = [0.229, 0.224, 0.225]`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator
from torch import nn

from tlbench.errors import TlbenchError, unknown_name
from tlbench.nn import weights
from tlbench.nn.net import Backbone
from tlbench.nn.shapes import suitable_backbone
from tlbench.nn.weights_facts import PublishedWeights
from tlbench.nn.whole_network import ThreeChannels, WholeNetwork, grouped_layers
from tlbench.terms import WeightsSource

CLASSIFIERS = ("fc", "classifier", "heads", "head")
"""The names that torchvision's networks give to the part that ends in the last layer."""
AUXILIARY = ("AuxLogits.", "aux1.", "aux2.")
"""Classifiers of inception_v3 and googlenet that are for training on ImageNet alone; the backbone lacks them."""


class Options(BaseModel):
    """Options of the backbone `torchvision`."""

    model_config = ConfigDict(extra="forbid")

    network: str = Field(description="a name of torchvision.models.list_models()")
    weights: str = Field(
        "", description="empty for random weights, file:PATH (below the data root), or DEFAULT for torchvision's weights"
    )

    @field_validator("network")
    @classmethod
    def _exists(cls, name: str) -> str:
        from torchvision import models

        available = models.list_models(module=models)
        if name not in available:
            raise ValueError(unknown_name("network of torchvision", name, available))
        return name


def published_file(options: Options) -> Path | None:
    """The file of torchvision's weights that the options name, such as DEFAULT or IMAGENET1K_V1; None where they name none.

    Raises:
        TlbenchError: it is not on this machine, and can't or may not be downloaded.
    """
    from torchvision import models

    published = models.get_model_weights(options.network).__members__
    if options.weights not in published:
        return None
    return weights.downloaded(f"{options.weights} of {options.network}", published[options.weights].value.url)


def published_weights(options: Options) -> PublishedWeights | None:
    """What torchvision states of the weights that the options name; it states no licence of most weights."""
    from torchvision import models

    published = models.get_model_weights(options.network).__members__
    if options.weights not in published:
        return None
    named = published[options.weights]
    facts = named.value.meta
    source = WeightsSource(
        name=f"{named} of torchvision",
        trained_on=", ".join(facts.get("_metrics", {})),
        licence=facts.get("license", ""),
        url=facts.get("recipe", named.value.url),
    )
    inputs = named.value.transforms()
    return PublishedWeights(source, getattr(inputs, "mean", None), getattr(inputs, "std", None))


def build(shape: tuple[int, ...], options: Options) -> Backbone:
    """Build the backbone: images (B, 3, height, width), or grey ones repeated to three channels -> features (B, D).

    The stages of a ResNet are the stem with the pooling, its four groups of blocks, and the last pooling; the layers of other
    networks are grouped into five stages.

    Raises:
        TlbenchError: `shape` is no image or one of a size that the network does not take, or the weights do not fit it.
    """
    if len(shape) != 3 or shape[0] not in (1, 3):
        raise TlbenchError(
            f"The backbone torchvision takes grey or colour images, not samples of shape {shape}. "
            f"Choose {suitable_backbone(shape)}."
        )
    network = new_network(options.network, shape)
    path = _last_layer(network, options.network)
    if options.weights:
        name = f"torchvision:{options.network}"
        weights.load(network, Path(options.weights), name=name, last=path, unused=AUXILIARY)
    width = _remove(network, path)
    if not options.network.startswith(("resnet", "resnext", "wide_resnet")):
        return WholeNetwork(nn.Sequential(ThreeChannels(), network), width, grouped_layers(network))
    children = list(network.children())
    stem, blocks, last = children[:4], children[4:8], children[8:-1]
    return Backbone([nn.Sequential(ThreeChannels(), *stem), *blocks, nn.Sequential(*last, nn.Flatten())], width)


def new_network(name: str, shape: tuple[int, ...]) -> nn.Module:
    """The network with new weights, without auxiliary classifiers.

    Args:
        name: a classifier of torchvision.
        shape: of an image.

    Raises:
        TlbenchError: the network takes images of another size.
    """
    from torchvision import models

    keywords: dict[str, Any] = {}
    if name in ("googlenet", "inception_v3"):
        keywords = {"aux_logits": False, "transform_input": False, "init_weights": True}
    network = models.get_model(name, weights=None, **keywords)
    size = 224 if name == "maxvit_t" else getattr(network, "image_size", None)
    if size is not None and shape[1:] != (size, size):
        raise TlbenchError(
            f"torchvision:{name} takes images of {size} x {size} pixels, not of {shape[1]} x {shape[2]}. Set size = {size} in "
            "the domains, or choose another network."
        )
    return network


def _last_layer(network: nn.Module, name: str) -> str:
    """The path of the last layer of the classifier: a linear one, or the last convolution of a network without one."""
    for kind in (nn.Linear, nn.Conv2d):
        paths = [path for path, module in network.named_modules() if isinstance(module, kind)]
        if paths and paths[-1].startswith(CLASSIFIERS):
            return paths[-1]
    raise TlbenchError(f"torchvision:{name} does not end in a layer of class scores. Choose another network.")


def _remove(network: nn.Module, path: str) -> int:
    """Replace the layer of a path by the identity and return its input width, D."""
    layer = network.get_submodule(path)
    parent, _, leaf = path.rpartition(".")
    setattr(network.get_submodule(parent), leaf, nn.Identity())
    assert isinstance(layer, nn.Linear | nn.Conv2d)
    return layer.in_features if isinstance(layer, nn.Linear) else layer.in_channels
