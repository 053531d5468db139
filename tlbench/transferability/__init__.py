"""Scores that predict transfer before anything is trained: one score a file, in a folder per family.

`score("logme", target_features=features, target_labels=labels)` gives the number of one candidate, a pre-trained model or a
source, from arrays of your own; of several candidates for one target, the one with the highest number is predicted to transfer
best. Third-party scores are classes or modules that an installed package names in its entry-point group
`tlbench.transferability`. Neither torch nor scikit-learn is imported before a score needs it.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tlbench.errors import TlbenchError
from tlbench.registry import Registry

if TYPE_CHECKING:
    from tlbench.transferability.base import TransferabilityScore

__all__ = ["ENTRY_POINTS", "TransferabilityScore", "make_score", "score", "score_class", "score_names", "score_summary"]

ENTRY_POINTS = "tlbench.transferability"
"""The entry-point group of installed packages; each entry point names a subclass of `TransferabilityScore`, or a module with
one."""

FAMILIES = ("models", "domains", "trivial")
"""The folders of scores: of a pre-trained model on a target, of a source and a target, and what a score has to beat."""


def _base() -> type[TransferabilityScore]:
    from tlbench.transferability.base import TransferabilityScore

    return TransferabilityScore


_FILES = [file for family in FAMILIES for file in sorted(Path(__file__).parent.glob(f"{family}/[!_]*.py"))]
_REGISTRY: Registry[TransferabilityScore] = Registry(
    noun="score",
    modules={file.stem: f"{__name__}.{file.parent.name}.{file.stem}" for file in _FILES},
    folder=Path(__file__).parents[1],
    group=ENTRY_POINTS,
    base=_base,
)


def score_names(family: str | None = None) -> list[str]:
    """The names of all scores, those of entry points among them, or of one family; no score is imported.

    Raises:
        TlbenchError: there is no such family.
    """
    if family is None:
        return _REGISTRY.names()
    if family not in FAMILIES:
        raise TlbenchError(f"Unknown family {family!r}. Available: {', '.join(FAMILIES)}.")
    return [file.stem for file in _FILES if file.parent.name == family]


def score_summary(name: str) -> str:
    """The first line of a score's docstring; no score is imported.

    Raises:
        TlbenchError: there is no such score.
    """
    return _REGISTRY.summary(name)


def score_class(name: str) -> type[TransferabilityScore]:
    """The class of a score.

    Raises:
        TlbenchError: there is no such score, it cannot be imported, or its module defines none or several.
    """
    return _REGISTRY.kind(name)


def make_score(name: str, options: Mapping[str, Any] | None = None) -> TransferabilityScore:
    """A score with its options; those that are not given have their defaults.

    Raises:
        TlbenchError: there is no such score or option, or a value is of another type than the default.
    """
    return _REGISTRY.make(name, options)


def score(name: str, *, options: Mapping[str, Any] | None = None, **arrays: Any) -> float:
    """The number of one candidate under a score; higher predicts better transfer, so distances are negated.

    Args:
        name: the name of a score, one of `score_names()`.
        options: options of the score by name, such as `{"neighbors": 1}` of knn.
        arrays: fields of `tlbench.transferability.inputs.Inputs` by name: NumPy arrays, torch tensors or nested lists.

    Returns:
        A finite number. Numbers of two scores, or of two targets, are not comparable.

    Raises:
        TlbenchError: the score or an option does not exist, an array that the score reads is missing or does not fit, or the
            score has no finite number for these arrays.
    """
    from tlbench.transferability.inputs import checked

    chosen = make_score(name, options)
    value = float(chosen.value(checked(arrays, chosen.required(), name)))
    if not math.isfinite(value):
        raise TlbenchError(f"Score {name!r} gives {value} for these arrays, which is not finite. Leave this candidate out.")
    return value


def __getattr__(name: str) -> Any:
    if name == "TransferabilityScore":
        return importlib.import_module(f"{__name__}.base").TransferabilityScore
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
