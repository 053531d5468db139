"""Names of domains that tests write for generated ones, and what each stands for."""

from __future__ import annotations

import re
from collections.abc import Iterable

from tlbench.terms import SweepLevel

_KINDS = {"s": "severity", "l": "labels"}


def levels_by_name(names: Iterable[str]) -> dict[str, SweepLevel]:
    """`b_s2` as the domain b at severity 2, `b_l10` as b with ten labels, and so on for what they are generated from."""
    levels = {}
    for name in names:
        while (match := re.fullmatch(r"(.+)_([sl])([0-9]{1,9})", name)) is not None:
            levels[name] = SweepLevel(base=match[1], kind=_KINDS[match[2]], level=int(match[3]))
            name = match[1]
    return levels
