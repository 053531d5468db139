"""The rules by which trials are selected: functions of a record that depend on no label of a scored sample."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tlbench import selection
from tlbench.records.candidates import label_free_facts
from tlbench.records.rule_numbers import rule_number
from tlbench.suite import Suite
from tlbench.terms import Record


@dataclass(frozen=True)
class Rule:
    """A criterion for trials: a number of a record on which no scored sample has an influence."""

    name: str
    value: Callable[[Record, Path], float | None]
    """The number of a record in its results directory; None where it has none."""
    higher_is_better: bool


def _source_validation(record: Record, results: Path) -> float | None:
    """The score on source samples that are held out from training."""
    return record.scores.source_r2 if record.task == "regression" else record.scores.source_accuracy


def _target_entropy(record: Record, results: Path) -> float | None:
    """The mean entropy of the predictions on unlabelled target samples, in nats."""
    return record.scores.trace[-1].target_entropy if record.scores.trace else None


RULES = {
    rule.name: rule
    for rule in (
        Rule("source_validation", _source_validation, True),
        Rule("target_entropy", _target_entropy, False),
    )
}
"""The rules that read records alone, by name."""
NO_NUMBER_OF_ONE_TRIAL = frozenset({"ens_v", "k_labels", "last", "random", "reverse_validation", "step_0"})
"""Selection rules that compare candidates with each other, read labels of scored samples or ignore the model."""


def rules(suite: Suite) -> list[Rule]:
    """The rules that a suite allows: those of `protocol.selection`, and with `[selection]` those that stored facts give."""
    allowed = [RULES[name] for name in suite.protocol.selection]
    if suite.selection is None:
        return allowed
    names = [name for name in selection.rule_names() if name not in NO_NUMBER_OF_ONE_TRIAL]
    return [*allowed, *(Rule(name, partial(_number_of_facts, name), True) for name in names)]


def _number_of_facts(rule: str, record: Record, results: Path) -> float | None:
    """The number of the finished model of a record, from its label-free facts alone."""
    name = record.scores.label_free_facts
    facts = None if name is None else label_free_facts(results, record.suite, name)
    number = math.nan if facts is None else rule_number(facts, rule, -1, record.seed)
    return number if math.isfinite(number) else None
