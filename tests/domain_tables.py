"""Tables that declare a domain: loaded, or refused with one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tlbench import data
from tlbench.errors import TlbenchError
from tlbench.terms import Domain


def load_domain(table: dict[str, Any], root: Path, name: str = "d") -> Domain:
    """The domain of a table that declares it without a mistake, read from below `root` past any cache."""
    declaration, wrong = data.declare(name, table, {})
    assert declaration is not None, wrong
    return data.load(declaration, root)


def refused_domain(table: dict[str, Any], root: Path) -> str:
    """What is said of bad files whose table is declared without a mistake: one line that names the domain."""
    with pytest.raises(TlbenchError) as caught:
        load_domain(table, root)
    said = str(caught.value)
    assert said.startswith("domains.d") and "Traceback" not in said and "\n" not in said and len(said) < 1500, said
    return said


def declaration_errors(table: dict[str, Any], defaults: dict[str, Any] | None = None) -> list[str]:
    """All that is wrong with a table that declares a domain."""
    return data.declare("d", table, defaults or {})[1]
