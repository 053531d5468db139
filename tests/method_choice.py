"""Which methods a test of all methods runs with by default: one of most families and those with updates of their own."""

from __future__ import annotations

from collections.abc import Collection, Iterable

import pytest

from tlbench import methods

WITH_OWN_UPDATES = frozenset(
    {"adda", "dann", "fine_tune", "fixmatch", "mcd", "mean_teacher", "pcgrad", "shot", "tent", "wdgrl"}
)

SLOW_FAMILIES = frozenset(
    {"deep_alignment", "few_shot", "multi_source", "open_set", "optimal_transport", "parameter_efficient", "partial"}
)
"""Families whose methods train as those of other families do; all of them are in the job of slow tests."""
CHEAP = frozenset({"gaussian_ratio", "multi_task_ridge"})
"""Members of families whose first takes several times as long; they stand for these families."""


def others_slow(names: Iterable[str], besides: Collection[str] = WITH_OWN_UPDATES) -> list:
    """The names as parameters; all but those chosen carry the marker `slow`, so that `make test-slow` has them.

    Chosen are one of each family but `SLOW_FAMILIES`, a cheap one or the first, and those of `besides`.
    """
    files, parameters, listed = methods.method_files(), [], list(names)
    of_family: dict[str, str] = {}
    for name in sorted(listed, key=lambda name: name not in CHEAP):
        of_family.setdefault(files[name].parent.name, name)
    for name in listed:
        family = files[name].parent.name
        chosen = (of_family[family] == name and family not in SLOW_FAMILIES) or name in besides
        parameters.append(name if chosen else pytest.param(name, marks=pytest.mark.slow))
    return parameters
