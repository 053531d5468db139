"""Ladders: a domain with `severity = [1, 2, ...]` stands for one domain a step, `NAME_s1`, `NAME_s2`, ...

In such a domain every shift option that is written as a list holds one value a step (an option that is a list by itself,
such as the priors of label_shift, is a list of lists there):

    [domains.noisy]
    severity = [1, 2, 3]
    shifts = [{ kind = "noise", sigma = [0.1, 0.2, 0.4] }]

In `[pairs]`, `list = ["clean:noisy"]` stands for a pair with each step.

`protocol.target_labels = [1, 3, 10]` is a ladder too, of granted labels: a pair `a:b` stands for `a:b_l1`, `a:b_l3` and
`a:b_l10`, each with so many labelled rows of its target.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any, NamedTuple


class LabelBudget(NamedTuple):
    """A step of a ladder of granted labels: the target domain that it is of, and its labelled rows."""

    domain: str
    labels: int


def expand_severities(raw: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The tables of a suite with every ladder as its steps, and what is wrong with the ladders.

    A ladder with a mistake keeps its steps, without shifts, so that nothing else that is right looks wrong for it.
    """
    tables = raw.get("domains")
    if not isinstance(tables, Mapping) or not any(isinstance(t, Mapping) and "severity" in t for t in tables.values()):
        return dict(raw), []
    wrong: list[str] = []
    domains: dict[str, Any] = {}
    steps: dict[str, list[str]] = {}
    for name, table in tables.items():
        if not isinstance(table, Mapping) or "severity" not in table:
            domains[name] = table
            continue
        found, mistakes = _steps(table)
        wrong += [f"domains.{name}: {text}" for text in mistakes]
        steps[name] = [f"{name}_s{step}" for step in found]
        if taken := [one for one in steps[name] if one in tables]:
            wrong.append(f"domains.{name}: its step {taken[0]!r} is another domain's name; rename that one")
        domains |= zip(steps[name], found.values(), strict=True)
    return {**raw, "domains": domains, "pairs": _paired(raw.get("pairs"), steps)}, wrong


def _steps(table: Mapping[str, Any]) -> tuple[dict[int, dict[str, Any]], list[str]]:
    """Severity -> the domain table of that step."""
    plain = {key: value for key, value in table.items() if key != "severity"}
    bare = {key: value for key, value in plain.items() if key != "shifts"}
    severity, shifts = table["severity"], table.get("shifts")
    if not isinstance(severity, list) or not severity or not all(type(s) is int and s >= 0 for s in severity):
        return {0: bare}, [f"severity = {severity!r} must be a list of whole numbers from 0 on, such as [1, 2, 3, 4, 5]"]
    if len(set(severity)) < len(severity):
        return dict.fromkeys(severity, bare), ["severity: a step stands in it twice"]
    if not isinstance(shifts, list):
        return dict.fromkeys(severity, bare), ["severity needs shifts of the domain's own, with one value a step"]
    lists = {
        f"shifts[{i}] ({shift.get('kind')}): {key}": value
        for i, shift in enumerate(shifts)
        if isinstance(shift, Mapping)
        for key, value in shift.items()
        if isinstance(value, list)
    }
    wrong = [
        f"{place} has {len(values)} values for {len(severity)} steps of severity; give one a step"
        for place, values in lists.items()
        if len(values) != len(severity)
    ]
    if not lists:
        wrong.append("severity needs a shift option with one value a step, as in sigma = [0.1, 0.2, 0.3]")
    if wrong:
        return dict.fromkeys(severity, bare), wrong
    return {step: {**plain, "shifts": [_at(shift, i) for shift in shifts]} for i, step in enumerate(severity)}, []


def _at(shift: Any, step: int) -> Any:
    """A shift with the values of one step."""
    if not isinstance(shift, Mapping):
        return shift
    return {key: value[step] if isinstance(value, list) else value for key, value in shift.items()}


def _paired(pairs: Any, steps: Mapping[str, list[str]]) -> Any:
    """`[pairs]` with each pair of a ladder as the pairs of its steps."""
    if not isinstance(pairs, Mapping) or not isinstance(pairs.get("list"), list):
        return pairs
    written: list[Any] = []
    for text in pairs["list"]:
        if not isinstance(text, str) or text.count(":") != 1:
            written.append(text)  # the schema of pairs says so
            continue
        left, target = text.split(":")
        choices = [steps.get(name, [name]) for name in (*left.split("+"), target)]
        written += [f"{'+'.join(sources)}:{last}" for *sources, last in itertools.product(*choices)]
    return {**pairs, "list": written}


def expand_label_budgets(raw: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, LabelBudget], list[str]]:
    """The tables of a suite with a ladder of labels as its steps, what each step is, and what is wrong with the ladder.

    The protocol itself is left without `target_labels`: each target has its own.
    """
    protocol, tables, pairs = raw.get("protocol"), raw.get("domains"), raw.get("pairs")
    if not isinstance(protocol, Mapping) or not isinstance(labels := protocol.get("target_labels"), list):
        return dict(raw), {}, []
    plain = {**raw, "protocol": {key: value for key, value in protocol.items() if key != "target_labels"}}
    if not labels or not all(type(n) is int and n > 0 for n in labels) or len(set(labels)) < len(labels):
        return (
            plain,
            {},
            [f"protocol.target_labels = {labels!r}: a ladder is of different whole numbers from 1 on, as [1, 3, 10]"],
        )
    if not isinstance(tables, Mapping) or not isinstance(pairs, Mapping):
        return plain, {}, []  # the schema says so
    every = [f"{a}:{b}" for a, b in itertools.permutations(tables, 2)] if pairs.get("all") is True else []
    listed = pairs.get("list", [])
    written: list[Any] = []
    rungs: dict[str, LabelBudget] = {}
    sources: set[str] = set()
    for text in [*every, *(listed if isinstance(listed, list) else [listed])]:
        left, _, target = text.partition(":") if isinstance(text, str) else ("", "", "")
        sources |= {*left.split("+")}
        if target not in tables or target in left.split("+"):
            written.append(text)  # the schema of pairs says so
            continue
        own = {f"{target}_l{n}": LabelBudget(target, n) for n in labels}
        rungs |= own
        written += [f"{left}:{step}" for step in own]
    wrong = [
        f"domains.{step}: the ladder of target_labels makes a domain of this name; rename it"
        for step in rungs
        if step in tables
    ]
    targets = {rung.domain for rung in rungs.values()}
    domains = {name: table for name, table in tables.items() if name in sources or name not in targets}
    domains |= {step: tables[rung.domain] for step, rung in rungs.items() if step not in tables}
    return (
        {**plain, "domains": domains, "pairs": {**{k: v for k, v in pairs.items() if k != "all"}, "list": written}},
        rungs,
        wrong,
    )
