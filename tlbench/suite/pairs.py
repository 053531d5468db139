"""The table `[pairs]`: which source domains are transferred to which target domain."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from tlbench.errors import unknown_name

Pair = tuple[tuple[str, ...], str]
"""The names of the source domains, and the name of the target domain."""

SEQUENCE = ">"
"""Stands between the targets of a pair that come one after the other, as one stream."""

PAIRS_RULE = 'Write all = true, leave_one_out = true, or list = ["source:target", "source+source:target"].'
EVERY = ("all", "leave_one_out")
"""The keys that stand for pairs of all domains."""


def pair_label(pair: Pair) -> str:
    """A pair as it is written in a suite: `a:b`, or `a+c:b` for two sources."""
    sources, target = pair
    return f"{'+'.join(sources)}:{target}"


def pairs_of_all(table: Mapping[str, Any], names: Sequence[str]) -> list[Pair]:
    """The pairs that `all` and `leave_one_out` stand for in a table `[pairs]`: none of fewer than two domains."""
    pairs: list[Pair] = []
    if table.get("all") is True:
        pairs += [((source,), target) for source, target in itertools.permutations(names, 2)]
    if table.get("leave_one_out") is True and len(names) > 1:
        pairs += [(tuple(name for name in names if name != target), target) for target in names]
    return pairs


def validation_pairs(pair: Pair) -> list[Pair]:
    """Each source of a pair as the target of the other sources, for cross-validation; none of a pair with one source."""
    sources, _ = pair
    return [(tuple(other for other in sources if other != one), one) for one in sources if len(sources) > 1]


def parse_pairs(value: Any, names: Sequence[str]) -> tuple[tuple[Pair, ...], list[str]]:
    """The pairs of the table `[pairs]` without repetition, and all errors in it.

    Args:
        value: the table: `all = true` stands for every ordered pair of domains, `leave_one_out = true` for each domain as the
            target of all others, `list` holds texts such as "a+c:b".
        names: the names of the domains.
    """
    if not isinstance(value, Mapping) or not value:
        return (), [f"pairs: The table is missing or empty. {PAIRS_RULE}"]
    errors = [unknown_name("key", key, (*EVERY, "list"), "pairs") for key in value if key not in {*EVERY, "list"}]
    pairs = pairs_of_all(value, names)
    for key in EVERY:
        if value.get(key) is True and len(names) < 2:
            errors.append(f"pairs: {key} = true needs at least two domains.")
        elif not isinstance(value.get(key, False), bool):
            errors.append(f"pairs.{key} = {value[key]!r} must be true or false.")
    listed = value.get("list", [])
    if not isinstance(listed, list) or not all(isinstance(text, str) and text.count(":") == 1 for text in listed):
        return (), [*errors, f"pairs.list: Each pair must be a text with one colon. {PAIRS_RULE}"]
    for text in listed:
        left, target = text.split(":")
        sources = tuple(left.split("+"))
        where = f"pairs.list {text!r}"
        domains = (*sources, *target.split(SEQUENCE))
        errors += [unknown_name("domain", name, names, where) for name in domains if name not in names]
        if len(set(domains)) < len(domains):
            errors.append(f"{where}: A domain appears twice. Name each domain once.")
        pairs.append((sources, target))
    if not pairs and not errors:
        errors.append(f"pairs: No pair is given. {PAIRS_RULE}")
    return tuple(dict.fromkeys(pairs)), errors
