"""The splits of a case: what is granted, scored and held out, and which pairs fit together."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from tiny_suite import CPU, blobs, domain

from tlbench.engine.data import pair_checks, splits
from tlbench.engine.data.storage import Subset
from tlbench.errors import TlbenchError
from tlbench.suite import Protocol
from tlbench.terms import Domain, Labelled


def tagged(rows: int, offset: int) -> Labelled:
    """Rows whose first column is a number of their own."""
    samples = blobs(offset, rows)
    x = samples.x.clone()
    x[:, 0] = torch.arange(rows) + offset
    return Labelled(x, samples.y)


def ids(rows: Subset | None) -> set[float]:
    return set() if rows is None else set(rows.x[:, 0].tolist())


def make(**protocol) -> splits.CaseData:
    a, b = domain("a", tagged(40, 1000)), domain("b", tagged(30, 2000), tagged(12, 3000))
    pair_checks.check_pair([a], b, Protocol(**protocol))
    return splits.make_case_data([a], b, Protocol(**protocol), lambda use: sum(use.encode()), CPU)


@pytest.mark.parametrize(
    ("protocol", "sizes"),
    [
        ({"scored": "adapted"}, (36, 30, 0, 30, 4)),
        ({"scored": "adapted", "target_labels": 2}, (36, 24, 6, 24, 4)),
        ({"scored": "held_out", "held_out": 0.4}, (36, 18, 0, 12, 4)),
        ({"scored": "held_out", "held_out": 0.4, "target_labels": 2}, (36, 12, 6, 12, 4)),
        ({"scored": "test"}, (36, 30, 0, 12, 4)),
        ({"scored": "test", "target_labels": 2}, (36, 24, 6, 12, 4)),
        ({"scored": "test", "source_held_out": 0.0}, (40, 30, 0, 12, 0)),
        ({"scored": "adapted", "source_held_out": 0.25}, (30, 30, 0, 30, 10)),
        ({"scored": "adapted", "grants": ["source"]}, (36, 0, 0, 30, 4)),
        ({"scored": "adapted", "grants": ["target"], "target_labels": 1}, (0, 27, 3, 27, 4)),
    ],
    ids=str,
)
def test_splits(protocol, sizes):
    parts = make(**protocol)
    granted = parts.granted
    source, target, few, scored, kept = map(ids, (granted.source, granted.target, granted.target_labeled, *_rest(parts)))
    assert tuple(map(len, (source, target, few, scored, kept))) == sizes
    assert not few & scored and not few & target, "a labelled target row is scored, or is among the unlabelled ones"
    assert not source & kept
    if protocol["scored"] == "adapted":
        assert scored == target or not target
    else:
        assert not scored & target
    assert all(1000 <= i < 2000 for i in source | kept)
    assert all(i >= 3000 for i in scored) == (protocol["scored"] == "test")
    if granted.target_labeled is not None:
        counts = granted.target_labeled.y.bincount().tolist()
        assert set(counts) == {protocol["target_labels"]}
        everything = tagged(30, 2000)
        for row, label in zip(granted.target_labeled.x[:, 0].tolist(), granted.target_labeled.y.tolist(), strict=True):
            assert everything.y[int(row) - 2000] == label


def _rest(parts: splits.CaseData) -> tuple[Subset, Subset | None]:
    return parts.scored, parts.validation


def test_several_sources_are_pooled_and_numbered():
    a, c, b = domain("a", tagged(20, 1000)), domain("c", tagged(10, 4000)), domain("b", tagged(30, 2000))
    parts = splits.make_case_data([a, c], b, Protocol(source_held_out=0.1), lambda use: 0, CPU)
    rows = parts.granted.source
    assert rows is not None and rows.domain is not None and len(rows) == 18 + 9
    assert torch.equal(rows.domain, (rows.x[:, 0] >= 4000).long())
    assert parts.validation is not None and len(parts.validation) == 2 + 1


def test_classes_are_matched_by_name():
    a = Domain("a", blobs(1, 30), ("x", "y", "z"), "a")
    b = Domain("b", blobs(2, 30), ("z", "x", "y"), "b")
    parts = splits.make_case_data([a], b, Protocol(source_held_out=0.0), lambda use: 0, CPU)
    assert parts.classes == ("x", "y", "z")
    assert torch.equal(parts.scored.y, (blobs(2, 30).y + 2) % 3)
    fewer = Domain("b", blobs(2, 30, classes=2), ("z", "y"), "b")
    partial = splits.make_case_data([a], fewer, Protocol(label_set="partial"), lambda use: 0, CPU)
    assert partial.classes == ("x", "y", "z") and partial.scored.y.unique().tolist() == [1, 2]


def test_a_metric_without_its_data_is_refused_before_any_run():
    a, b = domain("a", blobs(1, 30)), domain("b", blobs(2, 30))
    by_group = Protocol(metric="worst_group_accuracy")
    with pytest.raises(TlbenchError, match="domain b declares no groups"):
        pair_checks.check_pair([a], b, by_group)
    pair_checks.check_pair([a], dataclasses.replace(b, groups=("g",)), by_group)
    values = Labelled(torch.randn(6, 2), torch.tensor([[1.0, 5.0]] * 6) * torch.arange(1, 7)[:, None] ** torch.tensor([1, 0]))
    numbers = Domain("n", values, (), "n", targets=("varies", "same"))
    with pytest.raises(TlbenchError, match="the target same of domain m is constant over the samples to score"):
        pair_checks.check_pair([numbers], dataclasses.replace(numbers, name="m"), Protocol(task="regression"))
    pair_checks.check_pair([numbers], dataclasses.replace(numbers, name="m"), Protocol(task="regression", metric="mae"))
