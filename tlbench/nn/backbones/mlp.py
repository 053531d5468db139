"""A multilayer perceptron: fully connected layers with ReLU, for vectors; other samples are flattened."""

from __future__ import annotations

import itertools
import math

from pydantic import BaseModel, ConfigDict, Field
from torch import nn

from tlbench.nn.net import Backbone


class Options(BaseModel):
    """Options of the backbone `mlp`."""

    model_config = ConfigDict(extra="forbid")

    hidden: list[int] = Field([256, 128], min_length=1, description="width of each hidden layer; the last is D")
    dropout: float = Field(0.0, ge=0, lt=1, description="after each hidden layer")
    batch_norm: bool = Field(False, description="batch normalisation after each linear layer")


def build(shape: tuple[int, ...], options: Options) -> Backbone:
    """Build the backbone: samples (B, ...) -> features (B, D), D = hidden[-1]."""
    widths = [math.prod(shape), *options.hidden]
    stages: list[nn.Module] = []
    for before, after in itertools.pairwise(widths):
        layers: list[nn.Module] = [nn.Flatten()] if not stages else []
        layers.append(nn.Linear(before, after))
        layers += [nn.BatchNorm1d(after)] * options.batch_norm
        layers.append(nn.ReLU())
        layers += [nn.Dropout(options.dropout)] * (options.dropout > 0)
        stages.append(nn.Sequential(*layers))
    return Backbone(stages, widths[-1])
