"""Severity sweeps and label budgets: one entry of a suite that stands for several domains.

A severity sweep is a domain with `severity = [1, 2, ...]`. It stands for one domain per severity, `NAME_s1`, `NAME_s2`, ...
Each shift option that is written as a list holds one value per severity there (an option that is itself a list, such as the
priors of label_shift, is a list of lists):

    [domains.noisy]
    severity = [1, 2, 3]
    shifts = [{ kind = "noise", sigma = [0.1, 0.2, 0.4] }]

In `[pairs]`, `list = ["clean:noisy"]` stands for one pair per severity.

Label budgets are a list `protocol.target_labels = [1, 3, 10]`. A pair `a:b` then stands for `a:b_l1`, `a:b_l3` and `a:b_l10`,
each with that many labelled samples of its target per class (in total, for regression).
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any, NamedTuple

from tlbench.suite.pairs import EVERY, SEQUENCE, pair_label, pairs_of_all
from tlbench.terms import SweepLevel


class LabelBudget(NamedTuple):
    """The number of labelled target samples of a generated target, and the domain that it was generated from."""

    domain: str
    labels: int


def sweep_levels(raw: Mapping[str, Any], label_budgets: Mapping[str, LabelBudget]) -> dict[str, SweepLevel]:
    """The domains that the sweeps of a suite generate, by name, with what each stands for.

    Args:
        raw: the tables of the suite, as they are written.
        label_budgets: the targets that its label budgets generate, from `expand_label_budgets`.
    """
    levels: dict[str, SweepLevel] = {}
    tables = raw.get("domains")
    for name, table in tables.items() if isinstance(tables, Mapping) else ():
        severities = table.get("severity") if isinstance(table, Mapping) else None
        for severity in severities if isinstance(severities, list) else ():
            if type(severity) is int:
                levels[f"{name}_s{severity}"] = SweepLevel(base=name, kind="severity", level=severity)
    for name, budget in label_budgets.items():
        levels[name] = SweepLevel(base=budget.domain, kind="labels", level=budget.labels)
    return levels


def expand_severities(raw: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The tables of a suite with each severity sweep as its domains, and the errors of the sweeps.

    A sweep with an error keeps its domains, without shifts, so that no other table seems wrong because of it.
    """
    tables = raw.get("domains")
    if not isinstance(tables, Mapping) or not any(isinstance(t, Mapping) and "severity" in t for t in tables.values()):
        return dict(raw), []
    errors: list[str] = []
    domains: dict[str, Any] = {}
    generated: dict[str, list[str]] = {}
    for name, table in tables.items():
        if not isinstance(table, Mapping) or "severity" not in table:
            domains[name] = table
            continue
        by_severity, sweep_errors = _domain_by_severity(table)
        errors += [f"domains.{name}: {text}" for text in sweep_errors]
        generated[name] = [f"{name}_s{severity}" for severity in by_severity]
        if clashes := [one for one in generated[name] if one in tables]:
            errors.append(
                f"domains.{name}: The sweep generates {clashes[0]!r}, which another domain is called. Rename that one."
            )
        domains |= zip(generated[name], by_severity.values(), strict=True)
    return {**raw, "domains": domains, "pairs": _expanded_pairs(raw.get("pairs"), generated)}, errors


def _domain_by_severity(table: Mapping[str, Any]) -> tuple[dict[int, dict[str, Any]], list[str]]:
    """Severity -> the table of its domain, and the errors of the sweep."""
    own = {key: value for key, value in table.items() if key != "severity"}
    without_shifts = {key: value for key, value in own.items() if key != "shifts"}
    severities, shifts = table["severity"], table.get("shifts")
    if not isinstance(severities, list) or not severities or not all(type(s) is int and s >= 0 for s in severities):
        rule = "must be a list of whole numbers from 0 on, such as [1, 2, 3, 4, 5]."
        return {0: without_shifts}, [f"severity = {severities!r} {rule}"]
    placeholders = dict.fromkeys(severities, without_shifts)
    if len(set(severities)) < len(severities):
        return placeholders, ["severity: A severity appears twice. Give each one once."]
    if not isinstance(shifts, list):
        return placeholders, ["severity: The domain has no shifts. Give it shifts with one value per severity."]
    values_of = {
        f"shifts[{i}] ({shift.get('kind')}): {key}": value
        for i, shift in enumerate(shifts)
        if isinstance(shift, Mapping)
        for key, value in shift.items()
        if isinstance(value, list)
    }
    errors = [
        f"{option} has {len(values)} values for {len(severities)} severities. Give one value per severity."
        for option, values in values_of.items()
        if len(values) != len(severities)
    ]
    if not values_of:
        errors.append("severity: No shift option varies. Give one of them a value per severity, as in sigma = [0.1, 0.2, 0.3].")
    if errors:
        return placeholders, errors
    by_severity = {s: {**own, "shifts": [_shift_at(shift, i) for shift in shifts]} for i, s in enumerate(severities)}
    return by_severity, []


def _shift_at(shift: Any, index: int) -> Any:
    """A shift with its option values for one severity."""
    if not isinstance(shift, Mapping):
        return shift
    return {key: value[index] if isinstance(value, list) else value for key, value in shift.items()}


def _expanded_pairs(pairs: Any, generated: Mapping[str, list[str]]) -> Any:
    """`[pairs]` with each pair of a sweep as the pairs of its generated domains."""
    if not isinstance(pairs, Mapping) or not isinstance(pairs.get("list"), list):
        return pairs
    expanded: list[Any] = []
    for text in pairs["list"]:
        if not isinstance(text, str) or text.count(":") != 1:
            expanded.append(text)  # `parse_pairs` reports it
            continue
        left, target = text.split(":")
        last = [name for one in target.split(SEQUENCE) for name in generated.get(one, [one])]
        targets = [SEQUENCE.join(last)] if SEQUENCE in target else last
        choices = [*(generated.get(name, [name]) for name in left.split("+")), targets]
        expanded += [f"{'+'.join(sources)}:{last}" for *sources, last in itertools.product(*choices)]
    return {**pairs, "list": expanded}


def expand_label_budgets(raw: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, LabelBudget], list[str]]:
    """The tables of a suite with one target domain per label budget, the budget of each, and the errors of the budgets.

    The returned `[protocol]` has no `target_labels`: each target has its own.
    """
    protocol, tables, pairs = raw.get("protocol"), raw.get("domains"), raw.get("pairs")
    if not isinstance(protocol, Mapping) or not isinstance(budgets := protocol.get("target_labels"), list):
        return dict(raw), {}, []
    without_budgets = {**raw, "protocol": {key: value for key, value in protocol.items() if key != "target_labels"}}
    if not budgets or not all(type(n) is int and n > 0 for n in budgets) or len(set(budgets)) < len(budgets):
        rule = "must be different whole numbers from 1 on, such as [1, 3, 10]."
        return without_budgets, {}, [f"protocol.target_labels = {budgets!r}: Label budgets {rule}"]
    if not isinstance(tables, Mapping) or not isinstance(pairs, Mapping):
        return without_budgets, {}, []  # the schema and `parse_pairs` report it
    every = [pair_label(pair) for pair in pairs_of_all(pairs, list(tables))]
    listed = pairs.get("list", [])
    expanded: list[Any] = []
    generated: dict[str, LabelBudget] = {}
    sources: set[str] = set()
    for text in [*every, *(listed if isinstance(listed, list) else [listed])]:
        left, _, target = text.partition(":") if isinstance(text, str) else ("", "", "")
        sources |= {*left.split("+")}
        if target not in tables or target in left.split("+"):
            expanded.append(text)  # `parse_pairs` reports it
            continue
        own = {f"{target}_l{n}": LabelBudget(target, n) for n in budgets}
        generated |= own
        expanded += [f"{left}:{name}" for name in own]
    errors = [
        f"domains.{name}: The label budgets of protocol.target_labels generate a domain of this name. Rename this one."
        for name in generated
        if name in tables
    ]
    targets = {budget.domain for budget in generated.values()}
    domains = {name: table for name, table in tables.items() if name in sources or name not in targets}
    domains |= {name: tables[budget.domain] for name, budget in generated.items() if name not in tables}
    pairs = {**{key: value for key, value in pairs.items() if key not in EVERY}, "list": expanded}
    return {**without_budgets, "domains": domains, "pairs": pairs}, generated, errors
