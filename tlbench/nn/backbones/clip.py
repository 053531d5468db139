"""CLIP: an image tower and a text tower with one space of features, as `clip:FOLDER`. Needs the extra `text`.

Radford et al., Learning transferable visual models from natural language supervision, ICML 2021.
https://arxiv.org/abs/2103.00020. The folder is one that `save_pretrained` of a CLIPModel and of its tokenizer wrote, with
weights as safetensors; no code in it is run. No published weights were at hand: it was tried on small random networks.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from tlbench.data import tokenization
from tlbench.errors import TlbenchError
from tlbench.nn.net import Backbone
from tlbench.nn.whole_network import ThreeChannels, WholeNetwork, grouped_layers

PATH_KEYS = ("network",)


class Options(BaseModel):
    """Options of the backbone `clip`."""

    model_config = ConfigDict(extra="forbid")

    network: str = Field(description="the folder of the network and its tokenizer, below the data root")
    pretrained: bool = Field(True, description="false: the network of the folder's configuration, with new weights")


def build(shape: tuple[int, ...], options: Options) -> Backbone:
    """Build the backbone: images (B, 3, S, S), or grey ones repeated to three channels -> projected features (B, D).

    The stages are groups of layers of the image tower; the text tower does not learn.

    Raises:
        TlbenchError: transformers is not installed, the folder holds no CLIP network, or images are of another size.
    """
    try:
        from transformers import CLIPConfig, CLIPModel
        from transformers.utils import logging
    except ImportError as error:
        raise TlbenchError("The backbone clip needs transformers. Run pip install 'tlbench[text]'.") from error
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    folder = options.network
    local: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    try:
        configuration: Any = CLIPConfig.from_pretrained(folder, **local)
        if configuration.model_type != "clip":
            raise ValueError(f"its model type is {configuration.model_type!r}")
        model: Any = CLIPModel(configuration)
        if options.pretrained:
            model = CLIPModel.from_pretrained(folder, use_safetensors=True, dtype=torch.float32, **local)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        sentence = " ".join(str(error).split())[:300]
        raise TlbenchError(f"net.network: The folder {folder!r} holds no CLIP network that loads: {sentence}") from error
    size = configuration.vision_config.image_size
    if len(shape) != 3 or shape[0] not in (1, 3) or shape[1:] != (size, size):
        raise TlbenchError(
            f"clip:{Path(folder).name} takes images of {size} x {size} pixels, not samples of shape {shape}. Set size = {size} "
            "in the domains, or choose another network."
        )
    image_tower = _ImageTower(model.vision_model, model.visual_projection)
    text_tower = _TextTower(model.text_model, model.text_projection).eval().requires_grad_(False)
    return CLIP(image_tower, text_tower, configuration.projection_dim, Path(folder))


class CLIP(WholeNetwork):
    """Images (B, 3, S, S) -> features (B, D) in the space of texts.

    Args:
        image_tower: images -> features.
        text_tower: token ids (B, length) -> features (B, D); it is no part of what learns.
        width: D.
        folder: of the tokenizer.
    """

    def __init__(self, image_tower: _ImageTower, text_tower: _TextTower, width: int, folder: Path) -> None:
        super().__init__(image_tower, width, [*grouped_layers(image_tower)])
        self.text_tower, self.folder = (text_tower,), folder  # a tuple: its parameters are none of this module

    def embed_classes(self, texts: Sequence[str]) -> Tensor:
        """C class names -> projected features (C, D) of the text tower; longer names are cut."""
        (tower,) = self.text_tower
        device = next(self.parameters()).device
        ids_CL = torch.from_numpy(tokenization.encode(texts, self.folder, tower.length).ids)
        embeddings_CD: Tensor = tower.to(device)(ids_CL.to(device).long())
        return embeddings_CD


class _ImageTower(nn.Module):
    def __init__(self, model: nn.Module, projection: nn.Module) -> None:
        super().__init__()
        self.channels, self.model, self.projection = ThreeChannels(), model, projection

    def forward(self, x: Tensor) -> Tensor:
        features_BD: Tensor = self.projection(self.model(pixel_values=self.channels(x)).pooler_output)
        return features_BD


class _TextTower(nn.Module):
    def __init__(self, model: Any, projection: nn.Module) -> None:
        super().__init__()
        self.model, self.projection = model, projection
        self.length: int = model.config.max_position_embeddings

    def forward(self, ids_BL: Tensor) -> Tensor:
        """Attention is causal and the text ends in a token of its own, so that padding after it needs no mask."""
        features_BD: Tensor = self.projection(self.model(input_ids=ids_BL).pooler_output)
        return features_BD
