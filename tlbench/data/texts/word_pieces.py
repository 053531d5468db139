"""Sentences of words -> token ids, and the token of each word that carries its tag: the first of its pieces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tlbench.data import tokenization
from tlbench.data.decoding import files
from tlbench.data.decoding.arrays import Array
from tlbench.data.tokenization import FIRST_WORD_ID, PADDING_ID, UNKNOWN_ID
from tlbench.errors import TlbenchError

NO_WORD = -1
"""The word of a token that carries no tag: padding, special tokens, later pieces of a word."""


@dataclass(frozen=True)
class AlignedTokens:
    """Token ids (N, length) int32, the word (N, length) that each token is the first piece of, and what was lost."""

    ids: Array
    word: Array
    """The index of the word within its sentence, or `NO_WORD`."""
    notes: tuple[str, ...]


def encode_words(sentences: Sequence[Sequence[str]], vocabulary: Path, length: int) -> AlignedTokens:
    """Sentences as token ids (N, length); shorter ones are padded at their end, longer ones are cut there.

    Args:
        sentences: the words of N sentences.
        vocabulary: the folder of a tokenizer, written by `save_pretrained` of transformers, or an npz file of word vectors with
            the array `words`, of which each word is one token.
        length: tokens of a sample, with those that the tokenizer adds.

    Raises:
        TlbenchError: the vocabulary can't be read, the tokenizer does not align pieces with words, or transformers is not
            installed.
    """
    if vocabulary.is_dir():
        ids, word, notes = _by_tokenizer(sentences, vocabulary, length)
    else:
        ids, word, notes = _by_words(sentences, vocabulary, length)
    words = sum(map(len, sentences))
    tagged = int((word >= 0).sum())
    if tagged < words:
        notes = (
            f"{words - tagged:,} of {words:,} words lie beyond {length} tokens or have no piece; they are left out",
            *notes,
        )
    return AlignedTokens(ids, word, notes)


def _by_tokenizer(sentences: Sequence[Sequence[str]], folder: Path, length: int) -> tuple[Array, Array, tuple[str, ...]]:
    tokenizer = tokenization.load_tokenizer(folder)
    if not getattr(tokenizer, "is_fast", False):
        raise TlbenchError(f"The tokenizer {folder.name} does not say which word a piece is of. It needs a tokenizer.json.")
    with files.guarded_reading(folder, tokenization.TOKENIZER):
        batch: Any = tokenizer(
            [list(words) for words in sentences],
            is_split_into_words=True,
            padding="max_length",
            truncation=True,
            max_length=length,
        )
    word = np.full((len(sentences), length), NO_WORD, dtype=np.int32)
    for number in range(len(sentences)):
        before = None
        for position, index in enumerate(batch.word_ids(number)):
            if index is not None and index != before:
                word[number, position] = index
            before = index
    return np.array(batch["input_ids"], dtype=np.int32), word, ()


def _by_words(sentences: Sequence[Sequence[str]], path: Path, length: int) -> tuple[Array, Array, tuple[str, ...]]:
    id_of = {word: index + FIRST_WORD_ID for index, word in enumerate(tokenization.words_with_vectors(path))}
    ids = np.full((len(sentences), length), PADDING_ID, dtype=np.int32)
    word = np.full((len(sentences), length), NO_WORD, dtype=np.int32)
    unknown = 0
    for number, words in enumerate(sentences):
        of_sentence = [id_of.get(text.lower(), UNKNOWN_ID) for text in words]
        unknown += of_sentence.count(UNKNOWN_ID)
        count = min(len(words), length)
        ids[number, :count], word[number, :count] = of_sentence[:length], np.arange(count)
    share = unknown / max(1, sum(map(len, sentences)))
    return ids, word, ((f"{share:.1%} of the words have no vector and share one id",) if unknown else ())
