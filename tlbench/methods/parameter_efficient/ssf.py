"""SSF: the features after each layer of the frozen backbone are scaled and shifted, by channel.

Lian, Zhou, Feng and Wang, Scaling and shifting your features, NeurIPS 2022. https://arxiv.org/abs/2210.08823
"""

from __future__ import annotations

from tlbench.methods.inserted import InsertedLayers
from tlbench.nn.inserted_layers import NORM_LAYERS, WEIGHT_LAYERS, ScaleShiftLayer, adaptable_layers, wrap_layers


class SSF(InsertedLayers):
    """scale * z + shift after every linear, convolutional and normalisation layer of the backbone, and the head.

    All start at scale 1 and shift 0; the authors add noise of deviation 0.02 to both.
    """

    def build(self) -> None:
        """Wrap the layers of the backbone."""
        layers = adaptable_layers(self.net.backbone, (*WEIGHT_LAYERS, *NORM_LAYERS))
        wrapped = wrap_layers(self.net.backbone, layers, ScaleShiftLayer)
        self.inserted = tuple(layer.adapter for layer in wrapped)
