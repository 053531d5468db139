"""Model selection without target labels: one rule a file, in a folder per family; no scored label decides its number.

`score("im", target_logits=logits)` gives the number of one checkpoint from arrays of your own; of several checkpoints, the
one with the highest number is selected. Third-party rules are classes or modules that an installed package names in its
entry-point group `tlbench.selection`. Neither torch nor scikit-learn is imported before a rule needs it.
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
    from tlbench.selection.base import Rule
    from tlbench.selection.facts import Facts

__all__ = ["ENTRY_POINTS", "Facts", "Rule", "make_rule", "rule_class", "rule_names", "rule_summary", "score"]

ENTRY_POINTS = "tlbench.selection"
"""The entry-point group of installed packages; each entry point names a subclass of `Rule`, or a module with one."""


def _base() -> type[Rule]:
    from tlbench.selection.base import Rule

    return Rule


_FILES = sorted(file for file in Path(__file__).parent.glob("*/*.py") if not file.stem.startswith("_"))
_REGISTRY: Registry[Rule] = Registry(
    noun="rule",
    modules={file.stem: f"{__name__}.{file.parent.name}.{file.stem}" for file in _FILES},
    folder=Path(__file__).parents[1],
    group=ENTRY_POINTS,
    base=_base,
)


def rule_names() -> list[str]:
    """The names of all rules, those of entry points among them; no rule is imported."""
    return _REGISTRY.names()


def rule_summary(name: str) -> str:
    """The first line of a rule's docstring; no rule is imported.

    Raises:
        TlbenchError: there is no such rule.
    """
    return _REGISTRY.summary(name)


def rule_class(name: str) -> type[Rule]:
    """The class of a rule.

    Raises:
        TlbenchError: there is no such rule, it cannot be imported, or its module defines none or several.
    """
    return _REGISTRY.kind(name)


def make_rule(name: str, options: Mapping[str, Any] | None = None) -> Rule:
    """A rule with its options; those that are not given have their defaults.

    Raises:
        TlbenchError: there is no such rule or option, or a value is of another type than the default.
    """
    return _REGISTRY.make(name, options)


def score(rule: str, facts: Facts | None = None, *, options: Mapping[str, Any] | None = None, **arrays: Any) -> float:
    """The number of one checkpoint under a rule; higher is better, whatever the direction of the rule's formula.

    Args:
        rule: the name of a rule, one of `rule_names()`.
        facts: what the rule may read; None where `arrays` gives it.
        options: options of the rule by name, such as `{"temperature": 0.1}` of snd.
        arrays: fields of `Facts` by name: NumPy arrays, torch tensors or nested lists.

    Returns:
        A finite number.

    Raises:
        TlbenchError: the rule or an option does not exist, a fact that the rule reads is missing or does not fit, or the rule
            has no finite number for these facts.
    """
    from tlbench.selection.facts import checked, facts_from

    if facts is not None and arrays:
        raise TlbenchError("score() got both facts and arrays. Pass one of them.")
    chosen = make_rule(rule, options)
    value = float(chosen.value(checked(facts_from(arrays) if facts is None else facts, chosen.required(), rule)))
    if not math.isfinite(value):
        raise TlbenchError(f"Rule {rule!r} gives {value} for these facts, which is not finite. Leave this checkpoint out.")
    return value


def __getattr__(name: str) -> Any:
    if name == "Facts":
        return importlib.import_module(f"{__name__}.facts").Facts
    if name == "Rule":
        return importlib.import_module(f"{__name__}.base").Rule
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
