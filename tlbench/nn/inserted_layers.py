"""Layers that wrap a layer of a backbone and adapt its outputs with a small number of parameters of their own.

Each of them is the wrapped layer until its own parameters have learned: a low-rank update, a bottleneck adapter, a scale and
shift. `wrap_layers` puts them into a backbone. `widen` lets a first layer read more inputs, those of a `context_network`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

WEIGHT_LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d)
NORM_LAYERS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.LayerNorm)
Layer = nn.Linear | nn.Conv1d | nn.Conv2d


class WrappedLayer(nn.Module):
    """A layer of a backbone and the small module that adapts it.

    Args:
        layer: the layer of the backbone.
        adapter: the module whose parameters are those of the adaptation.
    """

    def __init__(self, layer: nn.Module, adapter: nn.Module) -> None:
        super().__init__()
        self.layer = layer
        self.adapter = adapter

    def __getattr__(self, name: str) -> Any:
        """Other attributes, such as `in_features`, are those of the layer."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name == "layer":
                raise
            return getattr(self.layer, name)

    def merged(self) -> tuple[Tensor, Tensor | None]:
        """The weight and the bias of a single layer that equals the layer with its adaptation."""
        raise NotImplementedError

    @property
    def weight(self) -> Tensor:
        """The merged weight, for networks that use the weight of a layer without calling it, as attention does."""
        return self.merged()[0]

    @property
    def bias(self) -> Tensor | None:
        """The merged bias."""
        return self.merged()[1]


class LowRankFactors(nn.Module):
    """Two factors whose product has the shape of a layer's weight: `down` (r, in, ...) at random, `up` (out, r, ...) at 0.

    Of a convolution, `down` is one with r channels and the layer's kernel, and `up` one with a kernel of 1.
    """

    def __init__(self, layer: Layer, rank: int, dropout: float) -> None:
        super().__init__()
        outputs, inputs, *kernel = layer.weight.shape
        self.dropout = nn.Dropout(dropout)
        self.down = nn.Parameter(torch.empty(rank, inputs, *kernel))
        self.up = nn.Parameter(torch.zeros(outputs, rank, *(1 for _ in kernel)))
        nn.init.kaiming_uniform_(self.down, a=math.sqrt(5))


class LowRankLayer(WrappedLayer):
    """y = layer(x) + (alpha / r) up(down(x)), for linear layers and for convolutions without groups.

    Args:
        layer: the layer, which may be merged with its update.
        rank: r, the rank of the update.
        alpha: the scale of the update is alpha / r.
        dropout: of the inputs of the update.
    """

    layer: Layer
    adapter: LowRankFactors

    def __init__(self, layer: Layer, rank: int, alpha: float, dropout: float = 0.0) -> None:
        super().__init__(layer, LowRankFactors(layer, rank, dropout))
        self.scale = alpha / rank

    def forward(self, x: Tensor) -> Tensor:
        """Inputs (B, ..., in) or (B, in, ...) -> outputs of the layer with its update."""
        down, up, inputs = self.adapter.down, self.adapter.up, self.adapter.dropout(x)
        if isinstance(self.layer, nn.Linear):
            update = F.linear(F.linear(inputs, down), up)
        else:
            update = self._pointwise(self.layer._conv_forward(inputs, down, None), up)
        outputs: Tensor = self.layer(x)
        return outputs + self.scale * update

    def merged(self) -> tuple[Tensor, Tensor | None]:
        """weight + (alpha / r) up down, and the bias of the layer."""
        down, up = self.adapter.down, self.adapter.up
        update = (up.flatten(1) @ down.flatten(1)).view_as(self.layer.weight)
        return self.layer.weight + self.scale * update, self.layer.bias

    @staticmethod
    def _pointwise(x: Tensor, weight: Tensor) -> Tensor:
        return F.conv1d(x, weight) if weight.ndim == 3 else F.conv2d(x, weight)


class Bottleneck(nn.Module):
    """x -> up(GELU(down(x))) over the channels: C -> width -> C, with `up` and both biases at 0.

    Args:
        layer: the layer whose outputs are adapted; it tells C and where the channels are.
        width: the width of the bottleneck.
    """

    def __init__(self, layer: Layer, width: int) -> None:
        super().__init__()
        channels, _, *kernel = layer.weight.shape
        kinds: dict[int, Callable[[int, int], nn.Module]] = {
            0: nn.Linear,
            1: lambda inputs, outputs: nn.Conv1d(inputs, outputs, 1),
            2: lambda inputs, outputs: nn.Conv2d(inputs, outputs, 1),
        }
        self.down, self.up = kinds[len(kernel)](channels, width), kinds[len(kernel)](width, channels)
        for parameter in (self.down.bias, self.up.weight, self.up.bias):
            nn.init.zeros_(parameter)  # type: ignore[arg-type]
        nn.init.trunc_normal_(self.down.weight, std=1e-2, a=-2e-2, b=2e-2)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """Outputs of a layer -> what is added to them, of the same shape."""
        update: Tensor = self.up(F.gelu(self.down(x)))
        return update


class BottleneckLayer(WrappedLayer):
    """y = z + up(GELU(down(z))) with z = layer(x)."""

    def __init__(self, layer: Layer, width: int) -> None:
        super().__init__(layer, Bottleneck(layer, width))

    def forward(self, x: Tensor) -> Tensor:
        """Inputs of the layer -> its adapted outputs."""
        outputs: Tensor = self.layer(x)
        update: Tensor = self.adapter(outputs)
        return outputs + update


class ScaleShift(nn.Module):
    """A scale (C,) of 1 and a shift (C,) of 0."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(channels))
        self.shift = nn.Parameter(torch.zeros(channels))


class ScaleShiftLayer(WrappedLayer):
    """y = scale * layer(x) + shift, with one pair for each output channel."""

    adapter: ScaleShift

    def __init__(self, layer: nn.Module) -> None:
        assert isinstance(layer, (*WEIGHT_LAYERS, *NORM_LAYERS))
        super().__init__(layer, ScaleShift(layer.weight.shape[-1 if isinstance(layer, nn.LayerNorm) else 0]))

    def forward(self, x: Tensor) -> Tensor:
        """Inputs of the layer -> its outputs, scaled and shifted."""
        outputs: Tensor = self.layer(x)
        channels_last = isinstance(self.layer, nn.Linear | nn.LayerNorm)
        trailing = 0 if channels_last else outputs.ndim - 2
        scale, shift = (p.view(-1, *(1,) * trailing) for p in (self.adapter.scale, self.adapter.shift))
        return outputs * scale + shift

    def merged(self) -> tuple[Tensor, Tensor | None]:
        """The scaled weight and bias, with the shift in the bias."""
        assert isinstance(self.layer, (*WEIGHT_LAYERS, *NORM_LAYERS))
        scale, weight = self.adapter.scale, self.layer.weight
        shift = self.adapter.shift if self.layer.bias is None else scale * self.layer.bias + self.adapter.shift
        return weight * scale.view(-1, *(1,) * (weight.ndim - 1)), shift


def adaptable_layers(module: nn.Module, kinds: Iterable[type[nn.Module]]) -> list[nn.Module]:
    """The layers of exactly these kinds in the order of the network; convolutions with groups are left out."""
    return [
        layer
        for layer in module.modules()
        if type(layer) in tuple(kinds) and getattr(layer, "groups", 1) == 1 and getattr(layer, "weight", None) is not None
    ]


def wrap_layers(network: nn.Module, layers: Iterable[nn.Module], wrapper: Callable[..., WrappedLayer]) -> list[WrappedLayer]:
    """Replace layers of a network by their wrapped form, wherever they stand in it, and return the wrapped layers.

    Args:
        network: the network; it is changed in place.
        layers: layers of it.
        wrapper: a layer -> the wrapped layer.
    """
    wrapped = {layer: wrapper(layer) for layer in layers}
    for parent in [*network.modules()]:
        for name, child in parent._modules.items():
            if child in wrapped:
                setattr(parent, name, wrapped[child])
    return [*wrapped.values()]


def context_network(first: nn.Conv2d | nn.Linear, outputs: int, hidden: int) -> nn.Sequential:
    """Two hidden layers with batch normalisation, from the inputs of a first layer to `outputs` channels (B, outputs, H, W).

    Those of a linear layer are vectors (B, outputs).
    """

    def layer(before: int, after: int) -> nn.Module:
        return nn.Conv2d(before, after, 5, padding=2) if isinstance(first, nn.Conv2d) else nn.Linear(before, after)

    def norm() -> nn.Module:
        return nn.BatchNorm2d(hidden) if isinstance(first, nn.Conv2d) else nn.BatchNorm1d(hidden)

    return nn.Sequential(
        *(layer(first.in_channels if isinstance(first, nn.Conv2d) else first.in_features, hidden), norm(), nn.ReLU()),
        *(layer(hidden, hidden), norm(), nn.ReLU()),
        layer(hidden, outputs),
    )


def widen(layer: nn.Conv2d | nn.Linear, count: int) -> None:
    """Append input channels or features to a layer; their weights are drawn as those of a new layer of the whole width."""
    if isinstance(layer, nn.Conv2d):
        layer.in_channels += count
    else:
        layer.in_features += count
    kernel = layer.weight.shape[2:]
    added = layer.weight.new_empty(len(layer.weight), count, *kernel)
    bound = (layer.weight[0].numel() + added[0].numel()) ** -0.5  # as torch draws weights of convolutions and linear layers
    nn.init.uniform_(added, -bound, bound)
    layer.weight = nn.Parameter(torch.cat([layer.weight.detach(), added], dim=1))
