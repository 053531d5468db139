"""Three rules of model selection for domain generalization, side by side: which configuration each selects on a pair.

A configuration is a method with its options and its training. The rules are those of Gulrajani and Lopez-Paz, In search of lost
domain generalization, ICLR 2021. https://arxiv.org/abs/2007.01434
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from tlbench.suite.pairs import Pair, pair_label, validation_pairs
from tlbench.terms import Record


@dataclass(frozen=True)
class Accuracies:
    """The accuracies of one finished case, as shares; None where one was not measured."""

    source: float | None
    """On held-out samples of the sources."""
    target: float | None


Scored = Mapping[str, Accuracies]
"""The accuracies of a configuration and seed by pair, such as "a+b:c"."""


def source_validation(scored: Scored, pair: Pair) -> float | None:
    """The accuracy on held-out samples of the sources, which DomainBed calls IID; None where it was not measured."""
    case = scored.get(pair_label(pair))
    return None if case is None else case.source


def leave_one_domain_out(scored: Scored, pair: Pair) -> float | None:
    """The mean over the sources of the accuracy on each after a training on the others; None where one was not measured."""
    cases = [scored.get(pair_label(one)) for one in validation_pairs(pair)]
    measured = [case.target for case in cases if case is not None and case.target is not None]
    return fmean(measured) if measured and len(measured) == len(cases) else None


def oracle(scored: Scored, pair: Pair) -> float | None:
    """The accuracy on the target itself, an upper bound and no rule that a user has; None where it was not measured."""
    case = scored.get(pair_label(pair))
    return None if case is None else case.target


RULES: dict[str, Callable[[Scored, Pair], float | None]] = {
    "source_validation": source_validation,
    "leave_one_domain_out": leave_one_domain_out,
    "oracle": oracle,
}
"""The rules by name: functions of the accuracies of a configuration and of a pair, of which the highest number is selected."""
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


def by_configuration(records: Iterable[Record], configuration: Callable[[Record], str]) -> dict[str, dict[int, Scored]]:
    """The accuracies of finished records by configuration, seed and pair.

    Args:
        records: of one method.
        configuration: the name of the configuration of a record.
    """
    grouped: dict[str, dict[int, dict[str, Accuracies]]] = {}
    for record in records:
        if record.status == "done":
            accuracies = Accuracies(record.scores.source_accuracy, record.scores.target_accuracy)
            grouped.setdefault(configuration(record), {}).setdefault(record.seed, {})[record.pair] = accuracies
    return {name: dict(by_seed) for name, by_seed in grouped.items()}


def select(rule: str, configurations: Mapping[str, Scored], pair: Pair) -> Selected | None:
    """The configuration that a rule selects on a pair: the first of those with its highest number.

    Args:
        rule: a name in `RULES`.
        configurations: the accuracies of one seed, by configuration.
        pair: the sources and the target.

    Returns:
        None where no configuration has both a number of the rule and a target accuracy.
    """
    selected: Selected | None = None
    for name, scored in configurations.items():
        value, accuracy = RULES[rule](scored, pair), oracle(scored, pair)
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
