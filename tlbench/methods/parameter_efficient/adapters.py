"""Adapters: small bottlenecks with a skip connection, which learn between the frozen layers of the backbone.

Houlsby et al., Parameter-efficient transfer learning for NLP, ICML 2019. https://arxiv.org/abs/1902.00751
"""

from __future__ import annotations

from pydantic import Field
from torch import nn

from tlbench.methods.inserted import InsertedLayers
from tlbench.nn.inserted_layers import WEIGHT_LAYERS, BottleneckLayer, adaptable_layers, wrap_layers


class Adapters(InsertedLayers):
    """z + up(GELU(down(z))) after the last linear or convolutional layer of each stage, layer normalisation, and the head.

    The authors put a second one after the attention of each block. `up` starts at 0, so that the start is the source's network.
    """

    width: int = Field(64, ge=1, description="of the bottleneck")

    def build(self) -> None:
        """Wrap the last layer of each stage."""
        by_stage = [adaptable_layers(stage, WEIGHT_LAYERS) for stage in self.net.backbone.stages]
        last_layers = [layers[-1] for layers in by_stage if layers]
        wrapped = wrap_layers(self.net.backbone, last_layers, lambda layer: BottleneckLayer(layer, self.width))
        self.inserted = tuple(layer.adapter for layer in wrapped)
        self.unfrozen = tuple(module for module in self.net.backbone.modules() if isinstance(module, nn.LayerNorm))
