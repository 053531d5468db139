"""Label sets: how the classes of a target relate to those of its sources."""

from __future__ import annotations

from typing import Literal

LabelSet = Literal["closed", "partial", "open", "universal", "inductive"]
"""The same classes, fewer, more, some of them and more, or classes of its own; see `Protocol.label_set`."""
LABEL_SETS: tuple[LabelSet, ...] = ("closed", "partial", "open", "universal", "inductive")
OPEN_SETS: tuple[LabelSet, ...] = ("open", "universal")
"""The label sets whose target has samples of classes that no source has: together they are one class, "unknown"."""
UNKNOWN = "unknown"
"""The class of all labels outside a class list: where a domain sets `unknown`, and of open sets."""
