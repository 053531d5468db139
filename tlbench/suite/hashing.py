"""Hashes of what a suite asks for, under the names that settings had when the first records were written."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

HASHED_AS = {
    "backbone": "trunk",
    "optimizer": "optimiser",
    "target_weight": "few_weight",
    "backbone_lr": "trunk_lr",
    "max_samples": "rows",
}
"""Keys of [net], [train] and of methods' options, and the older names that identities are hashed with: to rename a key
changes no number, so it must not make a record stale."""


def hashed_keys(table: Mapping[str, Any]) -> dict[str, Any]:
    """A table under the keys that identities are hashed with."""
    return {HASHED_AS.get(key, key): value for key, value in table.items()}


def digest(value: Any) -> str:
    """16 hex digits of sha256 over the canonical JSON of a value."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
