"""Keys of suites that have been renamed since: each is refused with its new name."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from tlbench.suite.hashing import HASHED_AS

RENAMED = {
    "net": {"trunk": "backbone"},
    "train": {"optimiser": "optimizer", "together": "vmap_seeds"},
    "data": {"rows": "samples"},
    "domains": {"rows": "samples"},
    "methods": {"few_weight": "target_weight", "trunk_lr": "backbone_lr"},
}
"""The old keys of each table (of each subtable, for [domains] and [methods]), and their new names."""


def without_renamed_keys(raw: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The tables of a suite without keys that have been renamed, and one error for each such key."""
    errors: list[str] = []

    def current(table: Any, new_names: Mapping[str, str], where: str) -> Any:
        if not isinstance(table, Mapping):
            return table
        errors.extend(
            f"{where}.{old}: This key is now called {new!r}. Rename it." for old, new in new_names.items() if old in table
        )
        return {key: value for key, value in table.items() if key not in new_names}

    tables = dict(raw)
    for name, new_names in RENAMED.items():
        if name in {"domains", "methods"} and isinstance(tables.get(name), Mapping):
            tables[name] = {key: current(table, new_names, f"{name}.{key}") for key, table in tables[name].items()}
        elif name in tables:
            tables[name] = current(tables[name], new_names, name)
    return tables, errors


def current_options(options: Mapping[str, Any], known: Collection[str]) -> dict[str, Any]:
    """The options of a record under the names that a method's options have today.

    Args:
        options: as the record states them.
        known: the names of the method's options; another method may have an option of the old name.
    """
    new_names = {old: new for new, old in HASHED_AS.items()} | RENAMED["methods"]
    return {new_names[key] if key not in known and new_names.get(key) in known else key: options[key] for key in options}
