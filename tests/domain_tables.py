"""Tables that declare a domain: declared, loaded, or refused with one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tlbench import data
from tlbench.errors import TlbenchError
from tlbench.terms import Domain


def declare_domain(table: dict[str, Any], name: str = "d", defaults: dict[str, Any] | None = None) -> data.Declaration:
    """The Declaration of a table without errors."""
    declaration, errors = data.declare(name, table, defaults or {})
    assert declaration is not None, errors
    return declaration


def declaration_errors(table: dict[str, Any], defaults: dict[str, Any] | None = None) -> list[str]:
    """All errors of a table that declares a domain."""
    return data.declare("d", table, defaults or {})[1]


def load_domain(table: dict[str, Any], root: Path, name: str = "d", cache: Path | None = None) -> Domain:
    """The domain of a table without errors, read from below `root`, by default without a cache."""
    return data.load(declare_domain(table, name), root, cache)


def refused_domain(table: dict[str, Any], root: Path) -> str:
    """The error of loading a domain whose table has no errors and whose files do: one line that names the domain."""
    with pytest.raises(TlbenchError) as caught:
        load_domain(table, root)
    message = str(caught.value)
    assert message.startswith("domains.d") and "Traceback" not in message, message
    assert "\n" not in message and len(message) < 1500, message
    return message
