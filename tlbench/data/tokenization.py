"""Texts -> token ids of a declared length, by the tokenizer of a folder or the words of a file of word vectors."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tlbench.data.decoding import files
from tlbench.data.decoding.arrays import Array
from tlbench.errors import TlbenchError

WORD_VECTORS = "npz of word vectors (arrays words and vectors)"
TOKENIZER = "tokenizer (a folder written by save_pretrained)"
WORD = re.compile(r"\w+|[^\w\s]")
"""A word of a file of word vectors: letters and digits, or one sign. Texts are put in lower case, as the words of GloVe are."""
PADDING_ID, UNKNOWN_ID, FIRST_WORD_ID = 0, 1, 2
"""Of word vectors: the ids of padding and of words without a vector; the first word of the file follows."""


@dataclass(frozen=True)
class TokenIds:
    """Token ids (N, length) int32, and what was lost on the way."""

    ids: Array
    notes: tuple[str, ...]


def encode(texts: Sequence[str], vocabulary: Path, length: int) -> TokenIds:
    """Texts as token ids (N, length) int32; shorter texts are padded at their end, longer ones are cut there.

    Args:
        texts: N texts.
        vocabulary: the folder of a tokenizer, written by `save_pretrained` of transformers, or an npz file of word vectors with
            the array `words`.
        length: tokens of a sample, with those that the tokenizer adds.

    Raises:
        TlbenchError: the vocabulary can't be read, or transformers is not installed.
    """
    if vocabulary.is_dir():
        ids, counts = _by_tokenizer(texts, vocabulary, length)
        notes: tuple[str, ...] = ()
    else:
        ids, counts, unknown = _by_words(texts, vocabulary, length)
        share = unknown / max(1, sum(counts))
        notes = (f"{share:.1%} of the words have no vector and share one id",) if unknown else ()
    cut = sum(count > length for count in counts)
    if cut:
        notes = (f"{cut:,} of {len(texts):,} texts have more than {length} tokens and are cut there", *notes)
    return TokenIds(ids, notes)


def _by_tokenizer(texts: Sequence[str], folder: Path, length: int) -> tuple[Array, list[int]]:
    """Ids (N, length), and the number of tokens of each text before it is cut."""
    tokenizer = load_tokenizer(folder)
    with files.guarded_reading(folder, TOKENIZER):
        counts = [len(ids) for ids in tokenizer(list(texts), truncation=False)["input_ids"]]
        batch = tokenizer(list(texts), padding="max_length", truncation=True, max_length=length)
    return np.array(batch["input_ids"], dtype=np.int32), counts


def _by_words(texts: Sequence[str], path: Path, length: int) -> tuple[Array, list[int], int]:
    """Ids (N, length), the number of words of each text before it is cut, and how many words have no vector."""
    id_of = {word: index + FIRST_WORD_ID for index, word in enumerate(words_with_vectors(path))}
    ids = np.full((len(texts), length), PADDING_ID, dtype=np.int32)
    counts, unknown = [], 0
    for index, text in enumerate(texts):
        of_text = [id_of.get(word, UNKNOWN_ID) for word in WORD.findall(text.lower())]
        unknown += of_text.count(UNKNOWN_ID)
        counts.append(len(of_text))
        ids[index, : len(of_text)] = of_text[:length]
    return ids, counts, unknown


def load_tokenizer(folder: Path) -> Any:
    """The tokenizer of a folder, which pads and cuts at the end of a text.

    Raises:
        TlbenchError: transformers is not installed, or the folder holds no tokenizer.
    """
    try:
        from transformers import AutoTokenizer
        from transformers.utils import logging
    except ImportError as error:
        raise TlbenchError("Tokenizers need transformers. Run pip install 'tlbench[text]'.") from error
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    with files.guarded_reading(folder, TOKENIZER):
        tokenizer: Any = AutoTokenizer.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
        if tokenizer.pad_token_id is None:
            tokenizer.pad_token = tokenizer.eos_token
        tokenizer.padding_side = tokenizer.truncation_side = "right"
    return tokenizer


def words_with_vectors(path: Path) -> list[str]:
    """The words of a file of word vectors, in its order.

    Raises:
        TlbenchError: the file holds no word vectors.
    """
    with (
        files.guarded_reading(path, WORD_VECTORS),
        path.open("rb") as stream,
        np.load(stream, allow_pickle=False) as arrays,
    ):
        return [str(word) for word in arrays["words"]]
