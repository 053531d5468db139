"""The reader of tagged words: columns, schemes, and words of several pieces."""

from __future__ import annotations

import pytest
import torch
from tagged_files import write_tagged

from tlbench import data
from tlbench.errors import TlbenchError
from tlbench.terms import IGNORED


def load(root, text, **more):
    write_tagged(root, 1)
    (root / "file.txt").write_text(text, encoding="utf-8")
    table = {"reader": "conll", "task": "tokens", "path": "file.txt", "vocabulary": "vectors.npz", "length": 4, **more}
    declaration, errors = data.declare("news", table, {})
    if declaration is None:
        raise TlbenchError(" ".join(errors))
    return data.load(declaration, root)


def test_each_word_has_its_tag_and_padding_has_none(tmp_path):
    domain = load(tmp_path, "the DET\ndog NOUN\n\nParis PROPN\nsees VERB\nthe DET\nold ADJ\ncat NOUN\n")
    assert domain.position_task == "tokens" and domain.classes == ("ADJ", "DET", "NOUN", "PROPN", "VERB")
    assert domain.samples.x.dtype == torch.int32 and domain.samples.x.tolist() == [[2, 4, 0, 0], [11, 6, 2, 9]]
    assert domain.samples.y.tolist() == [[1, 2, IGNORED, IGNORED], [3, 4, 1, 0]]
    assert "1 of 7 words lie beyond 4 tokens" in " ".join(domain.notes)


def test_label_map_and_classes_name_types_of_entities(tmp_path):
    text = "the O\nred B-band\ndog I-band\n\nparis B-city\nsees O\n"
    domain = load(tmp_path, text, scheme="bio", label_map={"band": "org", "city": "O"}, classes=["org", "person"])
    assert domain.classes == ("O", "B-org", "I-org", "B-person", "I-person")
    assert domain.samples.y.tolist() == [[0, 1, 2, IGNORED], [0, 0, IGNORED, IGNORED]]


def test_labels_outside_the_classes_are_refused_or_left_out(tmp_path):
    text = "the DET\ndog NOUN\n\ncat NOUN\nred ADJ\n"
    with pytest.raises(TlbenchError, match=r"Label 'ADJ' .* is not among the 2 classes"):
        load(tmp_path, text, classes=["DET", "NOUN"])
    domain = load(tmp_path, text, classes=["DET", "NOUN"], drop_others=True)
    assert domain.samples.y[1].tolist() == [1, IGNORED, IGNORED, IGNORED]


@pytest.mark.parametrize(
    ("text", "more", "error"),
    [
        ("the DET\ndog\n", {}, "Line 2 has 1 columns, and line 1 has 2"),
        ("the\tDET\n\tNOUN\n", {}, "Line 2 lacks its word"),
        ("the DET\n", {"label": 3}, "A line has 2 columns, and word = 0, label = 3"),
        ("the O\ndog I-org\n", {"scheme": "bio"}, "Line 2 has the tag 'I-org' after 'O', so that no entity"),
        ("the B-org\ndog I-loc\n", {"scheme": "bio"}, "Line 2 has the tag 'I-loc' after 'B-org'"),
        ("the O\ndog DET\n", {"scheme": "bio"}, "Line 2 has the tag 'DET'. With scheme = 'bio'"),
        ("\n\n", {}, "holds no sentence"),
        ("the DET\n", {"keep": ["DET"], "classes": ["DET"]}, "keep, unknown and class_texts are for samples of one class"),
        ("the DET\n\na DET\n", {"task": "classification"}, "y has the shape"),
    ],
)
def test_bad_files_get_one_clear_error(tmp_path, text, more, error):
    with pytest.raises(TlbenchError, match=error):
        load(tmp_path, text, **more)


def test_the_first_piece_of_a_word_carries_its_tag(tmp_path):
    transformers = pytest.importorskip("transformers")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "dog", "##s", "sees"]
    (tmp_path / "vocab.txt").write_text("\n".join(words), encoding="utf-8")
    folder = tmp_path / "tokenizer"
    transformers.BertTokenizerFast(vocab=str(tmp_path / "vocab.txt")).save_pretrained(str(folder))
    domain = load(tmp_path, "dogs NOUN\nsees VERB\n\nsees VERB\n", vocabulary="tokenizer", length=6)
    assert domain.samples.x.tolist() == [[2, 5, 6, 7, 3, 0], [2, 7, 3, 0, 0, 0]]
    none = IGNORED
    assert domain.samples.y.tolist() == [[none, 0, none, 1, none, none], [none, 1, none, none, none, none]]
