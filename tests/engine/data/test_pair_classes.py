"""The classes of the two sides of a pair: which label set they make, what labels index, and what is refused."""

from __future__ import annotations

import re

import pytest
import torch
from tiny_suite import CPU, blobs

from tlbench.engine.data import pair_checks, pair_classes, splits
from tlbench.errors import TlbenchError
from tlbench.label_sets import LABEL_SETS
from tlbench.suite import Protocol
from tlbench.terms import Domain, Labelled

SIDES = {
    "closed": ("xyz", "zyx"),
    "partial": ("xyz", "xy"),
    "open": ("xy", "xyz"),
    "universal": ("xyz", "yzw"),
    "inductive": ("xyz", "uvw"),
}
"""For each label set, the classes of a source and of a target which have no narrower one."""


def sides(source: str, target: str) -> tuple[Domain, Domain]:
    a = Domain("a", blobs(1, 30, classes=len(source)), tuple(source), "a")
    return a, Domain("b", blobs(2, 30, classes=len(target)), tuple(target), "b")


def check(names: tuple[str, str], label_set: str, **keys) -> None:
    a, b = sides(*names)
    pair_checks.check_pair([a], b, Protocol(label_set=label_set, **keys))


@pytest.mark.parametrize("label_set", LABEL_SETS)
@pytest.mark.parametrize("actual", LABEL_SETS)
def test_a_label_set_fits_its_classes_and_names_the_one_that_would(label_set, actual):
    assert pair_classes.relation(*SIDES[actual]) == actual
    wider = {"universal": {"open"}, "inductive": {"partial", "open", "universal"}}.get(label_set, set())
    labels = {"target_labels": 2}
    if actual == label_set or actual in wider:
        check(SIDES[actual], label_set, **labels)
        return
    with pytest.raises(
        TlbenchError, match=rf"pair a:b: protocol\.label_set = '{label_set}', but .* Say label_set = '{actual}'"
    ):
        check(SIDES[actual], label_set, **labels)


@pytest.mark.parametrize(
    ("names", "label_set", "text"),
    [
        (("xyz", "xyw"), "closed", r"the target has classes that no source has \(w\) and the target lacks .* \(z\)"),
        (("xyz", "xyw"), "partial", "drop_others = true"),
        (("xyz", "xyz"), "partial", "the sources and the target have the same classes. Say label_set = 'closed'."),
        (("xy", "uv"), "open", "grant labels by protocol.target_labels"),
        (("xyz", "uv"), "inductive", "needs labelled target samples, from which the new head learns"),
        (("xy", "xyzu"), "open", None),
    ],
)
def test_what_does_not_fit_is_refused_with_the_reason_and_the_way_out(names, label_set, text):
    if text is None:
        check(names, label_set)
        return
    with pytest.raises(TlbenchError, match=text):
        check(names, label_set)


def test_a_declared_class_without_samples_is_closed_and_partial_as_the_suite_says():
    a = Domain("a", blobs(1, 30), ("x", "y", "z"), "a")
    fewer = Domain("b", blobs(2, 30, classes=2), ("x", "y", "z"), "b")  # `keep = ["x", "y"]`
    for label_set in ("closed", "partial"):
        pair_checks.check_pair([a], fewer, Protocol(label_set=label_set))
    assert pair_classes.pair_classes([fewer], a, "open") == pair_classes.PairClasses(("x", "y"), ("x", "y", "unknown"), True)
    assert "only in the sources: z" in pair_classes.label_set_text([a], fewer, "partial")
    assert "3 source classes (x, y, z), 3 target classes (the same)" in pair_classes.label_set_text([a], fewer, "closed")


def test_the_sources_of_an_open_set_have_no_class_unknown():
    a = Domain("a", blobs(1, 30, classes=2), ("x", "unknown"), "a")
    with pytest.raises(TlbenchError, match="the sources have a class 'unknown'"):
        pair_checks.check_pair([a], Domain("b", blobs(2, 30), ("x", "y", "unknown"), "b"), Protocol(label_set="open"))


def case_data(target: Domain, **protocol) -> splits.CaseData:
    a = Domain("a", blobs(1, 30, classes=2), ("x", "y"), "a")
    pair_checks.check_pair([a], target, Protocol(**protocol))
    return splits.make_case_data([a], target, Protocol(**protocol), lambda use: sum(use.encode()), CPU)


def test_all_target_classes_that_no_source_has_are_one_unknown_class():
    target = Domain("b", blobs(2, 40, classes=4), ("u", "y", "v", "x"), "b")
    data = case_data(target, label_set="universal")
    assert data.classes == ("x", "y", "unknown") and data.open_set and data.granted.classes == 2
    assert data.granted.columns == (2, 3) and data.granted.source is not None
    assert data.granted.source.y is not None and data.granted.source.y.max() == 1
    assert torch.equal(data.scored.y, torch.tensor([2, 1, 2, 0])[target.samples.y])


def test_permuted_labels_of_unknown_samples_change_nothing_that_a_method_sees():
    samples = blobs(2, 60, classes=4)
    is_unknown_N = samples.y >= 2
    permuted_y = samples.y.clone()
    order = torch.randperm(int(is_unknown_N.sum()), generator=torch.Generator().manual_seed(3))
    permuted_y[is_unknown_N] = samples.y[is_unknown_N][order]
    assert not torch.equal(permuted_y, samples.y)
    names = ("x", "y", "u", "v")
    protocol = {"label_set": "open", "target_labels": 3, "scored": "held_out"}
    one = case_data(Domain("b", samples, names, "b"), **protocol)
    two = case_data(Domain("b", Labelled(samples.x, permuted_y), names, "b"), **protocol)
    for split in ("source", "target", "target_labeled"):
        first, second = getattr(one.granted, split), getattr(two.granted, split)
        assert torch.equal(first.x, second.x) and (first.y is None or torch.equal(first.y, second.y))
    assert torch.equal(one.scored.x, two.scored.x) and torch.equal(one.scored.y, two.scored.y)
    assert one.granted.target_labeled is not None and one.granted.target_labeled.y is not None
    assert one.granted.target_labeled.y.bincount().tolist() == [3, 3, 3], "three of unknown samples, whatever their classes are"


def test_inductive_labels_index_the_classes_of_their_own_side():
    target = Domain("b", blobs(2, 30), ("u", "v", "w"), "b")
    data = case_data(target, label_set="inductive", target_labels=2)
    assert data.classes == ("u", "v", "w") and (data.granted.classes, data.granted.source_classes) == (3, 2)
    assert data.validation is None and data.granted.source is not None and len(data.granted.source) == 30
    assert data.granted.target_labeled is not None and data.granted.target_labeled.y is not None
    assert data.granted.target_labeled.y.bincount().tolist() == [2, 2, 2]


@pytest.mark.parametrize(
    ("keys", "text"),
    [
        ({"label_set": "open", "task": "regression"}, "label_set = 'open' is for classes"),
        ({"metric": "h_score"}, "metric = 'h_score' is for label_set = 'open' or 'universal'"),
        ({"metric": "known_accuracy", "label_set": "partial"}, "Choose another metric"),
        ({"label_set": "ajar"}, "'closed', 'partial', 'open', 'universal' or 'inductive'"),
    ],
)
def test_a_protocol_that_contradicts_itself_is_refused(keys, text):
    with pytest.raises(ValueError, match=re.escape(text)):
        Protocol(**keys)
