"""The suites of texts by pre-trained networks: each runs on the real files, and their heads state what the files hold."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
import torch

from tlbench import data, engine, methods
from tlbench.nn import backbones
from tlbench.runner.plan import with_files
from tlbench.suite import Suite, locate_suite, parse_suite

pytestmark = pytest.mark.data

MINILM = "weights/paraphrase-MiniLM-L3-v2/model.safetensors"
GLOVE = "word_vectors/glove_6B_50d_top50k_fp16.npz"
REVIEWS, TWEETS = "amazon_reviews/raw_text/kitchen/positive.review.gz", "tweeteval_stance/stance.tar.gz"
FILES = {
    "amazon_reviews_glove": (REVIEWS, GLOVE),
    "amazon_reviews_minilm": (REVIEWS, MINILM),
    "amazon_reviews_minilm_tuned": (REVIEWS, MINILM),
    "crossner": ("crossner/crossner.tar.gz", MINILM),
    "crossner_types": ("crossner/crossner.tar.gz", MINILM),
    "ewt_pos": ("ewt_pos/ewt_five_genres_form_upos_xpos.tar.gz", GLOVE),
    "tweeteval_stance": (TWEETS, MINILM),
    "tweeteval_stance_glove": (TWEETS, GLOVE),
    "tweeteval_stance_tuned": (TWEETS, MINILM),
    "xquad": ("xquad/xquad.en.json.gz", "xquad/xquad.zh.json.gz", MINILM),
}
"""The suites, and files that they need."""
LIKE_OTHERS = {"crossner_types", "amazon_reviews_minilm", "tweeteval_stance_glove", "tweeteval_stance_tuned"}
"""Suites that run by default in another form: the same reader and the same kind of network."""


def small(name: str, root: Path) -> Suite:
    """A shipped suite with two steps on few and short texts, where all of its files are there."""
    pytest.importorskip("transformers")
    for file in FILES[name]:
        if not (root / file).is_file():
            pytest.skip(f"no {file} in {root}")
    raw = tomllib.loads(locate_suite(name).read_text(encoding="utf-8"))
    raw["data"] |= {"samples": 100, "length": 12}
    labels = raw["protocol"]["target_labels"]
    raw["protocol"]["target_labels"] = min(1, labels[0] if isinstance(labels, list) else labels)
    raw["train"] |= {"steps": 2, "batch": 4, "trace": 0, "positions": 8}
    return parse_suite(raw, name, (backbones.suite_errors, methods.suite_errors))


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if name in LIKE_OTHERS else []) for name in sorted(FILES)]
)
def test_a_suite_of_texts_runs(name: str, data_root: Path) -> None:
    suite = small(name, data_root)
    entry = "lora" if "lora" in suite.methods else suite.protocol.baseline
    case = suite.cases([entry], [], [0])[0]
    domains = {one: data.load(suite.domains[one], data_root) for one in (*case.sources, case.target)}
    suite = with_files(suite, data_root, {entry})
    engine.check_pairs(suite, domains, [(case.sources, case.target)])
    record = engine.run_case(case, suite, domains, torch.device("cpu"))
    assert record.status == "done", record.reason
    if entry == "lora":
        classes = 3 if name.startswith("tweeteval") else 2
        assert record.cost is not None and record.cost.trainable_parameters == 2 * 3 * (384 * 8 + 8 * 384) + 385 * classes


def test_what_the_head_says_of_stance(data_root: Path) -> None:
    """The classes of each target are of other shares, and one constant prediction gives the stated F1."""
    if not (data_root / TWEETS).is_file():
        pytest.skip(f"no {TWEETS} in {data_root}")
    raw = tomllib.loads(locate_suite("tweeteval_stance").read_text(encoding="utf-8"))
    raw["data"] = {key: value for key, value in raw["data"].items() if key not in ("vocabulary", "length")}
    raw["data"] |= {"features": "hashed", "size": 16}
    suite = parse_suite(raw, "tweeteval_stance", (backbones.suite_errors,))
    scores = {}
    for name, declaration in suite.domains.items():
        domain = data.load(declaration, data_root)
        assert domain.classes == ("none", "against", "favor") and domain.test is not None
        share = float((domain.test.y == 1).double().mean())
        scores[name] = round(2 * share / (1 + share) / 3, 2)
        assert int(domain.samples.y.bincount().min()) >= suite.protocol.target_labels
    assert scores == {"abortion": 0.27, "atheism": 0.28, "climate": 0.04, "feminist": 0.26, "hillary": 0.25}
