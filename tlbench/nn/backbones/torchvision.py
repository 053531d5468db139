"""Any classification network of torchvision by its name (`torchvision:resnet18`), its last linear layer taken off.

Weights come from a local file (a state dict, read with weights_only=True) or, with `weights = "DEFAULT"`, from torchvision's
own address; nothing else is downloaded.
"""

from __future__ import annotations

import pickle
from pathlib import Path

import torch
from pydantic import BaseModel, ConfigDict, Field, field_validator
from torch import nn

from tlbench.errors import TlbenchError, unknown_name
from tlbench.nn.net import Backbone


class Options(BaseModel):
    """Options of the backbone `torchvision`."""

    model_config = ConfigDict(extra="forbid")

    network: str = Field(description="a name of torchvision.models.list_models()")
    weights: str = Field("", description="empty: random; a file's path; or DEFAULT for torchvision's own")

    @field_validator("network")
    @classmethod
    def _exists(cls, name: str) -> str:
        from torchvision import models

        known = models.list_models(module=models)
        if name not in known:
            raise ValueError(unknown_name("network of torchvision", name, known))
        return name


def build(shape: tuple[int, ...], options: Options) -> Backbone:
    """Images (B, 3, height, width), or grey ones repeated to three channels -> features (B, D)."""
    from torchvision import models

    if len(shape) != 3 or shape[0] not in (1, 3):
        raise TlbenchError(f"backbone torchvision takes grey or colour images, not rows of shape {shape}; choose mlp")
    is_file = options.weights not in {"", "DEFAULT"}
    network = models.get_model(options.network, weights=options.weights if options.weights == "DEFAULT" else None)
    if is_file:
        try:
            network.load_state_dict(torch.load(Path(options.weights), map_location="cpu", weights_only=True))
        except (OSError, RuntimeError, pickle.UnpicklingError, EOFError) as error:
            raise TlbenchError(f"weights {options.weights}: not a state dict of {options.network}: {error}") from error
    width = _take_off_the_last_layer(network, options.network)
    children = list(network.children()) if options.network.startswith(("resnet", "resnext", "wide_resnet")) else [network]
    stages: list[nn.Module] = [nn.Sequential(_ThreeChannels(), *children[:4]), *children[4:8]] if len(children) > 8 else []
    stages = [*stages, nn.Sequential(*children[8:-1], nn.Flatten())] if stages else [nn.Sequential(_ThreeChannels(), network)]
    return Backbone(stages, width)


class _ThreeChannels(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.expand(-1, 3, -1, -1) if x.shape[1] == 1 else x


def _take_off_the_last_layer(network: nn.Module, name: str) -> int:
    """Put the identity in place of the classifier's last linear layer; its input width is D."""
    linear = [(path, module) for path, module in network.named_modules() if isinstance(module, nn.Linear)]
    if not linear or not linear[-1][0].startswith(("fc", "classifier", "heads", "head")):
        raise TlbenchError(f"torchvision:{name} does not end in a linear layer; choose another network")
    path, last = linear[-1]
    parent, _, leaf = path.rpartition(".")
    setattr(network.get_submodule(parent) if parent else network, leaf, nn.Identity())
    return last.in_features
