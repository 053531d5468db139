"""What records tell about the labels of scored samples: the predictions of all records of the same samples must agree.

A sample that two records predict alike is correct for both or for neither, and two correct predictions of one sample are equal.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from tlbench import records
from tlbench.suite import Suite
from tlbench.terms import Record

MAX_CELLS = 2**28
"""Samples times classes up to which wrong predictions are remembered too, and not only correct ones."""
ScoredSet = tuple[object, ...]
"""What records of the same scored samples share."""


def scored_set(record: Record, suite: Suite | None = None) -> ScoredSet:
    """The scored samples of a record; the method plays no part in their choice.

    They are the same for all pairs and seeds of a target whose protocol draws none: neither held-out nor labelled samples.
    """
    classes = tuple(record.scores.per_class_accuracy or ())
    common = record.data[record.target], record.suite_hash, classes, record.scores.scored_samples
    if suite is not None and record.suite_hash == suite.hash:
        protocol = suite.protocol_of(record.target)
        if protocol.scored == "test" or (protocol.scored == "adapted" and not protocol.target_labels):
            return common
    return *common, record.pair, record.seed


class KnownLabels:
    """The labels of scored samples as far as the predictions of some records tell them, and their variance.

    Args:
        results: the results directory of the records.
        on_file: the records of other entries, which are taken at their word.
        suite: their suite, which tells how scored samples are chosen.
    """

    def __init__(self, results: Path, on_file: Sequence[Record], suite: Suite | None = None) -> None:
        self._results, self._suite = results, suite
        self._unread: dict[ScoredSet, list[Record]] = {}
        self._labels: dict[ScoredSet, _LabelSet] = {}
        for record in on_file:
            if record.status == "done":
                self._unread.setdefault(scored_set(record, suite), []).append(record)

    def errors(self, record: Record) -> Iterator[str]:
        """The errors of a record whose predictions or scores contradict those of other records of the same samples."""
        key = scored_set(record, self._suite)
        labels = self._labels.setdefault(key, _LabelSet(self._results))
        for other in self._unread.pop(key, ()):
            labels.add(other)
        yield from labels.errors(record)

    def add(self, record: Record) -> None:
        """Take a record without errors at its word, too."""
        if record.status == "done":
            self._labels.setdefault(scored_set(record, self._suite), _LabelSet(self._results)).add(record)


class _LabelSet:
    """What the records of one set of N scored samples tell about its labels."""

    def __init__(self, results: Path) -> None:
        self._results = results
        self._known_N: np.ndarray | None = None
        """The label that a correct prediction told; -1: none did."""
        self._owner_N: np.ndarray | None = None
        self._owners: list[Record] = []
        """The records that told a label, which `_owner_N` indexes."""
        self._excluded_CN: np.ndarray | None = None
        """Whether a wrong prediction told that a sample is not of a class; None: samples times classes are too many."""
        self._seen: set[str] = set()
        self._variance: tuple[float, Record] | None = None

    def add(self, record: Record) -> None:
        """Take the predictions of a record at their word, or the variance that follows from its scores."""
        if record.task == "regression":
            variance = variance_of_targets(record)
            self._variance = self._variance or (None if variance is None else (variance, record))
            return
        name = record.scores.predictions
        if name is None or name in self._seen or (predictions := records.predictions(self._results, record)) is None:
            return
        self._seen.add(name)
        predicted_N, is_correct_N = predictions
        if self._known_N is None or self._owner_N is None:
            self._known_N = np.full(len(predicted_N), -1, np.int32)
            self._owner_N = np.zeros(len(predicted_N), np.int32)
            classes = max(len(record.scores.per_class_accuracy or ()), int(predicted_N.max(initial=0)) + 1)
            if classes * len(predicted_N) <= MAX_CELLS:
                self._excluded_CN = np.zeros((classes, len(predicted_N)), bool)
        if len(predicted_N) != len(self._known_N):
            return
        new_N = is_correct_N & (self._known_N < 0)
        self._known_N[new_N] = predicted_N[new_N]
        self._owner_N[new_N] = len(self._owners)
        self._owners.append(record)
        if self._excluded_CN is not None and int(predicted_N.max(initial=0)) < len(self._excluded_CN):
            self._excluded_CN[predicted_N[~is_correct_N], np.flatnonzero(~is_correct_N)] = True

    def errors(self, record: Record) -> Iterator[str]:
        """The errors of a record that contradicts what is known."""
        if record.task == "regression":
            variance = variance_of_targets(record)
            if variance is None or self._variance is None:
                return
            known, other = self._variance
            if abs(variance - known) > 1e-4 * known:
                yield (
                    f"Its rmse and r2 give the scored targets a variance of {variance:g}, and those of {_name(other, record)} "
                    f"{known:g}; the samples are the same."
                )
            return
        predictions = records.predictions(self._results, record)
        if predictions is None or self._known_N is None or self._owner_N is None or len(predictions[0]) != len(self._known_N):
            return  # said elsewhere: predictions are missing, or the numbers of scored samples differ
        predicted_N, is_correct_N = predictions
        is_equal_N = predicted_N == self._known_N
        contradicts_N = (self._known_N >= 0) & (is_equal_N != is_correct_N)
        others = np.bincount(self._owner_N[contradicts_N]) if contradicts_N.any() else None
        if self._excluded_CN is not None and int(predicted_N.max(initial=0)) < len(self._excluded_CN):
            contradicts_N |= is_correct_N & self._excluded_CN[predicted_N, np.arange(len(predicted_N))]
        if count := int(np.count_nonzero(contradicts_N)):
            other = self._owners[0 if others is None else int(others.argmax())]
            yield (
                f"{count} of its predictions contradict those of {_name(other, record)} on the same samples: equal predictions "
                "are correct for one and wrong for the other, or different ones are correct for both."
            )


def _name(other: Record, record: Record) -> str:
    """Another record as an error names it: by its entry, or by its case where it is of the same entry."""
    return other.entry if other.entry != record.entry else f"{other.pair} seed {other.seed}"


def variance_of_targets(record: Record) -> float | None:
    """The variance of the scored targets that follows from rmse and r2 of a single target column; None where none does."""
    scores = record.scores
    if scores.r2 is None or scores.rmse is None or scores.r2 > 1 - 1e-6 or len(scores.per_target_r2 or ()) != 1:
        return None
    return scores.rmse**2 / (1 - scores.r2)
