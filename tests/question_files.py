"""Questions with answers in a text, a tokenizer and a small network, for tests of task = "spans"."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from tlbench.suite import Suite, parse_suite

NAMES = ("anna", "boris", "clara", "dora")
VERBS = ("paints", "sings", "runs")
WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "who", "?", ".", ",", "the", "old", *NAMES, *VERBS)


def paragraph(context: str, *questions: tuple[str, str]) -> dict[str, Any]:
    """A paragraph of a file, and its questions with the answer of each, where it comes first in the context."""
    qas = [
        {"id": str(number), "question": question, "answers": [{"text": answer, "answer_start": context.find(answer)}]}
        for number, (question, answer) in enumerate(questions)
    ]
    return {"context": context, "qas": qas}


def squad_text(*paragraphs: dict[str, Any]) -> str:
    """The text of a file with one article for each paragraph."""
    return json.dumps({"version": "1.1", "data": [{"title": "t", "paragraphs": [one]} for one in paragraphs]})


def write_network(root: Path) -> None:
    """A tokenizer of whole words, and a BERT of one layer, in the folder `encoder`."""
    import torch
    import transformers

    (root / "vocab.txt").write_text("\n".join(WORDS), encoding="utf-8")
    transformers.BertTokenizerFast(vocab=str(root / "vocab.txt")).save_pretrained(str(root / "encoder"))
    torch.manual_seed(0)
    shape = {"hidden_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    configuration = transformers.BertConfig(vocab_size=len(WORDS), max_position_embeddings=24, pad_token_id=0, **shape)
    transformers.AutoModel.from_config(configuration).save_pretrained(str(root / "encoder"), safe_serialization=True)


def write_questions(root: Path, count: int = 40) -> None:
    """The network, and the files en.json and de.json of questions on who does what."""
    write_network(root)
    rng = np.random.default_rng(0)
    for name in ("en", "de"):
        paragraphs = []
        for _ in range(count):
            people, verbs = rng.permutation(NAMES)[:2], rng.permutation(VERBS)[:2]
            answer = f"the old {people[1]}" if rng.random() < 0.5 else people[1]
            context = f"{people[0]} {verbs[0]}, {answer} {verbs[1]}."
            paragraphs.append(paragraph(context, (f"who {verbs[1]}?", answer)))
        (root / f"{name}.json").write_text(squad_text(*paragraphs), encoding="utf-8")


def suite_of(**more: Any) -> Suite:
    """A suite on the two files; `more` replaces or adds whole tables."""
    tables: dict[str, Any] = {
        "name": "questions",
        "version": 1,
        "data": {"reader": "squad", "task": "spans", "vocabulary": "encoder", "length": 16, "answer": 3},
        "domains": {"en": {"path": "en.json"}, "de": {"path": "de.json"}},
        "pairs": {"list": ["en:de"]},
        "protocol": {"task": "spans", "target_labels": 6, "scored": "held_out", "seeds": [0]},
        "net": {"backbone": "hf", "network": "encoder", "pooling": "none", "dropout": 0.0},
        "train": {"steps": 120, "batch": 8, "positions": 16, "lr": 0.02, "trace": 0},
        "methods": {"source_only": {}},
        **more,
    }
    return parse_suite(tables, "questions")
