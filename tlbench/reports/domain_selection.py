"""Three rules of model selection for domain generalization, side by side: which configuration each selects on a pair.

A configuration is a method with its options and its training. The rules are those of Gulrajani and Lopez-Paz, In search of lost
domain generalization, ICLR 2021. https://arxiv.org/abs/2007.01434
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from tlbench.suite.pairs import Pair, pair_label
from tlbench.terms import Record

Scored = Mapping[str, Record]
"""The finished records of a configuration and seed by pair, such as "a+b:c"."""


def source_validation(records: Scored, pair: Pair) -> float | None:
    """The accuracy on held-out samples of the sources, which DomainBed calls IID; None where it was not measured."""
    record = records.get(pair_label(pair))
    return None if record is None else record.scores.source_accuracy


def leave_one_domain_out(records: Scored, pair: Pair) -> float | None:
    """The mean over the sources of the accuracy on each after a training on the others; None where one was not measured."""
    scored = [records.get(pair_label(one)) for one in validation_pairs(pair)]
    accuracies = [record.scores.target_accuracy for record in scored if record is not None]
    measured = [accuracy for accuracy in accuracies if accuracy is not None]
    return fmean(measured) if measured and len(measured) == len(scored) else None


def oracle(records: Scored, pair: Pair) -> float | None:
    """The accuracy on the target itself, an upper bound and no rule that a user has; None where it was not measured."""
    record = records.get(pair_label(pair))
    return None if record is None else record.scores.target_accuracy


RULES: dict[str, Callable[[Scored, Pair], float | None]] = {
    "source_validation": source_validation,
    "leave_one_domain_out": leave_one_domain_out,
    "oracle": oracle,
}
"""The rules by name: functions of the records of a configuration and of a pair, of which the highest number is selected."""
TITLES = {
    "source_validation": "source validation",
    "leave_one_domain_out": "leave-one-domain-out cross-validation",
    "oracle": "oracle (selects by the labels of the target)",
}
"""The names of the rules in words."""


@dataclass(frozen=True)
class Selected:
    """What a rule selects among the configurations of a method on a pair."""

    configuration: str
    value: float
    """The number of the rule, a share."""
    target_accuracy: float
    """A share."""


def validation_pairs(pair: Pair) -> list[Pair]:
    """Each source of a pair as the target of the other sources, for cross-validation; none of a pair with one source."""
    sources, _ = pair
    return [(tuple(other for other in sources if other != one), one) for one in sources if len(sources) > 1]


def by_configuration(records: Iterable[Record], configuration: Callable[[Record], str]) -> dict[str, dict[int, Scored]]:
    """The finished records by configuration, seed and pair.

    Args:
        records: of one method.
        configuration: the name of the configuration of a record.
    """
    grouped: dict[str, dict[int, dict[str, Record]]] = {}
    for record in records:
        if record.status == "done":
            grouped.setdefault(configuration(record), {}).setdefault(record.seed, {})[record.pair] = record
    return {name: dict(by_seed) for name, by_seed in grouped.items()}


def select(rule: str, configurations: Mapping[str, Scored], pair: Pair) -> Selected | None:
    """The configuration that a rule selects on a pair: the first of those with its highest number.

    Args:
        rule: a name in `RULES`.
        configurations: the records of one seed, by configuration.
        pair: the sources and the target.

    Returns:
        None where no configuration has both a number of the rule and a target accuracy.
    """
    selected: Selected | None = None
    for name, records in configurations.items():
        value, accuracy = RULES[rule](records, pair), oracle(records, pair)
        if value is not None and accuracy is not None and (selected is None or value > selected.value):
            selected = Selected(name, value, accuracy)
    return selected


def selected_accuracy(rule: str, configurations: Mapping[str, Mapping[int, Scored]], pair: Pair) -> float | None:
    """The mean over seeds of the target accuracy that a rule selects on a pair; None without one.

    Each seed selects for itself, as the repetitions of DomainBed do.

    Args:
        rule: a name in `RULES`.
        configurations: from `by_configuration`.
        pair: the sources and the target.
    """
    seeds: Sequence[int] = sorted({seed for by_seed in configurations.values() for seed in by_seed})
    accuracies = []
    for seed in seeds:
        of_seed = {name: by_seed[seed] for name, by_seed in configurations.items() if seed in by_seed}
        if (selected := select(rule, of_seed, pair)) is not None:
            accuracies.append(selected.target_accuracy)
    return fmean(accuracies) if accuracies else None
