"""Texts -> the features of a trained sentence encoder that lies in a folder. Needs the extra `text` (transformers)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tlbench.data.decoding import files
from tlbench.data.decoding.arrays import Array
from tlbench.errors import TlbenchError

BATCH = 64
TOKENS = 512
"""A longer text is cut, if the encoder does not cut it sooner."""


def encode(texts: Sequence[str], folder: Path) -> Array:
    """Texts as rows (N, D) float32 of length 1: the mean of the last layer over the tokens of each text.

    The folder is one that `save_pretrained` of transformers wrote, weights as safetensors. Nothing is fetched, nothing
    unpickled, and no code of the folder is run.

    Reimers and Gurevych, Sentence-BERT, EMNLP 2019. https://arxiv.org/abs/1908.10084

    Raises:
        TlbenchError: transformers is not installed, or the folder holds no encoder.
    """
    try:
        import torch
        from transformers import AutoModel, AutoTokenizer
        from transformers.utils import logging
    except ImportError as error:
        raise TlbenchError("sentence encoders need transformers; pip install 'tlbench[text]'") from error
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    local: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    with files.guarded_reading(folder, "sentence encoder (a folder written by save_pretrained, weights as safetensors)"):
        tokenizer = AutoTokenizer.from_pretrained(str(folder), **local)
        model = AutoModel.from_pretrained(str(folder), use_safetensors=True, dtype=torch.float32, **local).eval()
    longest = min(TOKENS, tokenizer.model_max_length, getattr(model.config, "max_position_embeddings", TOKENS))
    by_length = sorted(range(len(texts)), key=lambda i: len(texts[i]))  # little padding
    out: Array | None = None
    with torch.inference_mode():
        for start in range(0, len(texts), BATCH):
            rows = by_length[start : start + BATCH]
            batch = tokenizer([texts[i] for i in rows], padding=True, truncation=True, max_length=longest, return_tensors="pt")
            mask_BT1 = batch["attention_mask"][:, :, None]
            mean_BD = (model(**batch).last_hidden_state * mask_BT1).sum(dim=1) / mask_BT1.sum(dim=1).clamp_min(1)
            x_BD = torch.nn.functional.normalize(mean_BD.float(), dim=1).numpy()
            if out is None:
                out = np.empty((len(texts), x_BD.shape[1]), dtype=np.float32)
            out[rows] = x_BD
    assert out is not None  # readers give one text at least
    return out
