"""LoRA: the weights of the backbone are frozen, and each gets an update of low rank that learns.

Hu et al., LoRA: low-rank adaptation of large language models, ICLR 2022. https://arxiv.org/abs/2106.09685
"""

from __future__ import annotations

from pydantic import Field

from tlbench.errors import NotApplicableError
from tlbench.methods.inserted import InsertedLayers
from tlbench.nn.inserted_layers import WEIGHT_LAYERS, LowRankLayer, adaptable_layers, wrap_layers


class LoRA(InsertedLayers):
    """W + (alpha / rank) up down for linear layers and convolutions without groups, and the head.

    The authors adapt the attention's query and value projections, as `targets = ["query", "value"]` does for BERT; by default
    every layer is adapted. Other weights, biases and batch statistics stay.
    """

    rank: int = Field(8, ge=1, description="of the update of each layer")
    alpha: float = Field(8.0, gt=0, description="the scale of an update is alpha / rank")
    dropout: float = Field(0.0, ge=0, lt=1, description="of the inputs of the updates")
    targets: list[str] = Field([], description="the names of the layers in the backbone, such as query; none: all of them")

    def build(self) -> None:
        """Wrap the layers of the backbone.

        Raises:
            NotApplicableError: no layer has a name that `targets` lists.
        """
        layers = adaptable_layers(self.net.backbone, WEIGHT_LAYERS)
        if self.targets:
            name_of = {layer: name.rpartition(".")[2] for name, layer in self.net.backbone.named_modules()}
            names = sorted({name_of[layer] for layer in layers})
            if unknown := [target for target in self.targets if target not in names]:
                raise NotApplicableError(
                    f"targets names {unknown[0]!r}, and no layer of the backbone that lora can adapt is called so. "
                    f"Their names are {', '.join(names)}."
                )
            layers = [layer for layer in layers if name_of[layer] in self.targets]
        wrapped = wrap_layers(self.net.backbone, layers, lambda layer: LowRankLayer(layer, self.rank, self.alpha, self.dropout))
        self.inserted = tuple(layer.adapter for layer in wrapped)
