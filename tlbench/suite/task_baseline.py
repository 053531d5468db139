"""Suites of several tasks: the baseline of one network a task, which is added by itself, and the errors of such suites."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tlbench.data import Declaration
from tlbench.suite.schema import SINGLE_TASK, SuiteFile
from tlbench.terms import POSITION_TASKS


def with_single_task(raw: Mapping[str, Any]) -> Mapping[str, Any]:
    """The tables of a suite; where it has several tasks and lacks the entry `single_task`, with this entry as the first."""
    protocol, methods = raw.get("protocol"), raw.get("methods")
    if not isinstance(protocol, Mapping) or protocol.get("task") != "multi_task" or not isinstance(methods, Mapping):
        return raw
    if SINGLE_TASK in methods or protocol.get("baseline", SINGLE_TASK) != SINGLE_TASK:
        return raw
    return {**raw, "methods": {SINGLE_TASK: {}, **methods}}


def task_errors(file: SuiteFile, domains: Mapping[str, Declaration]) -> list[str]:
    """The errors between the tasks of the domains and the other tables."""
    errors = [
        f"domains.{name}: It declares the tasks {', '.join(one.tasks)}, and domains.{first} declares {', '.join(names)}. "
        "All domains of a suite need the same tasks."
        for first, names in ((name, one.tasks) for name, one in list(domains.items())[:1] if one.task == "multi_task")
        for name, one in domains.items()
        if one.task == "multi_task" and {*one.tasks} != {*names}
    ]
    if file.protocol.task == "multi_task" and file.net.frozen:
        errors.append("net.frozen = true is not possible with task = 'multi_task', whose backbone is shared. Leave it out.")
    if file.protocol.task == "multi_task" and file.train.augment:
        errors.append("train.augment changes samples with one label each, and task = 'multi_task' has several. Leave it out.")
    if file.protocol.task in POSITION_TASKS and file.train.augment:
        errors.append(
            f"train.augment changes samples with one label each, and task = {file.protocol.task!r} has one for each position. "
            "Leave it out."
        )
    if file.protocol.task == "spans" and file.selection is not None:
        errors.append(
            "[selection] stores classes of single positions, and with task = 'spans' an answer has several. Leave it out."
        )
    return errors
