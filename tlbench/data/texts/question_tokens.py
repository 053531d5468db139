"""Questions and their contexts -> one sequence of tokens each, and the tokens of the answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tlbench.data import tokenization
from tlbench.data.decoding import files
from tlbench.data.decoding.arrays import Array
from tlbench.data.texts.questions import Question
from tlbench.errors import TlbenchError

CONTEXT = 1
"""The number of the context in a sequence of question and context."""


@dataclass(frozen=True)
class QuestionTokens:
    """Token ids (N, length) int32 of question and context, and where each token of the context comes from."""

    ids: Array
    in_context: Array
    """(N, length) whether a token is one of the context."""
    characters: Array
    """(N, length, 2) int32, the first character of a token of the context and the one after its last; 0 and 0 elsewhere."""
    spans: list[tuple[int, int] | None]
    """The first and the last token of each answer; None where it lies beyond `length` tokens."""


def encode_questions(questions: Sequence[Question], folder: Path, length: int) -> QuestionTokens:
    """Questions and contexts as the tokenizer of a network joins two texts; the longer of the two is cut at its end.

    Args:
        questions: N questions.
        folder: of the tokenizer, written by `save_pretrained` of transformers.
        length: tokens of a sample, with those that the tokenizer adds.

    Raises:
        TlbenchError: the tokenizer can't be read, or does not say which characters a token stands for.
    """
    tokenizer = tokenization.load_tokenizer(folder)
    if not getattr(tokenizer, "is_fast", False):
        raise TlbenchError(
            f"The tokenizer {folder.name} does not say which characters a token is of. Use one with a tokenizer.json."
        )
    with files.guarded_reading(folder, tokenization.TOKENIZER):
        batch: Any = tokenizer(
            [one.question for one in questions],
            [one.context for one in questions],
            padding="max_length",
            truncation="longest_first",
            max_length=length,
            return_offsets_mapping=True,
        )
    in_context = np.array([[text == CONTEXT for text in batch.sequence_ids(n)] for n in range(len(questions))])
    characters = np.array(batch["offset_mapping"], dtype=np.int32) * in_context[:, :, None]
    return QuestionTokens(
        np.array(batch["input_ids"], dtype=np.int32),
        in_context,
        characters,
        [_span(one, *sample) for one, *sample in zip(questions, in_context, characters, strict=True)],
    )


def _span(question: Question, in_context_P: Array, characters_P2: Array) -> tuple[int, int] | None:
    """The first and the last token that overlap the answer; None where its end is cut off, or no token stands for it."""
    first_P, end_P = characters_P2.T
    tokens = np.flatnonzero(in_context_P & (first_P < question.end) & (end_P > question.start))
    if not len(tokens) or end_P.max() < question.end:
        return None
    return int(tokens[0]), int(tokens[-1])
