"""Files of tagged sentences and suites on them, for tests of tasks with a label for each position."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tlbench.suite import Suite, parse_suite

WORDS = ("the", "a", "dog", "cat", "sees", "hears", "red", "old", "in", "paris")
TAGS = {"the": "DET", "a": "DET", "dog": "NOUN", "cat": "NOUN", "sees": "VERB", "hears": "VERB", "red": "ADJ", "old": "ADJ"}

NET = {
    "backbone": "word_vectors",
    "network": "vectors.npz",
    "pooling": "none",
    "context": "conv",
    "hidden": [8],
    "kernel": 3,
}


def write_tagged(root: Path, sentences: int = 40) -> None:
    """Word vectors, and two files of tagged sentences over the same words, of 2 to 7 words each."""
    rng = np.random.default_rng(0)
    np.savez(root / "vectors.npz", words=np.array(WORDS), vectors=rng.normal(size=(len(WORDS), 6)).astype(np.float32))
    for name in ("news", "mail"):
        lines = []
        for _ in range(sentences):
            words = rng.choice(WORDS, size=rng.integers(2, 8))
            lines += [f"{word}\t{TAGS.get(word, 'X')}" for word in words] + [""]
        (root / f"{name}.tsv").write_text("\n".join(lines), encoding="utf-8")


def tables(**more: Any) -> dict[str, Any]:
    """The tables of a suite on the two files; `more` replaces or adds whole tables."""
    data = {"reader": "conll", "task": "tokens", "vocabulary": "vectors.npz", "length": 6}
    return {
        "name": "tagged",
        "version": 1,
        "data": data,
        "domains": {"news": {"path": "news.tsv"}, "mail": {"path": "mail.tsv"}},
        "pairs": {"list": ["news:mail"]},
        "protocol": {"task": "tokens", "target_labels": 5, "scored": "held_out", "seeds": [0]},
        "net": NET,
        "train": {"steps": 150, "batch": 4, "positions": 4, "lr": 0.03},
        "methods": {"source_only": {}},
        **more,
    }


def suite_of(**more: Any) -> Suite:
    """The suite of `tables`."""
    return parse_suite(tables(**more), "tagged")
