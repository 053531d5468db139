"""Groups of scored samples from a column of the data, for records whose suite declares no group.

The predictions on file and the labels of the data give the accuracy of each group. No case is run again, and records on file do
not change.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tlbench import records as results_files
from tlbench import runner
from tlbench.engine.scored_labels import scored_labels
from tlbench.errors import TlbenchError
from tlbench.methods import named_sets
from tlbench.suite import Suite, parse_suite
from tlbench.terms import Domain, Labelled, Record

_THRESHOLD = re.compile(r"(?P<column>.+?)\s*>=\s*(?P<number>[-+]?[0-9.]+(?:[eE][-+]?[0-9]+)?)")


@dataclass(frozen=True)
class GroupRule:
    """A column whose values are the groups or, with a threshold, two groups: numbers from the threshold on, and below it."""

    column: str
    threshold: float | None = None

    def names(self, values: Iterable[str]) -> list[str]:
        """The group of each value of the column.

        Raises:
            TlbenchError: a value is no number, and the rule has a threshold.
        """
        if self.threshold is None:
            return list(values)
        try:
            above = [float(value) >= self.threshold for value in values]
        except ValueError as error:
            raise TlbenchError(
                f"Column {self.column!r} has values that are no numbers: {error}. Name the column alone."
            ) from error
        return [f"{self.column} {'>=' if is_above else '<'} {self.threshold:g}" for is_above in above]


def parse_rule(text: str) -> GroupRule:
    """The rule of a text such as "sex" or "education_years >= 13"."""
    match = _THRESHOLD.fullmatch(text.strip())
    return GroupRule(text.strip()) if match is None else GroupRule(match["column"], float(match["number"]))


def with_groups(records: Iterable[Record], results: Path, suite: Suite, root: Path, rule: GroupRule) -> Iterator[Record]:
    """The records with the accuracy of each group of the rule in the place of the declared groups.

    Records that are not finished, or have no predictions on file, have no accuracies of groups then.

    Args:
        records: records of the suite.
        results: the results directory that holds the predictions.
        suite: the suite, with the protocol of the records.
        root: the data root.
        rule: the column of the groups.

    Raises:
        TlbenchError: the suite has no file, its reader takes no group, the column does not exist, or the data or the protocol
            are not those of the records.
    """
    grouped, domains = _with_group_column(suite, rule.column), dict[str, Domain]()
    for record in records:
        predictions = results_files.predictions(results, record) if record.status == "done" else None
        if predictions is None or record.suite_version != suite.version:
            yield record.model_copy(update={"scores": record.scores.model_copy(update={"per_group_accuracy": None})})
            continue
        if record.suite_hash != suite.hash:
            raise TlbenchError(
                f"{suite.name}: The protocol of the records is not that of the suite today. Run the suite again."
            )
        for name in (*record.sources, record.target):
            if name not in domains:
                domains[name] = _regrouped(suite, grouped, name, root, rule)
            if domains[name].fingerprint != record.data.get(name):
                raise TlbenchError(
                    f"domains.{name}: The data are not those of the records. Name their data root with --data DIR."
                )
        accuracies = _accuracies(record, suite, domains, predictions[0])
        yield record.model_copy(update={"scores": record.scores.model_copy(update={"per_group_accuracy": accuracies})})


def _accuracies(record: Record, suite: Suite, domains: Mapping[str, Domain], predicted: Any) -> dict[str, float | None]:
    """The accuracy of each group that has scored samples."""
    labels = scored_labels(record, suite, domains)
    if len(predicted) != len(labels.y):
        raise TlbenchError(f"{record.entry} {record.pair}: {len(predicted)} predictions are of {len(labels.y)} scored samples.")
    shares = labels.scores(predicted)["per_group_accuracy"] or {}
    return {name: share for name, share in shares.items() if share is not None}


def _with_group_column(suite: Suite, column: str) -> Suite:
    """The suite with a column as the group of all domains."""
    if suite.path is None:
        raise TlbenchError(f"Suite {suite.name} has no file, and groups of data take one. Name a suite file.")
    raw = tomllib.loads(suite.path.read_text(encoding="utf-8"))
    raw["data"] = {**raw.get("data", {}), "group": column}
    return parse_suite(raw, str(suite.path), path=suite.path, expansion=named_sets.with_members)


def _regrouped(suite: Suite, grouped: Suite, name: str, root: Path, rule: GroupRule) -> Domain:
    """A domain as the suite declares it, with the groups of the rule."""
    domain, other = (runner.load_domains(one, [name], root)[name] for one in (suite, grouped))
    of_value = rule.names(other.groups)
    groups = tuple(dict.fromkeys(of_value))
    index_of = torch.from_numpy(np.array([groups.index(group) for group in of_value], dtype=np.int64))

    def with_group(samples: Labelled | None, of: Labelled | None) -> Labelled | None:
        if samples is None or of is None or of.group is None:
            return samples
        if not torch.equal(samples.y, of.y):
            raise TlbenchError(f"domains.{name}: With the column {rule.column!r} other samples are read. Name another column.")
        return replace(samples, group=index_of[of.group])

    samples = with_group(domain.samples, other.samples)
    assert samples is not None
    return replace(domain, samples=samples, test=with_group(domain.test, other.test), groups=groups)
