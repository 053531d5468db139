"""Which methods a test of all methods runs with by default: one of each family and those with updates of their own."""

from __future__ import annotations

from collections.abc import Collection, Iterable

import pytest

from tlbench import methods

WITH_OWN_UPDATES = frozenset(
    {"adda", "dann", "fine_tune", "fixmatch", "mcd", "mean_teacher", "pcgrad", "shot", "tent", "wdgrl"}
)


def others_slow(names: Iterable[str], besides: Collection[str] = WITH_OWN_UPDATES) -> list:
    """The names as parameters; all but those chosen carry the marker `slow`, so that `make test-slow` has them.

    Chosen are the first of each family, and those of `besides`.
    """
    files, parameters, families = methods.method_files(), [], set()
    for name in names:
        family = files[name].parent.name
        chosen = family not in families or name in besides
        families.add(family)
        parameters.append(name if chosen else pytest.param(name, marks=pytest.mark.slow))
    return parameters
