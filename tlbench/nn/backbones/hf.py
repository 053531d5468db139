"""A text encoder or decoder of transformers by its folder, as `hf:weights/paraphrase-MiniLM-L3-v2`. Needs the extra `text`.

Wolf et al., Transformers: state-of-the-art natural language processing, EMNLP 2020 (demonstrations).
https://aclanthology.org/2020.emnlp-demos.6. The folder is one that `save_pretrained` wrote, with weights as safetensors; no
code in it is run. Samples are token ids (`features = "tokens"` of the text reader); the mask follows from them, since
padding has an id of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from tlbench.data import tokenization
from tlbench.errors import TlbenchError
from tlbench.nn.net import Backbone
from tlbench.nn.whole_network import WholeNetwork, grouped_layers

READS_TOKENS = True
"""Samples are token ids, and not measurements."""
PATH_KEYS = ("network",)


class Options(BaseModel):
    """Options of the backbone `hf`."""

    model_config = ConfigDict(extra="forbid")

    network: str = Field(description="the folder of the network, below the data root")
    pooling: Literal["mean", "first", "last", "none"] = Field(
        "mean",
        description="mean over the tokens, the first token (BERT, RoBERTa) or the last one (GPT-2); none: each token",
    )
    pretrained: bool = Field(True, description="false: the network of the folder's configuration, with new weights")
    dropout: float | None = Field(None, ge=0, lt=1, description="of hidden layers and attention; unset: as the folder says")


def build(shape: tuple[int, ...], options: Options) -> Backbone:
    """Build the backbone: token ids (B, length) -> features (B, D), or (B, length, D) with pooling = "none".

    The stages are the embeddings and groups of layers.

    Raises:
        TlbenchError: transformers is not installed, the folder holds no network, or texts are longer than it takes.
    """
    try:
        from transformers import AutoConfig, AutoModel
        from transformers.utils import logging
    except ImportError as error:
        raise TlbenchError("The backbone hf needs transformers. Run pip install 'tlbench[text]'.") from error
    if len(shape) != 1:
        raise TlbenchError(f"The backbone hf takes token ids (length,), not samples of shape {shape}. Set features = 'tokens'.")
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    folder = Path(options.network)
    local: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    try:
        configuration = AutoConfig.from_pretrained(str(folder), **local)
        if options.dropout is not None:
            for key in ("hidden_dropout_prob", "attention_probs_dropout_prob", "resid_pdrop", "embd_pdrop", "attn_pdrop"):
                if hasattr(configuration, key):
                    setattr(configuration, key, options.dropout)
        if options.pretrained:
            model = AutoModel.from_pretrained(
                str(folder), config=configuration, use_safetensors=True, dtype=torch.float32, **local
            )
        else:
            model = AutoModel.from_config(configuration, dtype=torch.float32)  # type: ignore[no-untyped-call]
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        sentence = " ".join(str(error).split())[:300]
        raise TlbenchError(
            f"net.network: The folder {options.network!r} holds no text network that loads: {sentence}"
        ) from error
    limit = getattr(configuration, "max_position_embeddings", None)
    if limit is not None and shape[0] > limit:
        raise TlbenchError(
            f"The network {folder.name} takes {limit} tokens, and the texts have {shape[0]}. Set length = {limit}."
        )
    if getattr(model, "pooler", None) is not None:
        model.pooler = None  # a layer that pre-training used for sentence pairs; features are pooled below
    padding = configuration.eos_token_id if configuration.pad_token_id is None else configuration.pad_token_id
    if not isinstance(padding, int):
        raise TlbenchError(f"The network {folder.name} names no token of padding. Set pad_token_id in its config.json.")
    network = _Pooled(model, padding, options.pooling)
    backbone = TextNetwork(network, configuration.hidden_size, grouped_layers(model), folder, shape[0])
    backbone.positions = shape[0] if options.pooling == "none" else None
    return backbone


class TextNetwork(WholeNetwork):
    """A network of texts, whose class names go through the same tokenizer and the same layers as its samples.

    Args:
        network: token ids (B, length) -> features (B, D).
        width: D.
        stages: groups of its modules.
        vocabulary: the folder of its tokenizer, or its file of word vectors.
        length: tokens of a sample.
    """

    def __init__(self, network: nn.Module, width: int, stages: list[nn.Module], vocabulary: Path, length: int) -> None:
        super().__init__(network, width, stages)
        self.vocabulary, self.length = vocabulary, length

    def embed_classes(self, texts: Sequence[str]) -> Tensor:
        """C class names -> embeddings (C, D), which are the features of their words; longer names are cut as samples are."""
        ids_CL = torch.from_numpy(tokenization.encode(texts, self.vocabulary, self.length).ids)
        embeddings_CD: Tensor = self(ids_CL.to(next(self.parameters()).device))
        return embeddings_CD


class _Pooled(nn.Module):
    """Token ids (B, length) -> features (B, D): the last hidden layer, pooled over the tokens that are no padding.

    With pooling "none" it is the last hidden layer itself, (B, length, D).
    """

    def __init__(self, model: nn.Module, padding: int, pooling: str) -> None:
        super().__init__()
        self.model, self.padding, self.pooling = model, padding, pooling

    def forward(self, ids_BL: Tensor) -> Tensor:
        ids_BL = ids_BL.long()
        mask_BL = ids_BL != self.padding
        hidden_BLD: Tensor = self.model(input_ids=ids_BL, attention_mask=mask_BL.long()).last_hidden_state
        if self.pooling == "none":
            return hidden_BLD
        if self.pooling == "first":
            return hidden_BLD[:, 0]
        if self.pooling == "last":
            last_B = (mask_BL.sum(dim=1) - 1).clamp_min(0)
            return hidden_BLD[torch.arange(len(ids_BL), device=ids_BL.device), last_B]
        weights_BL1 = mask_BL[:, :, None].to(hidden_BLD.dtype)
        return (hidden_BLD * weights_BL1).sum(dim=1) / weights_BL1.sum(dim=1).clamp_min(1)
