"""The tables of the tiny suite with keys changed, and the errors of such a suite."""

from __future__ import annotations

import copy
import tomllib
from typing import Any

import pytest
from tiny_suite import SUITE

from tlbench import methods
from tlbench.errors import TlbenchError
from tlbench.nn import backbones
from tlbench.suite import parse_suite

CHECKS = (backbones.suite_errors, methods.suite_errors)


def suite_tables(**changes: Any) -> dict[str, Any]:
    """The tables of the tiny suite; `protocol__seeds=[1]` sets a key of a table, None removes it."""
    tables: dict[str, Any] = copy.deepcopy(tomllib.loads(SUITE))
    for path, value in changes.items():
        *parents, key = path.split("__")
        table = tables
        for name in parents:
            table = table.setdefault(name, {})
        if value is None:
            del table[key]
        else:
            table[key] = value
    return tables


def suite_errors(**changes: Any) -> str:
    """The text of the error that the changed tables raise."""
    with pytest.raises(TlbenchError) as raised:
        parse_suite(suite_tables(**changes), "mine.toml", CHECKS)
    message = str(raised.value)
    assert message.startswith("mine.toml:\n")
    return message
