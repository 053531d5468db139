"""An image network of timm by its name, as `timm:tf_efficientnet_lite0`, without its classifier. Needs the extra `timm`.

Wightman, PyTorch image models, 2019. https://doi.org/10.5281/zenodo.4414861. Weights are those of a file, under timm's names;
`data_config` of the network says which mean and standard deviation they expect.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from torch import nn

from tlbench.errors import TlbenchError, unknown_name
from tlbench.nn import weights
from tlbench.nn.net import Backbone
from tlbench.nn.shapes import suitable_backbone
from tlbench.nn.whole_network import ThreeChannels, WholeNetwork, grouped_layers


class Options(BaseModel):
    """Options of the backbone `timm`."""

    model_config = ConfigDict(extra="forbid")

    network: str = Field(description="a name of timm.list_models()")
    weights: str = Field("", description="empty for random weights, or file:PATH (below the data root)")


def build(shape: tuple[int, ...], options: Options) -> Backbone:
    """Build the backbone: images (B, 3, height, width), or grey ones repeated to three channels -> features (B, D).

    Raises:
        TlbenchError: timm is not installed, there is no such network, `shape` is no image or one of a size that the network
            does not take, or the weights do not fit.
    """
    try:
        import timm
    except ImportError as error:
        raise TlbenchError("The backbone timm needs the package timm. Run pip install 'tlbench[timm]'.") from error
    if len(shape) != 3 or shape[0] not in (1, 3):
        raise TlbenchError(
            f"The backbone timm takes grey or colour images, not samples of shape {shape}. Choose {suitable_backbone(shape)}."
        )
    if options.network not in timm.list_models():
        raise TlbenchError(unknown_name("network of timm", options.network, timm.list_models(), "net.network"))
    network: Any = timm.create_model(options.network, pretrained=False)
    configuration = network.default_cfg
    size = tuple(configuration["input_size"][1:])
    if configuration["fixed_input_size"] and shape[1:] != size:
        raise TlbenchError(
            f"timm:{options.network} takes images of {size[0]} x {size[1]} pixels, not of {shape[1]} x {shape[2]}. Set size = "
            f"{size[0]} in the domains, or choose another network."
        )
    if options.weights:
        last = configuration["classifier"]
        weights.load(network, Path(options.weights), name=f"timm:{options.network}", last=last if isinstance(last, str) else "")
    network.reset_classifier(0)
    return WholeNetwork(nn.Sequential(ThreeChannels(), network), network.head_hidden_size, grouped_layers(network))
