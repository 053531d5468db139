"""The two files of a case's candidates: what rules may read, and the predictions of scored samples with what is correct."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tlbench.engine.candidates.collector import Block, mixed_partners
from tlbench.engine.candidates.samples import CandidateSamples, labels_of

Arrays = dict[str, np.ndarray[Any, Any]]
NO_CLASS = np.uint16(2**16 - 1)
"""Stands for a class that was not predicted."""
MAX_LABELS = 10
"""The most labelled samples of a class that a rule of k labels may read."""


def label_free_arrays(blocks: Sequence[Block], samples: CandidateSamples) -> Arrays:
    """What rules may read of T candidates, by name.

    `step` and `adapted` (T,); `source_outputs` and `target_outputs` (T, n, C + 1), see `collector.stored_outputs`, with
    `source_labels` (n,); `mixed_classes` (T, n) with `mixed_partners` (n,); `rule_<name>` (T,).
    """
    arrays: Arrays = {
        "step": np.array([int(block["step"]) for block in blocks], dtype=np.int32),
        "adapted": np.array([bool(block["adapted"]) for block in blocks], dtype=np.uint8),
    }
    for name in ("source_outputs", "target_outputs"):
        shape = next((block[name].shape for block in blocks if name in block), None)
        if shape is not None:
            missing = torch.full(shape, float("nan"), dtype=torch.half)
            arrays[name] = np.stack([block.get(name, missing).numpy() for block in blocks])
    if "source_outputs" in arrays and samples.source is not None and samples.source.y is not None:
        arrays["source_labels"] = labels_of(samples.source).cpu().numpy().astype(np.uint16)
    mixed = [block.get("mixed_classes") for block in blocks]
    count = next((len(classes) for classes in mixed if classes is not None), 0)
    if count:
        blank = np.full(count, NO_CLASS)
        arrays["mixed_classes"] = np.stack([blank if one is None else one.numpy().astype(np.uint16) for one in mixed])
        arrays["mixed_partners"] = mixed_partners(count).astype(np.uint16)
    for name in sorted({name for block in blocks for name in block if name.startswith("rule_")}):
        numbers = [float(block.get(name, torch.tensor(float("nan")))) for block in blocks]
        arrays[name] = np.array(numbers, dtype=np.float32)
    return arrays


def sealed_arrays(blocks: Sequence[Block], samples: CandidateSamples, y: Tensor, seed: int) -> Arrays:
    """The predictions of n scored samples by T candidates, by name.

    `positions` (n,) are those among all scored samples; `predicted` (T, n) are class indices, and `correct` (T, n / 8) says
    in bits which are right. `labeled` (L,) are samples among the n in rounds of one sample a class, up to `MAX_LABELS`, drawn
    at random, and `labeled_losses` (T, L) their cross-entropies: a rule of k labels reads these, and is scored on the others.

    Args:
        blocks: of the candidates.
        samples: those that they were looked at on.
        y: the class indices (N,) of all scored samples, or (M,) of their positions with a label.
        seed: of the labelled samples.
    """
    labels = y[samples.scored_positions].numpy()
    predicted = np.stack([block["scored_classes"].numpy() for block in blocks])
    labeled = labeled_rounds(labels, seed)
    columns = blocks[0]["scored_outputs"].shape[1] - 1  # a method need not score "unknown"
    losses = [-block["scored_outputs"][labeled, np.minimum(labels[labeled], columns - 1)] for block in blocks]
    return {
        "positions": samples.scored_positions.numpy().astype(np.uint32),
        "predicted": predicted.astype(np.uint8 if int(predicted.max()) < 256 else np.uint16),
        "correct": np.packbits(predicted == labels, axis=1),
        "labeled": labeled.astype(np.uint16),
        "labeled_losses": np.stack([one.numpy() for one in losses]),
    }


def labeled_rounds(labels: np.ndarray[Any, Any], seed: int) -> np.ndarray[Any, np.dtype[np.intp]]:
    """Samples to be labelled, in rounds of one sample of each class that has one left: (L,) indices of `labels`."""
    order = np.random.default_rng(seed).permutation(len(labels))
    by_class = [order[labels[order] == label][:MAX_LABELS] for label in np.unique(labels)]
    return np.array([own[n] for n in range(MAX_LABELS) for own in by_class if n < len(own)], dtype=np.intp)


def pack(arrays: Arrays) -> tuple[str, bytes]:
    """The sha256 and the content of a file of arrays."""
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)  # type: ignore[arg-type]  # names are no keywords of numpy's
    content = file.getvalue()
    return hashlib.sha256(content).hexdigest(), content
