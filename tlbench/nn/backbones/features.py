"""Features of a frozen backbone (net.frozen) as inputs: unchanged, or through a bottleneck, one layer that learns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from tlbench.errors import TlbenchError
from tlbench.nn.net import Backbone


class Options(BaseModel):
    """Options of the backbone `features`."""

    model_config = ConfigDict(extra="forbid")

    width: int = Field(0, ge=0, description="D, the width of the bottleneck, a linear layer with ReLU; 0: no bottleneck")
    class_embeddings: dict[str, list[float]] = Field(
        default_factory=dict,
        description="class name in readable words -> its embedding (D), where the features have a text side",
    )


def build(shape: tuple[int, ...], options: Options) -> Backbone:
    """Build the backbone: features (B, D) -> the same features, or (B, width); of positions (B, P, D) -> (B, P, width).

    Raises:
        TlbenchError: `shape` is neither (D,) nor (P, D).
    """
    if len(shape) == 2 and not options.class_embeddings:
        width = options.width or shape[1]
        layers = nn.Sequential(nn.Linear(shape[1], width), nn.ReLU()) if options.width else nn.Identity()
        backbone = Backbone([layers], width)
        backbone.positions = shape[0]
        return backbone
    if len(shape) != 1:
        raise TlbenchError(f"The backbone features takes vectors, not samples of shape {shape}. Choose auto.")
    if options.class_embeddings:
        if options.width or any(len(embedding) != shape[0] for embedding in options.class_embeddings.values()):
            raise TlbenchError(
                f"net.class_embeddings: Class embeddings lie in the space of the features: {shape[0]} numbers each, and no "
                "bottleneck."
            )
        return _WithClassEmbeddings(options.class_embeddings, shape[0])
    if not options.width:
        return Backbone([nn.Identity()], shape[0])
    return Backbone([nn.Sequential(nn.Linear(shape[0], options.width), nn.ReLU())], options.width)


class _WithClassEmbeddings(Backbone):
    """Features (B, D) unchanged, and a declared embedding (D) of each class name."""

    def __init__(self, class_embeddings: Mapping[str, Sequence[float]], width: int) -> None:
        super().__init__([nn.Identity()], width)
        self.class_embeddings = class_embeddings

    def embed_classes(self, texts: Sequence[str]) -> Tensor:
        """C class names -> their declared embeddings (C, D).

        Raises:
            TlbenchError: a text has none.
        """
        for text in texts:
            if text not in self.class_embeddings:
                raise TlbenchError(
                    f"net.class_embeddings has no embedding of {text!r:.60}. Add it, or set `class_texts` of the domains and "
                    "the templates of the method so that its texts are there."
                )
        return torch.tensor([list(self.class_embeddings[text]) for text in texts], dtype=torch.float32)
