"""What is searched: the ranges that a method's options declare, or those that the caller writes."""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic.fields import FieldInfo

from tlbench import methods
from tlbench.errors import TlbenchError, unknown_name

FACTOR = 10.0
"""A number that is open above is searched, on a logarithmic scale, from its default / FACTOR to its default * FACTOR."""
WHOLE_FACTOR = 4
"""The same for whole numbers."""
OPEN_AT_ZERO = (1e-3, 10.0)
"""Where that default is 0."""


@dataclass(frozen=True)
class Range:
    """The values that an option may take: some, or all between two ends."""

    kind: Literal["float", "int", "choice"]
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    choices: tuple[Any, ...] = ()

    def __str__(self) -> str:
        if self.kind == "choice":
            return "|".join(map(str, self.choices))
        return f"{self.low:g}:{self.high:g}{':log' if self.log else ''}"

    def suggest(self, trial: Any, name: str) -> Any:
        """A value of this range for an Optuna trial."""
        if self.kind == "choice":
            return trial.suggest_categorical(name, list(self.choices))
        if self.kind == "int":
            return trial.suggest_int(name, int(self.low), int(self.high), log=self.log)
        return trial.suggest_float(name, self.low, self.high, log=self.log)


def search_space(method: str, current: Mapping[str, Any], ranges: Sequence[str] = ()) -> dict[str, Range]:
    """The ranges to search, by option: those written, or all that the options declare.

    A number with two ends is searched between them; one that is open above, around its value in the suite or its default
    (`FACTOR`); switches and lists of words, over all their values. Other options keep their value.

    Args:
        method: a method's name.
        given: the options of the suite's row.
        written: texts such as "weight=0.1:10:log", "hidden=64:512" or "learner=svm|logistic".

    Raises:
        TlbenchError: an unknown option, a range that can't be read or that leaves the option's own bounds, or no option at all.
    """
    fields = methods.method_class(method).Options.model_fields
    if ranges:
        return dict(_written(text, method, fields) for text in ranges)
    found = {name: range_ for name, field in fields.items() if (range_ := _declared(field, current.get(name)))}
    if not found:
        raise TlbenchError(f"method {method} has no option that could be searched")
    return found


def _declared(field: FieldInfo, given: Any) -> Range | None:
    kind = field.annotation
    if kind is bool:
        return Range("choice", choices=(False, True))
    if typing.get_origin(kind) is Literal:
        return Range("choice", choices=typing.get_args(kind))
    if kind not in (int, float):
        return None
    value = field.default if given is None else given
    low, high = _ends(field)
    whole = kind is int
    factor = WHOLE_FACTOR if whole else FACTOR
    if low is not None and high is not None:
        return Range("int" if whole else "float", low, high)
    if value == 0 and not whole:
        return Range("float", *OPEN_AT_ZERO, log=True)
    if value <= 0:
        return None
    start = max(value / factor, low or 0.0, 1 if whole else 0.0)
    end = value * factor if high is None else min(value * factor, high)
    return Range("int", round(start), round(end), log=True) if whole else Range("float", start, end, log=True)


def _ends(field: FieldInfo) -> tuple[float | None, float | None]:
    """Both ends; an open end is moved inwards by a thousandth of the span (of 1, where the other end is missing)."""
    ends: dict[str, float] = {}
    for rule in field.metadata:
        ends.update({key: getattr(rule, key) for key in ("ge", "gt", "le", "lt") if getattr(rule, key, None) is not None})
    low, high = ends.get("ge", ends.get("gt")), ends.get("le", ends.get("lt"))
    step = 1.0 if field.annotation is int else 1e-3 * (high - low if low is not None and high is not None else 1.0)
    return (low + step if "gt" in ends and low is not None else low), (
        high - step if "lt" in ends and high is not None else high
    )


def _written(text: str, method: str, fields: Mapping[str, FieldInfo]) -> tuple[str, Range]:
    rule = "write NAME=LOW:HIGH, NAME=LOW:HIGH:log or NAME=A|B"
    name, equals, values = text.partition("=")
    if not equals or not values:
        raise TlbenchError(f"--option {text!r}: {rule}")
    if name not in fields:
        raise TlbenchError(unknown_name(f"option of {method}", name, fields, f"--option {text}"))
    kind = fields[name].annotation
    if typing.get_origin(kind) is types.UnionType:
        kind = typing.get_args(kind)[0]
    low, _, rest = values.partition(":")
    high, _, log = rest.partition(":")
    try:
        if rest:
            made = Range("int" if kind is int else "float", float(low), float(high), log == "log")
            ends: tuple[Any, ...] = (kind(made.low), kind(made.high)) if kind in (int, float) else ()
            if log not in ("", "log") or made.low >= made.high or (made.log and made.low <= 0) or not ends:
                raise ValueError("low must be below high, and above 0 on a logarithmic scale, for an option that is a number")
        else:
            ends = tuple(_value(part, kind) for part in values.split("|"))
            made = Range("choice", choices=ends)
    except ValueError as error:
        raise TlbenchError(f"--option {text!r}: {error}; {rule}") from error
    for end in ends:
        methods.method_options(method, {name: end})  # its own bounds hold for the ends, and so for all between
    return name, made


def _value(text: str, kind: Any) -> Any:
    if kind is bool:
        return {"true": True, "false": False}[text] if text in ("true", "false") else text
    return kind(text) if kind in (int, float) else text
