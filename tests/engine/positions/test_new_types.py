"""Entities of types that the source lacks: a head of their own, learned from a few labelled sentences of the target."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tagged_files import WORDS, suite_of, write_tagged

from tlbench import engine, runner
from tlbench.errors import TlbenchError
from tlbench.nn.net import Backbone
from tlbench.nn.positions.net import PositionBackbone, PositionNet
from tlbench.runner.plan import with_files

TYPES = {"news": {"paris": "city", "dog": "animal"}, "mail": {"paris": "place", "cat": "pet", "dog": "animal"}}
METHODS = ("target_only", "fine_tune", "linear_probe", "nearest_class_mean", "source_only", "dann")


def write_entities(root, sentences=40):
    write_tagged(root)
    rng = np.random.default_rng(0)
    for name, type_of in TYPES.items():
        lines = []
        for _ in range(sentences):
            words = rng.choice(WORDS, size=rng.integers(2, 7))
            lines += [f"{word}\tB-{type_of[word]}" if word in type_of else f"{word}\tO" for word in words] + [""]
        (root / f"{name}.tsv").write_text("\n".join(lines), encoding="utf-8")


def run(root, **protocol):
    data = {"reader": "conll", "task": "tokens", "vocabulary": "vectors.npz", "length": 6, "scheme": "bio"}
    protocol = {
        "task": "tokens",
        "metric": "entity_f1",
        "seeds": [0],
        "scored": "held_out",
        "baseline": "target_only",
        **protocol,
    }
    methods = {name: {} for name in METHODS}
    suite = with_files(suite_of(data=data, protocol=protocol, methods=methods), root, list(METHODS))
    domains = runner.load_domains(suite, ["news", "mail"], root)
    engine.check_pairs(suite, domains, suite.pairs)
    return {case.entry: engine.run_case(case, suite, domains, torch.device("cpu")) for case in suite.cases()}


def test_new_types_are_learned_from_labelled_sentences_of_the_target(tmp_path):
    write_entities(tmp_path)
    records = run(tmp_path, label_set="inductive", target_labels=12)
    for name in ("target_only", "fine_tune"):
        scores = records[name].scores
        assert scores.entity_f1 > 0.7, name
        assert set(scores.per_entity_f1) == {"place", "pet", "animal"}
        assert set(scores.per_class_accuracy) == {"O", "B-place", "B-pet", "B-animal"}
    assert records["linear_probe"].status == "done"
    for name in ("source_only", "dann"):
        assert records[name].status == "skipped" and "reads no labelled target samples" in str(records[name].reason)


@pytest.mark.parametrize(
    ("protocol", "error"),
    [
        ({"target_labels": 5}, r"Say label_set = 'inductive' \(and grant labels"),
        ({"label_set": "inductive"}, "needs labelled target samples"),
        ({"label_set": "open", "target_labels": 5}, "Choose 'closed', 'partial' or 'inductive'"),
    ],
)
def test_other_types_need_a_label_set_that_allows_them(tmp_path, protocol, error):
    write_entities(tmp_path, 12)
    with pytest.raises(TlbenchError, match=error):
        run(tmp_path, **protocol)


def test_the_head_of_the_source_is_replaced_by_one_of_the_target():
    backbone = Backbone([torch.nn.Identity()], 4)
    backbone.positions = 3
    net = PositionNet(PositionBackbone(backbone, (3, 4), 2), 5, 2)
    x = torch.randn(2, 3, 4)
    assert net(x).shape == (6, 2)
    net.renew_head()
    assert net(x).shape == (6, 5)
