"""Word vectors of a file, averaged over the words of a text, as `word_vectors:word_vectors/glove_6B_50d_top50k_fp16.npz`.

Pennington et al., GloVe: global vectors for word representation, EMNLP 2014. https://aclanthology.org/D14-1162. Samples are the
word ids that the text reader makes by the same file (`features = "tokens"`, `vocabulary = FILE`). Words without a vector are
left out of the mean. The vectors are trained like any weights, unless a method freezes the first stage or the
suite the backbone.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Self

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn

from tlbench.data import tokenization
from tlbench.data.decoding import files
from tlbench.data.tokenization import FIRST_WORD_ID, PADDING_ID, UNKNOWN_ID, WORD_VECTORS
from tlbench.errors import TlbenchError
from tlbench.nn.net import Backbone
from tlbench.nn.positions.context import TokenConvolutions, TokenLSTM

READS_TOKENS = True
"""Samples are token ids, and not measurements."""
PATH_KEYS = ("network",)


class Options(BaseModel):
    """Options of the backbone `word_vectors`."""

    model_config = ConfigDict(extra="forbid")

    network: str = Field(description="the npz file with the arrays words (V,) and vectors (V, D), below the data root")
    pretrained: bool = Field(True, description="false: the same words with random vectors")
    hidden: tuple[int, ...] = Field((), description="widths of layers with ReLU after the mean; none: features are the mean")
    pooling: Literal["mean", "none"] = Field("mean", description="mean over the words; none: features of each word")
    context: Literal["none", "conv", "lstm"] = Field(
        "none", description="with pooling none: what sees neighbouring words: convolutions of the widths in hidden, or an LSTM"
    )
    kernel: int = Field(5, ge=1, le=31, description="words that a convolution sees, an odd number")

    @model_validator(mode="after")
    def _context_of_words(self) -> Self:
        if self.context != "none" and (self.pooling != "none" or not self.hidden):
            raise ValueError("context is for pooling = 'none', and takes its widths from hidden. Set both.")
        if self.context == "lstm" and len(self.hidden) != 1:
            raise ValueError("context = 'lstm' has one width, that of a direction. Give one number in hidden.")
        if self.kernel % 2 == 0:
            raise ValueError("kernel is an odd number, so that a word lies in the middle.")
        return self


def build(shape: tuple[int, ...], options: Options) -> Backbone:
    """Build the backbone: word ids (B, length) -> features (B, D), or (B, width of the last hidden layer).

    With pooling = "none" features are those of each word, (B, length, D).

    Raises:
        TlbenchError: the file holds no word vectors, or samples are no word ids.
    """
    if len(shape) != 1:
        raise TlbenchError(
            f"The backbone word_vectors takes word ids (length,), not samples of shape {shape}. Set features = 'tokens'."
        )
    path = Path(options.network)
    with files.guarded_reading(path, WORD_VECTORS), path.open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
        vectors_VD = torch.from_numpy(arrays["vectors"].astype(np.float32))
    if vectors_VD.ndim != 2:
        raise TlbenchError(
            f"net.network: The vectors of {options.network!r} have the shape {tuple(vectors_VD.shape)}, not (V, D)."
        )
    if not options.pretrained:
        vectors_VD = torch.randn(vectors_VD.shape) / vectors_VD.shape[1] ** 0.5
    widths = [vectors_VD.shape[1], *options.hidden]
    stages: list[nn.Module] = [_Mean(vectors_VD) if options.pooling == "mean" else _EachWord(vectors_VD)]
    width = widths[-1]
    if options.context == "conv":
        stages.append(TokenConvolutions(widths, options.kernel))
    elif options.context == "lstm":
        stages.append(TokenLSTM(*widths))
        width = 2 * widths[-1]
    else:
        stages += [nn.Sequential(nn.Linear(before, after), nn.ReLU()) for before, after in itertools.pairwise(widths)]
    backbone = WordVectors(stages, width, path, shape[0])
    backbone.positions = shape[0] if options.pooling == "none" else None
    return backbone


class WordVectors(Backbone):
    """Word ids (B, length) -> features (B, D); class names are read by the same words as samples.

    Args:
        stages: the mean of the vectors, and layers after it.
        width: D.
        vocabulary: the file of word vectors.
        length: words of a sample.
    """

    def __init__(self, stages: list[nn.Module], width: int, vocabulary: Path, length: int) -> None:
        super().__init__(stages, width)
        self.vocabulary, self.length = vocabulary, length

    def embed_classes(self, texts: Sequence[str]) -> Tensor:
        """C class names -> embeddings (C, D), which are the features of their words; zero where no word has a vector."""
        ids_CL = torch.from_numpy(tokenization.encode(texts, self.vocabulary, self.length).ids)
        embeddings_CD: Tensor = self(ids_CL.to(next(self.parameters()).device))
        return embeddings_CD


class _Mean(nn.Module):
    """Word ids (B, length) -> the mean (B, D) of the vectors of those words that have one; zero where none has."""

    def __init__(self, vectors_VD: Tensor) -> None:
        super().__init__()
        self.vectors = nn.Embedding.from_pretrained(vectors_VD, freeze=False)

    def forward(self, ids_BL: Tensor) -> Tensor:
        """Ids below `FIRST_WORD_ID` are padding and unknown words."""
        ids_BL = ids_BL.long()
        vectors_BLD, mask_BL1 = _masked_vectors(self.vectors, ids_BL)
        return vectors_BLD.sum(dim=1) / mask_BL1.sum(dim=1).clamp_min(1)


class _EachWord(nn.Module):
    """Word ids (B, length) -> the vector of each word (B, length, D); zero for padding, and one vector for unknown words.

    The vector of unknown words starts as the mean of all vectors.
    """

    def __init__(self, vectors_VD: Tensor) -> None:
        super().__init__()
        self.vectors = nn.Embedding.from_pretrained(vectors_VD, freeze=False)
        self.unknown = nn.Parameter(vectors_VD.mean(dim=0))

    def forward(self, ids_BL: Tensor) -> Tensor:
        """Vectors in the order of the words."""
        ids_BL = ids_BL.long()
        vectors_BLD, _ = _masked_vectors(self.vectors, ids_BL)
        return vectors_BLD + (ids_BL == UNKNOWN_ID)[:, :, None] * self.unknown


def _masked_vectors(vectors: nn.Embedding, ids_BL: Tensor) -> tuple[Tensor, Tensor]:
    """The vectors (B, L, D) of words, zero for padding and unknown ones, and the mask (B, L, 1) of the words that have one."""
    mask_BL1 = ((ids_BL != PADDING_ID) & (ids_BL != UNKNOWN_ID))[:, :, None].to(vectors.weight.dtype)
    return vectors((ids_BL - FIRST_WORD_ID).clamp_min(0)) * mask_BL1, mask_BL1
