"""Texts as token ids: by the tokenizer of a folder, and by the words of a file of word vectors."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tlbench import data
from tlbench.data import tokenization
from tlbench.errors import TlbenchError


@pytest.fixture
def root(tmp_path):
    words = np.array(["good", "bad", "book", "."])
    np.savez(tmp_path / "vectors.npz", words=words, vectors=np.zeros((4, 2), dtype=np.float16))
    (tmp_path / "good.txt").write_text("A good book.\ngood, GOOD\n", encoding="utf-8")
    (tmp_path / "bad.txt").write_text("a bad bad bad bad bad book\n", encoding="utf-8")
    return tmp_path


def declaration(**more):
    table = {
        "reader": "text",
        "files": {"bad": "bad.txt", "good": "good.txt"},
        "features": "tokens",
        "vocabulary": "vectors.npz",
        "length": 5,
        **more,
    }
    declared, errors = data.declare("reviews", table, {})
    if declared is None or errors:
        raise TlbenchError(" ".join(errors))
    return declared


def test_words_are_ids_of_a_declared_length_and_losses_are_said(root):
    domain = data.load(declaration(), root)
    assert domain.samples.x.dtype == torch.int32
    assert domain.samples.x.tolist() == [[1, 3, 3, 3, 3], [1, 2, 4, 5, 0], [2, 1, 2, 0, 0]]
    assert "1 of 3 texts have more than 5 tokens and are cut there" in " ".join(domain.notes)
    assert "21.4% of the words have no vector" in " ".join(domain.notes)


def test_another_vocabulary_is_another_domain(root):
    before = data.load(declaration(), root).fingerprint
    np.savez(root / "vectors.npz", words=np.array(["bad", "good"]), vectors=np.zeros((2, 2)))
    assert data.load(declaration(), root).fingerprint != before


@pytest.mark.parametrize("more", [{"prepare": ["zscore"]}, {"shifts": [{"kind": "scaling", "factor": 2.0}]}])
def test_ids_are_no_measurements(root, more):
    with pytest.raises(TlbenchError, match=r"token ids, and '(zscore|scaling)' is for measurements"):
        data.load(declaration(**more), root)


def test_a_tokenizer_pads_and_cuts(root):
    transformers = pytest.importorskip("transformers")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "good", "book", "a"]
    transformers.BertTokenizer(vocab={word: index for index, word in enumerate(words)}).save_pretrained(root / "tokenizer")
    encoded = tokenization.encode(["A good book", "good good good good"], root / "tokenizer", 5)
    assert encoded.ids.tolist() == [[2, 7, 5, 6, 3], [2, 5, 5, 5, 3]]
    assert tokenization.encode(["good"], root / "tokenizer", 5).ids.tolist() == [[2, 5, 3, 0, 0]]
    assert encoded.notes == ("1 of 2 texts have more than 5 tokens and are cut there",)


def test_a_vocabulary_that_can_not_be_read_is_one_sentence(root):
    (root / "broken.npz").write_bytes(b"PK\x03\x04 nothing")
    with pytest.raises(TlbenchError, match="word vectors"):
        data.load(declaration(vocabulary="broken.npz"), root)
    with pytest.raises(TlbenchError, match="vocabulary"):
        declaration(features="hashed")
