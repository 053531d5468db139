"""The features of a frozen backbone (net.frozen): as they are, or through one layer that learns, a bottleneck."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field
from torch import nn

from tlbench.errors import TlbenchError
from tlbench.nn.net import Backbone


class Options(BaseModel):
    """Options of the backbone `features`."""

    model_config = ConfigDict(extra="forbid")

    width: int = Field(0, ge=0, description="of the bottleneck, a linear layer with ReLU; 0: none")


def build(shape: tuple[int, ...], options: Options) -> Backbone:
    """Features (B, D) -> the same, or (B, width)."""
    if len(shape) != 1:
        raise TlbenchError(f"backbone features takes vectors, not rows of shape {shape}; choose auto")
    if not options.width:
        return Backbone([nn.Identity()], shape[0])
    return Backbone([nn.Sequential(nn.Linear(shape[0], options.width), nn.ReLU())], options.width)
