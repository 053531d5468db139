"""Sweeps of one domain over severity or label budgets, recognised by the names of their domains.

`NAME_s2` is the domain NAME at severity 2; `NAME_l10` is NAME with ten labelled target samples per class.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

_LEVEL = re.compile(r"(?P<name>.+)_(?P<kind>[sl])(?P<level>[0-9]{1,9})")

Kind = Literal["severity", "labels"]
_KINDS: dict[str, Kind] = {"s": "severity", "l": "labels"}


class Sweep(NamedTuple):
    """A pair with the level left out of its name, and whether the level is a severity or a number of labels."""

    pair: str
    kind: Kind


def sweep_groups(pairs: Iterable[str]) -> dict[Sweep, dict[str, int]]:
    """The sweeps of two or more levels among pairs `source:target`: sweep -> pair -> level.

    A pair in which two domains have a level belongs to the sweep of its target.
    """
    sweeps: dict[Sweep, dict[str, int]] = defaultdict(dict)
    for pair in dict.fromkeys(pairs):
        names = re.split(r"([+:])", pair)
        matches = [(position, match) for position, name in enumerate(names) if (match := _LEVEL.fullmatch(name))]
        for position, match in matches[-1:]:
            base = "".join([*names[:position], match["name"], *names[position + 1 :]])
            sweeps[Sweep(base, _KINDS[match["kind"]])][pair] = int(match["level"])
    return {sweep: levels for sweep, levels in sweeps.items() if len(levels) > 1}


def merge_sweep_levels(domains: Sequence[tuple[str, ...]]) -> tuple[tuple[str, ...], ...]:
    """The domains of each pair, with the levels of one sweep replaced by its base domain.

    The levels of a sweep hold the same samples, more strongly shifted or with more labels, so they are not independent
    domains. A domain that is the only level of its base keeps its name.
    """
    levels: dict[str, set[str]] = defaultdict(set)
    for name in {name for pair in domains for name in pair}:
        levels[_base(name)].add(name)
    return tuple(tuple(_base(name) if len(levels[_base(name)]) > 1 else name for name in pair) for pair in domains)


def _base(name: str) -> str:
    """The name of a domain without its levels."""
    while match := _LEVEL.fullmatch(name):
        name = match["name"]
    return name
