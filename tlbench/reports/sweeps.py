"""Ladders of domains by their names: `NAME_s2` is NAME at severity 2, `NAME_l10` is NAME with ten labelled rows a class."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

_STEP = re.compile(r"(?P<name>.+)_(?P<kind>[sl])(?P<step>[0-9]{1,9})")

Kind = Literal["severity", "labels"]
_KINDS: dict[str, Kind] = {"s": "severity", "l": "labels"}


class Ladder(NamedTuple):
    """What climbs: a pair with the step left out of its name, and what the step counts."""

    pair: str
    kind: Kind


def sweep_groups(pairs: Iterable[str]) -> dict[Ladder, dict[str, int]]:
    """Of pairs `source:target` those that stand on a ladder of two steps or more: ladder -> pair -> step.

    Of two ladders in one pair it is the target's.
    """
    found: dict[Ladder, dict[str, int]] = defaultdict(dict)
    for pair in dict.fromkeys(pairs):
        names = re.split(r"([+:])", pair)
        steps = [(place, match) for place, part in enumerate(names) if (match := _STEP.fullmatch(part))]
        for place, match in steps[-1:]:
            of = "".join([*names[:place], match["name"], *names[place + 1 :]])
            found[Ladder(of, _KINDS[match["kind"]])][pair] = int(match["step"])
    return {of: steps for of, steps in found.items() if len(steps) > 1}


def with_base_level(domains: Sequence[tuple[str, ...]]) -> tuple[tuple[str, ...], ...]:
    """The domains of each pair, where steps of one ladder are one domain: its name.

    They hold the same rows, shifted a little more or with more of them labelled, and are no sample of domains.
    """
    of: dict[str, set[str]] = defaultdict(set)
    for name in {name for pair in domains for name in pair}:
        of[_ground(name)].add(name)
    return tuple(tuple(_ground(name) if len(of[_ground(name)]) > 1 else name for name in pair) for pair in domains)


def _ground(name: str) -> str:
    while match := _STEP.fullmatch(name):
        name = match["name"]
    return name
