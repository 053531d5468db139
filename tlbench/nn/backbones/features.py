"""Features of a frozen backbone (net.frozen) as inputs: unchanged, or through a bottleneck, one layer that learns."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field
from torch import nn

from tlbench.errors import TlbenchError
from tlbench.nn.net import Backbone


class Options(BaseModel):
    """Options of the backbone `features`."""

    model_config = ConfigDict(extra="forbid")

    width: int = Field(0, ge=0, description="D, the width of the bottleneck, a linear layer with ReLU; 0: no bottleneck")


def build(shape: tuple[int, ...], options: Options) -> Backbone:
    """Build the backbone: features (B, D) -> the same features, or (B, width).

    Raises:
        TlbenchError: `shape` is not (D,).
    """
    if len(shape) != 1:
        raise TlbenchError(f"The backbone features takes vectors, not samples of shape {shape}. Choose auto.")
    if not options.width:
        return Backbone([nn.Identity()], shape[0])
    return Backbone([nn.Sequential(nn.Linear(shape[0], options.width), nn.ReLU())], options.width)
