"""The rules by which trials are selected: functions of a record that depend on no label of a scored sample."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tlbench.suite import Suite
from tlbench.terms import Record


@dataclass(frozen=True)
class Rule:
    """A criterion for trials: a number of a record on which no scored sample has an influence."""

    name: str
    value: Callable[[Record], float | None]
    """The number of a record; None where the record lacks it."""
    higher_is_better: bool


def _source_validation(record: Record) -> float | None:
    """The score on source samples that are held out from training."""
    return record.scores.source_r2 if record.task == "regression" else record.scores.source_accuracy


def _target_entropy(record: Record) -> float | None:
    """The mean entropy of the predictions on unlabelled target samples, in nats."""
    return record.scores.trace[-1].target_entropy if record.scores.trace else None


RULES = {
    rule.name: rule
    for rule in (
        Rule("source_validation", _source_validation, True),
        Rule("target_entropy", _target_entropy, False),
    )
}
"""All rules, by name."""


def rules(suite: Suite) -> list[Rule]:
    """The rules that a suite allows (`protocol.selection`)."""
    return [RULES[name] for name in suite.protocol.selection]
