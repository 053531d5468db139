"""The reader of questions and answers: tokens, spans and texts, and what is wrong with a file in one sentence."""

from __future__ import annotations

import gzip
import json

import pytest
import torch
from question_files import paragraph, squad_text, write_network

from tlbench import data
from tlbench.errors import TlbenchError
from tlbench.terms import IGNORED

pytest.importorskip("transformers")
CONTEXT = "Anna paints. The old Boris, the old Clara sings. Dora runs."


def load(root, text=None, **more):
    write_network(root)
    content = (
        squad_text(paragraph(CONTEXT, ("who sings?", "The old Boris, the old Clara"), ("who runs?", "Dora")))
        if text is None
        else text
    )
    (root / "file.json.gz").write_bytes(gzip.compress(content.encode()))
    table = {"reader": "squad", "task": "spans", "path": "file.json.gz", "vocabulary": "encoder", "length": 22, **more}
    declaration, errors = data.declare("en", table, {})
    if declaration is None:
        raise TlbenchError(" ".join(errors))
    return data.load(declaration, root)


def test_tokens_of_the_context_are_starts_ends_both_or_outside(tmp_path):
    domain = load(tmp_path)
    assert domain.classes == ("outside", "start", "end", "start and end") and domain.position_task == "spans"
    assert domain.samples.x.shape == (2, 22) and domain.samples.x.dtype == torch.int32
    first, second = domain.samples.y
    # [CLS] who sings ? [SEP] anna paints . the old boris , the old clara sings . dora runs . [SEP] [PAD]
    assert first.tolist() == [IGNORED] * 5 + [0, 0, 0, 1, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, IGNORED, IGNORED]
    assert second.tolist()[5:20] == [0] * 12 + [3, 0, 0]
    assert domain.passages.text(0, 8, 14) == "The old Boris, the old Clara" and domain.passages.answers[1] == ("Dora",)


def test_a_sentence_is_the_one_that_holds_the_answer_or_several(tmp_path):
    domain = load(tmp_path, context="sentence")
    assert domain.passages.contexts == ("The old Boris, the old Clara sings.", "Dora runs.")
    assert domain.passages.text(1, 5, 5) == "Dora"
    both = squad_text(paragraph(CONTEXT, ("who sings?", "Boris, the old Clara sings. Dora")))
    assert load(tmp_path, both, context="sentence").passages.contexts == (CONTEXT[13:],)
    chinese = squad_text(paragraph("\u5b89\u3002\u9c8d\u3002", ("who?", "\u9c8d")))
    assert load(tmp_path, chinese, context="sentence").passages.contexts == ("\u9c8d\u3002",)


def test_answers_beyond_the_length_and_long_ones_are_noted_and_stay(tmp_path):
    domain = load(tmp_path, length=18, answer=4)
    assert domain.samples.y[1].max() == 0, "the answer is cut off"
    assert domain.passages.answers[1] == ("Dora",), "it is still what a prediction is compared with"
    assert "1 of 2 answers lie beyond 18 tokens" in domain.notes[0] and "1 of 2 answers have more than 4" in domain.notes[1]


def test_a_subsample_and_articles_keep_texts_beside_their_samples(tmp_path):
    paragraphs = [
        paragraph(f"Anna {verb}. Dora runs.", (f"who {verb}?", "Anna")) for verb in ("sings", "paints", "runs", "sings")
    ]
    everything = load(tmp_path, squad_text(*paragraphs))
    some = load(tmp_path, squad_text(*paragraphs), samples=2)
    assert len(some.samples) == len(some.passages) == 2
    pairs = {(tuple(x.tolist()), text) for x, text in zip(everything.samples.x, everything.passages.contexts, strict=True)}
    assert {(tuple(x.tolist()), text) for x, text in zip(some.samples.x, some.passages.contexts, strict=True)} <= pairs
    assert load(tmp_path, squad_text(*paragraphs), articles=[1, 3]).passages.contexts == everything.passages.contexts[1:3]
    renamed = [paragraph(one["context"].replace("Dora", "DORA"), ("who?", "Anna")) for one in paragraphs]
    assert load(tmp_path, squad_text(*renamed)).fingerprint != everything.fingerprint, "texts decide scores"


def changed(change):
    value = json.loads(squad_text(paragraph("Anna sings.", ("who sings?", "Anna"))))
    change(value)
    return json.dumps(value)


def question(value):
    return value["data"][0]["paragraphs"][0]["qas"][0]


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (
            changed(lambda value: question(value)["answers"][0].update(answer_start=1)),
            "The answer is 'Anna', and the context has 'nna '",
        ),
        (changed(lambda value: question(value)["answers"][0].update(answer_start="0")), "answer_start must be a whole number"),
        (changed(lambda value: question(value).update(answers=[])), r"qas\[0\]: The question has no answer"),
        (changed(lambda value: question(value).pop("answers")), r"qas\[0\]: It has no list 'answers'"),
        (changed(lambda value: value["data"][0].update(paragraphs={})), r"data\[0\]: It has no list 'paragraphs'"),
        (changed(lambda value: value["data"][0]["paragraphs"][0].update(context=None)), "'context' must be a text"),
        (changed(lambda value: value.update(data=[])), "The file holds no question"),
        ('[{"context": "Anna"}]', "It has no list 'data'"),
        (squad_text()[:-4], "This is no JSON, or it is cut off"),
        ("[" * 100_000, "nested deeper than"),
    ],
)
def test_bad_files_get_one_clear_error(tmp_path, text, error):
    with pytest.raises(TlbenchError, match=error) as caught:
        load(tmp_path, text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("more", "error"),
    [
        ({"articles": [0, 2]}, "The file has 1 articles, and articles"),
        ({"articles": [1, 1]}, "names no article"),
        ({"classes": ["start", "end"]}, "The key 'classes' does not fit task = 'spans'"),
        ({"test": {"path": "file.json.gz"}}, "The key 'test' does not fit task = 'spans'"),
        ({"path": "no.json"}, "no.json"),
    ],
)
def test_bad_keys_get_one_clear_error(tmp_path, more, error):
    with pytest.raises(TlbenchError, match=error):
        load(tmp_path, **more)


def test_spans_need_texts(tmp_path):
    (tmp_path / "words.txt").write_text("the DET\n", encoding="utf-8")
    write_network(tmp_path)
    table = {"reader": "conll", "task": "spans", "path": "words.txt", "vocabulary": "encoder", "length": 6}
    with pytest.raises(TlbenchError, match="The reader squad reads them"):
        data.load(data.declare("en", table, {})[0], tmp_path)
