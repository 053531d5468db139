"""The labels of the tokens of a passage whose answer is a span: where it starts, and where it ends."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tlbench.data.labels.classes import Array
from tlbench.errors import TlbenchError
from tlbench.passages import Passages

OUTSIDE, START, END, SINGLE = SPAN_CLASSES = ("outside", "start", "end", "start and end")
"""The classes of a token: neither of the two, one of them, or both, where the answer is one token."""


def spans_only(passages: Passages | None, task: str) -> Passages | None:
    """The texts that a reader returned where the task compares answers as texts; None for other tasks.

    Raises:
        TlbenchError: the task is spans, and the reader returned none.
    """
    if task != "spans":
        return None
    if passages is None:
        raise TlbenchError("task = 'spans' needs questions on texts with answers in them. The reader squad reads them.")
    return passages


def span_labels(in_context_NP: Array, spans: Sequence[tuple[int, int] | None]) -> Array:
    """The class names (N, P) of the tokens of N samples, "" where a token is none of the context.

    Args:
        in_context_NP: whether a token is one of the context.
        spans: the first and the last token of each answer; None: it lies beyond the tokens, and all of them are outside.
    """
    labels = np.where(in_context_NP, OUTSIDE, "").astype(f"<U{len(SINGLE)}")
    for number, span in enumerate(spans):
        if span is not None:
            first, last = span
            labels[number, last], labels[number, first] = END, SINGLE if first == last else START
    return labels
