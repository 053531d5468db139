"""A classification network of torchvision by its name, as `torchvision:resnet18`, without its last linear layer.

Weights come from a local file (a state dict, read with weights_only=True) or, with `weights = "DEFAULT"`, from torchvision's
server; nothing else is downloaded.
"""

from __future__ import annotations

import pickle
from pathlib import Path

import torch
from pydantic import BaseModel, ConfigDict, Field, field_validator
from torch import nn

from tlbench.errors import TlbenchError, unknown_name
from tlbench.nn.net import Backbone
from tlbench.nn.shapes import suitable_backbone


class Options(BaseModel):
    """Options of the backbone `torchvision`."""

    model_config = ConfigDict(extra="forbid")

    network: str = Field(description="a name of torchvision.models.list_models()")
    weights: str = Field(
        "", description="empty for random weights, the path of a state dict, or DEFAULT for torchvision's weights"
    )

    @field_validator("network")
    @classmethod
    def _exists(cls, name: str) -> str:
        from torchvision import models

        available = models.list_models(module=models)
        if name not in available:
            raise ValueError(unknown_name("network of torchvision", name, available))
        return name


def build(shape: tuple[int, ...], options: Options) -> Backbone:
    """Build the backbone: images (B, 3, height, width), or grey ones repeated to three channels -> features (B, D).

    The stages of a ResNet are the stem with the pooling, its four blocks, and the last pooling; other networks are one stage.

    Raises:
        TlbenchError: `shape` is no image, the network does not end in a linear layer, or the weights do not fit it.
    """
    from torchvision import models

    if len(shape) != 3 or shape[0] not in (1, 3):
        raise TlbenchError(
            f"The backbone torchvision takes grey or colour images, not samples of shape {shape}. "
            f"Choose {suitable_backbone(shape)}."
        )
    is_file = options.weights not in {"", "DEFAULT"}
    network = models.get_model(options.network, weights=options.weights if options.weights == "DEFAULT" else None)
    if is_file:
        try:
            network.load_state_dict(torch.load(Path(options.weights), map_location="cpu", weights_only=True))
        except (OSError, RuntimeError, pickle.UnpicklingError, EOFError) as error:
            raise TlbenchError(f"net.weights: {options.weights} is not a state dict of {options.network}: {error}") from error
    width = _remove_last_layer(network, options.network)
    children = list(network.children()) if options.network.startswith(("resnet", "resnext", "wide_resnet")) else [network]
    stages: list[nn.Module] = [nn.Sequential(_ThreeChannels(), *children[:4]), *children[4:8]] if len(children) > 8 else []
    stages = [*stages, nn.Sequential(*children[8:-1], nn.Flatten())] if stages else [nn.Sequential(_ThreeChannels(), network)]
    return Backbone(stages, width)


class _ThreeChannels(nn.Module):
    """Images (B, 1 or 3, height, width) -> (B, 3, height, width)."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.expand(-1, 3, -1, -1) if x.shape[1] == 1 else x


def _remove_last_layer(network: nn.Module, name: str) -> int:
    """Replace the last linear layer of the classifier by the identity and return its input width, D."""
    linear = [(path, module) for path, module in network.named_modules() if isinstance(module, nn.Linear)]
    if not linear or not linear[-1][0].startswith(("fc", "classifier", "heads", "head")):
        raise TlbenchError(f"torchvision:{name} does not end in a linear layer. Choose another network.")
    path, last = linear[-1]
    parent, _, leaf = path.rpartition(".")
    setattr(network.get_submodule(parent) if parent else network, leaf, nn.Identity())
    return last.in_features
