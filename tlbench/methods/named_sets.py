"""Sets of methods that a suite names with an "@", such as "@closed_form": a new method enters by lying in its folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from tlbench import methods
from tlbench.errors import unknown_name

if TYPE_CHECKING:
    from tlbench.methods.base import Method

MARK = "@"
"""The first character of a set's name."""
KINDS: dict[str, str] = {
    "all": "every method",
    "deep": "methods that train the network",
    "closed_form": "shallow methods, without a training loop",
    "unsupervised": "methods that learn from unlabelled target samples and from no labelled ones of the target",
    "few_labels": "methods that learn from labelled target samples",
}
"""What the sets hold that are no folder of methods; the others are named after the folders, such as "@adversarial"."""


def set_names() -> list[str]:
    """The names of all sets, without the mark."""
    return sorted({*KINDS, *(file.parent.name for file in methods.shipped_files().values())})


def with_members(raw: Mapping[str, Any]) -> tuple[Mapping[str, Any], list[str]]:
    """The tables of a suite in which each set stands for its methods, with default options, and the errors in sets.

    A member is a shipped method that the suite's grants, task and label set allow. Those of several tasks are members in suites
    of several tasks alone, and those that read the names of classes in none. An entry of the suite's own comes first,
    whether it stands before the set or after it, and a set has no options.

    Args:
        raw: the tables, as `tomllib` reads them.
    """
    tables = raw.get("methods")
    if not isinstance(tables, Mapping) or not any(str(name).startswith(MARK) for name in tables):
        return raw, []
    entries: dict[str, Any] = {}
    errors: list[str] = []
    for name, table in tables.items():
        if not name.startswith(MARK):
            entries[name] = table
            continue
        if name.removeprefix(MARK) not in set_names():
            errors.append(unknown_name("set of methods", name.removeprefix(MARK), set_names(), f"methods.{name}"))
        elif table:
            errors.append(f"methods.{name}: A set of methods has no options. Write an entry for the method that takes them.")
        else:
            entries |= {member: {} for member in members(name.removeprefix(MARK), raw) if member not in tables}
    if not entries and not errors:
        errors.append("methods: None of the sets has a method that the suite's grants, task and label set allow.")
    return {**raw, "methods": entries}, errors


def members(name: str, raw: Mapping[str, Any]) -> list[str]:
    """The methods of a set that a suite allows, by name.

    Args:
        name: the name of the set, without the mark.
        raw: the tables of the suite.
    """
    from tlbench.methods.task_support import task_error

    table = raw.get("protocol")
    protocol = table if isinstance(table, Mapping) else {}
    granted = protocol.get("grants", ["source", "target"])  # the schema of the suite refuses what is no list
    grants = {
        *map(str, granted if isinstance(granted, list) else []),
        *(["target_labeled"] if protocol.get("target_labels") else []),
    }
    task, label_set = str(protocol.get("task", "classification")), str(protocol.get("label_set", "closed"))
    allowed = []
    for member, file in methods.shipped_files().items():
        if name in KINDS or file.parent.name == name:
            kind = methods.method_class(member)
            fits = kind.reads <= grants and task_error(kind, task) is None and label_set in kind.label_sets
            elsewhere = kind.reads_class_texts or ("multi_task" in kind.tasks and task != "multi_task")
            if fits and not elsewhere and (name not in KINDS or _BELONGS[name](kind)):
                allowed.append(member)
    return allowed


def _is_shallow(kind: type[Method]) -> bool:
    from tlbench.methods.base import ShallowMethod

    return issubclass(kind, ShallowMethod)


_BELONGS: dict[str, Callable[[type[Method]], bool]] = {
    "all": lambda kind: True,
    "deep": lambda kind: not _is_shallow(kind),
    "closed_form": _is_shallow,
    "unsupervised": lambda kind: bool(kind.reads & {"target", "stream"}) and "target_labeled" not in kind.reads,
    "few_labels": lambda kind: "target_labeled" in kind.reads,
}
"""Whether a method belongs to a set of `KINDS`."""
