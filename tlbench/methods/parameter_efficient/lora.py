"""LoRA: the weights of the backbone are frozen, and each gets an update of low rank that learns.

Hu et al., LoRA: low-rank adaptation of large language models, ICLR 2022. https://arxiv.org/abs/2106.09685
"""

from __future__ import annotations

from pydantic import Field

from tlbench.methods.inserted import InsertedLayers
from tlbench.nn.inserted_layers import WEIGHT_LAYERS, LowRankLayer, adaptable_layers, wrap_layers


class LoRA(InsertedLayers):
    """W + (alpha / rank) up down for every linear layer and every convolution without groups, and the head.

    The authors adapt the attention's query and value projections; other weights, biases and batch statistics stay.
    """

    rank: int = Field(8, ge=1, description="of the update of each layer")
    alpha: float = Field(8.0, gt=0, description="the scale of an update is alpha / rank")
    dropout: float = Field(0.0, ge=0, lt=1, description="of the inputs of the updates")

    def build(self) -> None:
        """Wrap the layers of the backbone."""
        layers = adaptable_layers(self.net.backbone, WEIGHT_LAYERS)
        wrapped = wrap_layers(self.net.backbone, layers, lambda layer: LowRankLayer(layer, self.rank, self.alpha, self.dropout))
        self.inserted = tuple(layer.adapter for layer in wrapped)
