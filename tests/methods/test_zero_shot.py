"""Zero-shot classification: against computations written out, its templates, its identity, and what can't embed class names."""

from __future__ import annotations

import dataclasses

import pytest
import torch
import torch.nn.functional as F
from plugin_files import plugged
from tiny_suite import CPU, NAMED, case, domain, suite, suite_of

from tlbench import engine, methods
from tlbench.checks.toy_task import CLASS_EMBEDDINGS, toy_samples
from tlbench.engine.runtime.class_texts import class_texts, declared_texts
from tlbench.errors import TlbenchError
from tlbench.terms import Labelled, Task


def fit(texts, embed, x, **options):
    """The method and its scores (N, C) of features x (N, D)."""
    method = methods.method_class("zero_shot")(**methods.method_options("zero_shot", options))
    return method, method.fit(Task(len(texts), class_texts=tuple(texts), embed_classes=embed))(x)


def embeddings_of(texts):
    """Embeddings (C, 5) drawn from the letters of each text."""
    draws = [torch.randn(5, generator=torch.Generator().manual_seed(sum(text.encode()))) for text in texts]
    return torch.stack(draws)


def test_scores_are_cosines_with_the_mean_over_templates_of_normalised_embeddings():
    """CLIP's rule, written out for one class and one sample at a time."""
    x, texts, templates = torch.randn(7, 5), ("cat", "mug", "bike"), ("{}", "a photo of a {}.", "{} on a desk")
    _, scores = fit(texts, embeddings_of, x, templates=templates, scale=3.0)
    for number, text in enumerate(texts):
        normed = [embeddings_of([template.replace("{}", text)])[0] for template in templates]
        mean = sum(one / one.norm() for one in normed) / 3
        for sample in range(7):
            expected = 3 * (x[sample] @ mean) / (x[sample].norm() * mean.norm())
            assert float(scores[sample, number]) == pytest.approx(float(expected), abs=1e-5)


def test_laws_of_zero_shot():
    x, texts = torch.randn(7, 5), ("cat", "mug", "bike")
    _, plain = fit(texts, embeddings_of, x)
    _, twice = fit(texts, embeddings_of, x, templates=("{}", "{}"))
    assert torch.allclose(plain, twice)
    _, turned = fit(texts[::-1], embeddings_of, x)
    assert torch.allclose(plain, turned.flip(1))
    _, longer = fit(texts, embeddings_of, 8 * x)
    assert torch.allclose(plain, longer)


def test_a_class_without_an_embedding_is_never_predicted_and_equal_words_are_noted():
    x = -torch.eye(3, 5)
    method, scores = fit(("cat", "xqzt"), lambda texts: torch.tensor([[1.0, 0, 0, 0, 0], [0] * 5]), x)
    assert scores.argmax(dim=1).tolist() == [0, 0, 0]
    assert method.notes == ("No word of the class 'xqzt' has an embedding: it is never predicted.",)
    method, _ = fit(("cat", "cat"), embeddings_of, x)
    assert method.notes == ("Some classes have the same words, and the first of them is predicted.",)


@pytest.mark.parametrize("template", ["a photo", "{} and {}", ""])
def test_a_template_names_the_class_once(template):
    with pytest.raises(TlbenchError, match=r"must have \{\} for the class name once"):
        methods.method_options("zero_shot", {"templates": [template]})
    with pytest.raises(TlbenchError, match="at least 1"):
        methods.method_options("zero_shot", {"templates": []})
    assert methods.method_options("zero_shot", {"templates": ["a {}"]})["templates"] == ("a {}",)


def toy_domains():
    return {
        "a": domain("a", toy_samples(1)),
        "b": domain("b", toy_samples(2, shift=0.7), toy_samples(5, 90, shift=0.7)),
    }


def record_of(chosen, **changes):
    return engine.run_case(case("zero_shot", **changes), chosen, toy_domains(), CPU)


def test_a_case_reads_no_sample_whatever_is_granted():
    for grants in (["source", "target"], ["target"], []):
        chosen = suite_of(
            "zero_shot", 6, protocol={"grants": grants, "scored": "test", "baseline": "zero_shot"}, methods={"zero_shot": {}}
        )
        record = record_of(chosen)
        assert record.status == "done", record.reason
        assert record.reads == () and record.scores.target_accuracy > 0.9 and record.kind == "shallow"


def test_a_network_without_a_text_side_is_skipped_with_the_reason():
    record = record_of(suite())
    assert record.status == "skipped" and "the backbone embeds no class names" in record.reason


def test_declared_texts_are_what_is_embedded_and_are_in_the_identity_of_these_cases_alone():
    net = {"class_embeddings": {f"digit {k}": CLASS_EMBEDDINGS[k] for k in "012"}}
    data = {"class_texts": {k: f"digit {k}" for k in "012"}}
    named = suite(NAMED, net=net, data=data)
    record = record_of(named)
    assert record.status == "done" and record.scores.target_accuracy > 0.9
    plain = record_of(suite(NAMED, net=net))
    assert plain.status == "failed" and "net.class_embeddings has no embedding of '0'" in plain.reason
    turned = suite(NAMED, net=net, data={"class_texts": {"0": "digit 1", "1": "digit 0", "2": "digit 2"}})
    assert record_of(turned).scores.target_accuracy < 0.5
    assert len({record.identity, plain.identity, record_of(turned).identity}) == 3
    fingerprints = {"a": "1", "b": "2"}
    others = [engine.identity(case("logistic"), chosen, fingerprints) for chosen in (named, turned, suite(NAMED, net=net))]
    assert len({*others}) == 1
    assert engine.stated_identity(record, named) == record.identity != engine.stated_identity(record, turned)


def test_the_network_is_in_the_identity_though_the_suite_does_not_freeze_it():
    first, second = (suite(NAMED, net={"class_embeddings": {**CLASS_EMBEDDINGS, "0": [number] * 6}}) for number in (1.0, 2.0))
    fingerprints = {"a": "1", "b": "2"}
    assert engine.identity(case("zero_shot"), first, fingerprints) != engine.identity(case("zero_shot"), second, fingerprints)
    assert engine.identity(case("logistic"), first, fingerprints) == engine.identity(case("logistic"), second, fingerprints)


def test_labels_become_words():
    assert class_texts(("laptop_computer", "a\tb\x1b[31m", "<b>&", "_"), {}) == ("laptop computer", "a b [31m", "<b>&", "_")
    assert class_texts(("w2",), {"w2": "tax form W-2"}) == ("tax form W-2",)
    chosen = suite(
        domains={
            "a": {"path": "a.npz", "class_texts": {"0": "of a", "1": "a"}},
            "b": {"path": "b.npz", "class_texts": {"0": "of b"}},
        }
    )
    assert declared_texts(chosen, ("a", "b")) == {"0": "of b", "1": "a"}


@pytest.mark.parametrize(
    ("texts", "words"),
    [({"0": "a\x1b[31mb"}, "is not readable"), ({"0": " "}, "is not readable"), ({"0": 3}, "string")],
)
def test_texts_that_are_no_words_are_refused(texts, words):
    with pytest.raises(TlbenchError, match=words) as raised:
        suite(data={"class_texts": texts})
    assert "\x1b" not in str(raised.value)


def test_a_text_for_no_class_is_refused_before_anything_runs():
    chosen = suite(NAMED, data={"class_texts": {"zero": "zero"}})
    with pytest.raises(
        TlbenchError, match=r"class_texts names 'zero', which is a class of no domain\. The classes are 0, 1, 2"
    ):
        engine.check_pairs(chosen, toy_domains(), chosen.pairs)


def test_a_plugin_backbone_embeds_class_names_and_a_wrong_shape_is_one_sentence(tmp_path):
    text = (
        '"""near: a backbone of a test."""\nimport torch\nfrom pydantic import BaseModel, ConfigDict, Field\n'
        "from tlbench.nn.net import Backbone\nclass Options(BaseModel):\n    model_config = ConfigDict(extra='forbid')\n"
        "    wide: int = Field(0, description='columns too many')\n"
        "class Near(Backbone):\n    def embed_classes(self, texts):\n"
        "        return torch.cat([2.5 * torch.eye(len(texts), 6), torch.zeros(len(texts), self.wide)], dim=1)\n"
        "def build(shape, options):\n    net = Near([torch.nn.Identity()], 6)\n    net.wide = options.wide\n    return net\n"
    )
    with plugged(tmp_path, "near", "", text):
        train = {"steps": 5, "batch": 8}
        good, bad = (suite(NAMED.replace('"features"', '"near"'), net={"wide": wide}, train=train) for wide in (0, 1))
        record, wrong = record_of(good), record_of(bad)
    assert record.status == "done" and record.scores.target_accuracy > 0.9 and "near" in record.plugins
    assert wrong.status == "failed" and "It must return (C, width) = (3, 6)" in wrong.reason


def test_an_isolated_case_gives_the_same_predictions(tmp_path):
    from tlbench.runner.isolation import run_isolated

    chosen = suite_of("zero_shot", 6)
    here, isolated = record_of(chosen), run_isolated(case("zero_shot"), chosen, toy_domains(), CPU)
    assert isolated.status == "done" and isolated.scores.predictions == here.scores.predictions


def test_simple_shot_is_the_nearest_mean():
    """Means and distances by loops over samples, for the paper's L2N, its UN and cosines."""
    source = Labelled(torch.randn(12, 4), torch.arange(12) % 3)
    new = torch.randn(9, 4)
    for options in ({}, {"normalized": False}, {"distance": "cosine"}):
        method = methods.method_class("simple_shot")(**methods.method_options("simple_shot", options))
        scores = method.fit(Task(4, target_labeled=source))(new)
        scaled = (lambda v: v) if options.get("normalized") is False else (lambda v: v / v.norm())
        for sample in range(9):
            values = []
            for label in range(3):
                mean = torch.stack([scaled(x) for x, y in zip(source.x, source.y, strict=True) if y == label]).mean(dim=0)
                point = scaled(new[sample])
                cosine = F.cosine_similarity(mean, point, dim=0)
                values.append(cosine if "distance" in options else -((point - mean) ** 2).sum())
            assert torch.allclose(scores[sample, :3].float(), torch.stack(values), atol=1e-5)
        assert int((scores.argmax(dim=1) == 3).sum()) == 0  # a class without labelled samples


def test_target_logistic_is_scikit_learn_on_the_labelled_target_samples():
    linear_model = pytest.importorskip("sklearn.linear_model")
    labeled, new = toy_samples(3, 30, 0.7), toy_samples(4, 90, 0.7)
    method = methods.method_class("target_logistic")(**methods.method_options("target_logistic", {"c": 0.5}))
    scores = method.fit(dataclasses.replace(Task(3), target_labeled=labeled))(new.x)
    reference = linear_model.LogisticRegression(C=0.5, tol=1e-10, max_iter=10000).fit(labeled.x.numpy(), labeled.y.numpy())
    assert torch.allclose(scores.softmax(dim=1), torch.from_numpy(reference.predict_proba(new.x.numpy())).double(), atol=1e-4)
