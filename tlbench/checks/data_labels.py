"""Scores of records derived from their predictions and from the labels of the data, where the data root has these data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tlbench import records, runner
from tlbench.engine.scored_labels import scored_labels
from tlbench.errors import DivergedError, TlbenchError
from tlbench.reports.tables.captions import plural
from tlbench.suite import Suite
from tlbench.terms import POSITION_TASKS, Domain, Record

_SUMS = (1e-6, 1e-6)
TOLERANCES = {"r2": _SUMS, "per_target_r2": _SUMS, "task_score": _SUMS, "rmse": (0.0, 1e-6), "mae": (0.0, 1e-6)}
"""The absolute and the relative tolerance of the scores of a regression: another machine may add in another order."""
SHARE_TOLERANCE = (1e-9, 0.0)
MAX_REASON_CHARACTERS = 300


class DataLabels:
    """The labels of scored samples, from the data of a suite. A domain is loaded when a record first needs it.

    Args:
        suite: the suite of the records.
        root: the data root; None: there is none.
    """

    def __init__(self, suite: Suite, root: Path | None) -> None:
        self._suite, self._root = suite, root
        self._domains: dict[str, Domain | str] = {}
        """By name, each domain, or the reason why it can't be loaded."""
        self.compared = 0
        """The number of records whose scores were derived from labels."""
        self.not_compared: Counter[str] = Counter()
        """The reason why a record was not compared -> the number of such records."""

    def errors(self, results: Path, record: Record) -> Iterator[str]:
        """The errors of a finished record whose predictions or scores do not follow from the labels of the data."""
        if record.status != "done":
            return
        domains, reason = self._domains_of(record)
        if not reason and record.suite_hash != self._suite.hash:
            reason = "their protocol is not that of the suite today, and it decides which samples are scored"
        predicted = _predicted(results, record)
        if not reason and predicted is None:
            reason = "they have no predictions beside them"
        if reason or predicted is None:
            self.not_compared[reason] += 1
            return
        try:
            labels = scored_labels(record, self._suite, domains)
            y = labels.y.numpy()
            predicted_N, is_correct_N = predicted
            if predicted_N.shape != y.shape:
                yield f"It has predictions of the shape {predicted_N.shape}, and the labels of the data {y.shape}."
                return
            if is_correct_N is not None and int(predicted_N.max()) >= len(labels.classes):
                yield f"Its predictions name class {int(predicted_N.max())}, and the data have {len(labels.classes)} classes."
                return
            self.compared += 1
            if is_correct_N is not None and (mismatches := int(np.count_nonzero(is_correct_N != (predicted_N == y)))):
                yield f"{mismatches} of its predictions are marked as correct or as wrong against the labels of the data."
            yield from _score_errors(record.scores.model_dump(), labels.scores(predicted_N))
        except DivergedError as error:
            yield f"Its predictions have no score: {error}"
        except TlbenchError as error:
            self.not_compared[_short(str(error))] += 1

    def sentences(self) -> Iterator[str]:
        """What was compared with the labels of the data, and what could not be."""
        if self.compared:
            yield f"The scores of {plural(self.compared, 'record')} follow from their predictions and the labels of the data."
        for reason, count in self.not_compared.items():
            yield f"Not compared with the labels of the data: {plural(count, 'record')}, for {reason}."

    def _domains_of(self, record: Record) -> tuple[dict[str, Domain], str]:
        """The domains of a record's pair; a reason where they are not those of the record, or can't be loaded."""
        if self._root is None:
            return {}, "there is no data root"
        domains: dict[str, Domain] = {}
        for name in (*record.sources, record.target):
            loaded = self._load(name)
            if isinstance(loaded, str):
                return {}, loaded
            if loaded.fingerprint != record.data.get(name):
                return {}, f"domain {name} has the fingerprint {loaded.fingerprint} here and {record.data.get(name)} on file"
            domains[name] = loaded
        return domains, ""

    def _load(self, name: str) -> Domain | str:
        """A domain of the suite, or the reason why it can't be loaded."""
        if name not in self._domains:
            if name not in self._suite.domains or self._root is None:
                self._domains[name] = f"the suite has no domain {name!r}"
            else:
                try:
                    self._domains[name] = runner.load_domains(self._suite, [name], self._root)[name]
                except TlbenchError as error:
                    self._domains[name] = _short(str(error))
        return self._domains[name]


def _predicted(results: Path, record: Record) -> tuple[np.ndarray, np.ndarray | None] | None:
    """The predictions of a record, and of a classification whether each is marked as correct."""
    if record.task != "classification" and record.task not in POSITION_TASKS:
        outputs = records.outputs(results, record)
        return None if outputs is None else (outputs, None)
    return records.predictions(results, record)


def _score_errors(stated: Mapping[str, Any], derived: Mapping[str, Any]) -> Iterator[str]:
    """An error for each score that is not the one that follows from the labels."""
    for name, value in derived.items():
        if not _agree(stated[name], value, name):
            yield f"{name} is {_text(stated[name])}, and its predictions and the labels of the data give {_text(value)}."


def _agree(one: Any, two: Any, name: str) -> bool:
    """Whether two values of a score agree; in mappings, None is as good as no entry."""
    if isinstance(one, dict) and isinstance(two, dict):
        first, second = ({key: value for key, value in of.items() if value is not None} for of in (one, two))
        return first.keys() == second.keys() and all(
            _agree(first[key], second[key], key if key in TOLERANCES else name) for key in first
        )
    if not isinstance(one, float | int) or not isinstance(two, float | int):
        return bool(one == two)
    absolute, relative = TOLERANCES.get(name, SHARE_TOLERANCE)
    return abs(one - two) <= absolute + relative * abs(two)


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return _short(", ".join(f"{key}: {_text(one)}" for key, one in value.items()))
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _short(text: str) -> str:
    """A text of one line and of limited length, without the full stop at its end."""
    line = " ".join(text.split()).removesuffix(".")
    return line if len(line) <= MAX_REASON_CHARACTERS else f"{line[:MAX_REASON_CHARACTERS]}..."
