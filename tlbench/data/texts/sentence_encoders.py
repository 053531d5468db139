"""Texts -> features of a pre-trained sentence encoder in a local folder. Needs the extra `text` (transformers)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tlbench.data.decoding import files
from tlbench.data.decoding.arrays import Array
from tlbench.errors import TlbenchError

BATCH_SIZE = 64
MAX_TOKENS = 512
"""Longer texts are truncated, unless the encoder's own limit is lower."""


def encode(texts: Sequence[str], folder: Path) -> Array:
    """Texts as features (N, D) float32 of Euclidean norm 1: the last hidden layer, averaged over the tokens of each text.

    `folder` was written by `save_pretrained` of transformers, with safetensors weights. Nothing is downloaded or unpickled,
    and no code of the folder is run.

    Reimers and Gurevych, Sentence-BERT, EMNLP 2019. https://arxiv.org/abs/1908.10084

    Raises:
        TlbenchError: transformers is not installed, or the folder holds no encoder.
    """
    try:
        import torch
        from transformers import AutoModel, AutoTokenizer
        from transformers.utils import logging
    except ImportError as error:
        raise TlbenchError("Sentence encoders need transformers. Run pip install 'tlbench[text]'.") from error
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    local: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    with files.guarded_reading(folder, "sentence encoder (a folder written by save_pretrained, weights as safetensors)"):
        tokenizer = AutoTokenizer.from_pretrained(str(folder), **local)
        model = AutoModel.from_pretrained(str(folder), use_safetensors=True, dtype=torch.float32, **local).eval()
    max_length = min(MAX_TOKENS, tokenizer.model_max_length, getattr(model.config, "max_position_embeddings", MAX_TOKENS))
    by_length = sorted(range(len(texts)), key=lambda i: len(texts[i]))  # batches of similar lengths need little padding
    out: Array | None = None
    with torch.inference_mode():
        for start in range(0, len(texts), BATCH_SIZE):
            indices = by_length[start : start + BATCH_SIZE]
            batch = tokenizer(
                [texts[i] for i in indices], padding=True, truncation=True, max_length=max_length, return_tensors="pt"
            )
            mask_BT1 = batch["attention_mask"][:, :, None]
            mean_BD = (model(**batch).last_hidden_state * mask_BT1).sum(dim=1) / mask_BT1.sum(dim=1).clamp_min(1)
            x_BD = torch.nn.functional.normalize(mean_BD.float(), dim=1).numpy()
            if out is None:
                out = np.empty((len(texts), x_BD.shape[1]), dtype=np.float32)
            out[indices] = x_BD
    assert out is not None  # every reader gives at least one text
    return out
