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
        backbone, last = self.net.backbone, {}
        for name in adaptable_layers(backbone, WEIGHT_LAYERS):
            last[name.split(".")[1]] = name  # stages.<number>.<path within the stage>
        layers = wrap_layers(backbone, last.values(), lambda layer: BottleneckLayer(layer, self.width))
        self.inserted = tuple(layer.adapter for layer in layers)
        self.unfrozen = tuple(module for module in backbone.modules() if isinstance(module, nn.LayerNorm))
