"""Contract checks of suites: what a suite asks for can be run, and its table can be filled; data are not read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tlbench import methods
from tlbench.errors import TlbenchError
from tlbench.reports.tables.captions import plural
from tlbench.suite import Suite

LEAST_SEEDS = 3
"""Fewer seeds give no confidence interval."""


def check_suite(suite: Suite) -> list[str]:
    """Check a suite whose file has already been read without an error.

    Returns:
        A sentence with the suite's size, and one for each thing that its table will lack: entries that are skipped, intervals.

    Raises:
        TlbenchError: with all errors.
    """
    granted = {*suite.protocol.grants, *(["target_labeled"] if suite.protocol.target_labels or suite.label_budgets else [])}
    lacking = {
        entry: sorted(methods.method_class(method.method or entry).reads - granted) for entry, method in suite.methods.items()
    }
    if errors := _errors(suite, lacking):
        raise TlbenchError(f"{suite.path or suite.name}:\n  " + "\n  ".join(errors))
    report = [
        f"Suite {suite.name} has {plural(len(suite.domains), 'domain')}, {plural(len(suite.pairs), 'pair')}, "
        f"{plural(len(suite.methods), 'method')} and {plural(len(suite.cases()), 'case')}; `tlbench data check` checks its "
        "data."
    ]
    report += [
        f"{entry} will be skipped: it reads {', '.join(splits)}, which the suite does not grant."
        for entry, splits in lacking.items()
        if splits
    ]
    if len(suite.protocol.seeds) < LEAST_SEEDS:
        report.append(f"The suite has {plural(len(suite.protocol.seeds), 'seed')}, and a 95 % CI takes {LEAST_SEEDS}.")
    return report


def _errors(suite: Suite, lacking: dict[str, list[str]]) -> list[str]:
    """The errors of a suite, a sentence each; `lacking` holds the splits that each entry reads and the suite withholds."""
    errors = []
    if suite.path is not None and suite.path.stem != suite.name:
        errors.append(
            f"name: {suite.name!r} is not the file's name, {suite.path.stem!r}. Records are stored under the suite's name: "
            "rename one of the two."
        )
    baseline = suite.protocol.baseline
    if lacking[baseline]:
        errors.append(
            f"protocol.baseline: {baseline} reads {', '.join(lacking[baseline])}, which the suite does not grant, so that "
            "there would be no delta. Grant it, or choose another baseline."
        )
    if suite.protocol.metric == "worst_group_accuracy":
        errors += [
            f"protocol.metric: 'worst_group_accuracy' needs groups, and domain {name} has none. Name their column or array by "
            f"`group` in domains.{name} (or in data), or choose another metric."
            for name in dict.fromkeys(target for _, target in suite.pairs)
            if _lacks_groups(suite.domains[name].main.options)
        ]
    first_of: dict[str, str] = {}
    for entry, method in suite.methods.items():
        name = method.method or entry
        first = first_of.setdefault(f"{name} {sorted(methods.method_options(name, method.options).items())}", entry)
        if first != entry:
            errors.append(f"methods.{entry}: This is the same method with the same options as {first}. Remove one of them.")
    return errors


def _lacks_groups(options: Mapping[str, Any]) -> bool:
    """Whether a reader has a key for groups, which is not set; MATLAB's cells are groups, and other readers may have theirs."""
    return "group" in options and options["group"] is None and not options.get("cells")
