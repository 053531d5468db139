"""An image network of timm by its name, as `timm:tf_efficientnet_lite0`, without its classifier. Needs the extra `timm`.

Wightman, PyTorch image models, 2019. https://doi.org/10.5281/zenodo.4414861. Weights are those of a file, under timm's names,
or published ones by their tag in timm, such as in1k, or DEFAULT. Published ones state the mean and the standard deviation of
their inputs, which `normalization = "weights"` takes.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from torch import nn

from tlbench.errors import TlbenchError, unknown_name
from tlbench.nn import weights
from tlbench.nn.net import Backbone
from tlbench.nn.shapes import suitable_backbone
from tlbench.nn.weights_facts import PublishedWeights
from tlbench.nn.whole_network import ThreeChannels, WholeNetwork, grouped_layers
from tlbench.terms import WeightsSource


class Options(BaseModel):
    """Options of the backbone `timm`."""

    model_config = ConfigDict(extra="forbid")

    network: str = Field(description="a name of timm.list_models()")
    weights: str = Field(
        "", description="empty for random weights, file:PATH (below the data root), or DEFAULT or a tag for timm's weights"
    )


def published_file(options: Options) -> Path | None:
    """The file of timm's weights that the options name, such as DEFAULT or in1k; None where they name none.

    Raises:
        TlbenchError: it is not on this machine, and can't or may not be downloaded.
    """
    published = _published(options)
    if published is None:
        return None
    name = f"{options.weights} of {options.network}"
    if not published.hf_hub_id:
        return weights.downloaded(name, published.url)
    from huggingface_hub import hf_hub_url  # timm depends on it

    url = hf_hub_url(published.hf_hub_id, "model.safetensors")
    return weights.downloaded(name, url, f"{options.network}.{published.tag}{weights.SAFETENSORS_SUFFIX}")


def published_weights(options: Options) -> PublishedWeights | None:
    """What timm states of the weights that the options name; the tag tells the data that they were trained on."""
    published = _published(options)
    if published is None:
        return None
    papers = ", ".join([published.paper_ids] if isinstance(published.paper_ids, str) else published.paper_ids or [])
    source = WeightsSource(
        name=f"{options.network}.{published.tag} of timm",
        trained_on=published.tag,
        citation="; ".join(filter(None, (published.paper_name, papers))),
        licence=published.license or "",
        url=published.origin_url or published.url or "",
    )
    return PublishedWeights(source, published.mean, published.std)


def _published(options: Options) -> Any:
    """timm's configuration of the published weights that the options name; None where they name none."""
    try:
        from timm.models import get_pretrained_cfg
    except ImportError:
        return None  # `build` says so
    tag = "" if options.weights == "DEFAULT" else f".{options.weights}"
    if not options.weights or not re.fullmatch(r"[\w-]+", options.weights):
        return None
    try:
        published = get_pretrained_cfg(f"{options.network}{tag}")
    except (RuntimeError, KeyError):  # no such network or tag
        return None
    return published if published is not None and (published.url or published.hf_hub_id) else None


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
