"""Sweeps of one domain over severity or label budgets: which pairs and domains of a suite's records belong to one.

A record says which of its domains a sweep generated. Older records do not: of them the shipped suites tell it, and domains of
other suites are taken for what they are, whatever their names.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

from tlbench.suite import shipped_sweep_levels
from tlbench.terms import SweepLevel

if TYPE_CHECKING:
    import pandas as pd

Kind = Literal["severity", "labels"]
Levels = Mapping[str, SweepLevel]
"""A generated domain -> what it stands for."""


class Sweep(NamedTuple):
    """A pair with the level left out of its name, and whether the level is a severity or a number of labels."""

    pair: str
    kind: Kind


def levels_of(frame: pd.DataFrame) -> dict[str, SweepLevel]:
    """The generated domains that the records of a suite tell of, or, for older ones, the shipped suite.

    Args:
        frame: the records of one suite, from `reports.frame`.
    """
    told = frame["sweep_levels"]
    levels: dict[str, SweepLevel] = {}
    for suite in frame["suite"][told.isna()].unique():
        levels |= shipped_sweep_levels(str(suite))
    for text in told.dropna().unique():
        levels |= {name: SweepLevel.model_validate(level) for name, level in json.loads(text).items()}
    return levels


def sweep_groups(pairs: Iterable[str], levels: Levels) -> dict[Sweep, dict[str, int]]:
    """The sweeps of two or more levels among pairs `source:target`: sweep -> pair -> level.

    A pair in which two domains have a level belongs to the sweep of its target.
    """
    sweeps: dict[Sweep, dict[str, int]] = defaultdict(dict)
    for pair in dict.fromkeys(pairs):
        names = re.split(r"([+:])", pair)
        for position in [i for i, name in enumerate(names) if name in levels][-1:]:
            level = levels[names[position]]
            base = "".join([*names[:position], level.base, *names[position + 1 :]])
            sweeps[Sweep(base, level.kind)][pair] = level.level
    return {sweep: pairs_of for sweep, pairs_of in sweeps.items() if len(pairs_of) > 1}


def merge_sweep_levels(domains: Sequence[tuple[str, ...]], levels: Levels) -> tuple[tuple[str, ...], ...]:
    """The domains of each pair, with the levels of one sweep replaced by its base domain.

    The levels of a sweep hold the same samples, more strongly shifted or with more labels, so they are not independent
    domains. A domain that is the only level of its base keeps its name.
    """
    of_base: dict[str, set[str]] = defaultdict(set)
    for name in {name for pair in domains for name in pair}:
        of_base[_base(name, levels)].add(name)

    def merged(name: str) -> str:
        base = _base(name, levels)
        return base if len(of_base[base]) > 1 else name

    return tuple(tuple(map(merged, pair)) for pair in domains)


def count_distinct(domains: Iterable[tuple[str, ...]], levels: Levels) -> int:
    """The number of pairs that are really different: pairs that differ in nothing but the level of a sweep count once.

    Args:
        domains: the sources of each pair and then its target.
        levels: the domains that sweeps generate.
    """
    return len(set(merge_sweep_levels(list(domains), levels)))


def _base(name: str, levels: Levels) -> str:
    """The name of a domain without its levels."""
    passed: set[str] = set()
    while name in levels and name not in passed:  # a record of others may name a circle
        passed.add(name)
        name = levels[name].base
    return name
