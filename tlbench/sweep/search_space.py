"""The search space of a method: the ranges that its options declare, or those that the user gives."""

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
"""A float without an upper bound is searched on a logarithmic scale, from its default / FACTOR to its default * FACTOR."""
INTEGER_FACTOR = 4
"""The same for integers."""
ZERO_DEFAULT_RANGE = (1e-3, 10.0)
"""The range of a float without an upper bound whose default is 0."""
SYNTAX = "Write NAME=LOW:HIGH, NAME=LOW:HIGH:log or NAME=A|B."


@dataclass(frozen=True)
class Range:
    """The values that an option may take: the listed choices, or all between two ends.

    The seed of a study is a hash of the reprs of its ranges: a field that is renamed changes which trials are proposed.
    """

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
    """The ranges to search, by option: those given, or all that the method's options declare.

    A number with both bounds is searched between them; one without an upper bound, around its current value or its default
    (`FACTOR`); booleans and literals, over all their values. Other options keep their value.

    Args:
        method: the name of a method.
        current: the options of the suite's method entry.
        ranges: texts such as "weight=0.1:10:log", "hidden=64:512" or "learner=svm|logistic".

    Raises:
        TlbenchError: an unknown option, a range that can't be parsed or that exceeds the option's bounds, or no option at all.
    """
    fields = methods.method_class(method).Options.model_fields
    if ranges:
        return dict(_parse(text, method, fields) for text in ranges)
    declared = {name: range_ for name, field in fields.items() if (range_ := _declared(field, current.get(name)))}
    if not declared:
        raise TlbenchError(f"Method {method!r} has no option that can be searched.")
    return declared


def _declared(field: FieldInfo, current: Any) -> Range | None:
    """The range that an option declares by its type and bounds; None where it can't be searched."""
    kind = field.annotation
    if kind is bool:
        return Range("choice", choices=(False, True))
    if typing.get_origin(kind) is Literal:
        return Range("choice", choices=typing.get_args(kind))
    if kind not in (int, float):
        return None
    value = field.default if current is None else current
    low, high = _bounds(field)
    is_integer = kind is int
    factor = INTEGER_FACTOR if is_integer else FACTOR
    if low is not None and high is not None:
        return Range("int" if is_integer else "float", low, high)
    if value == 0 and not is_integer:
        return Range("float", *ZERO_DEFAULT_RANGE, log=True)
    if value <= 0:
        return None
    start = max(value / factor, low or 0.0, 1 if is_integer else 0.0)
    end = value * factor if high is None else min(value * factor, high)
    return Range("int", round(start), round(end), log=True) if is_integer else Range("float", start, end, log=True)


def _bounds(field: FieldInfo) -> tuple[float | None, float | None]:
    """The bounds of an option; an exclusive one is moved inwards by 1 for integers, else by 1/1000 of the span."""
    bounds: dict[str, float] = {}
    for rule in field.metadata:
        bounds.update({key: getattr(rule, key) for key in ("ge", "gt", "le", "lt") if getattr(rule, key, None) is not None})
    low, high = bounds.get("ge", bounds.get("gt")), bounds.get("le", bounds.get("lt"))
    span = high - low if low is not None and high is not None else 1.0
    step = 1.0 if field.annotation is int else 1e-3 * span
    inner_low = low + step if "gt" in bounds and low is not None else low
    inner_high = high - step if "lt" in bounds and high is not None else high
    return inner_low, inner_high


def _parse(text: str, method: str, fields: Mapping[str, FieldInfo]) -> tuple[str, Range]:
    """The option and the range of a text such as "weight=0.1:10:log"."""
    name, equals, values = text.partition("=")
    if not equals or not values:
        raise TlbenchError(f"--option {text!r}: The range is missing. {SYNTAX}")
    if name not in fields:
        raise TlbenchError(unknown_name(f"option of {method}", name, fields, f"--option {text}"))
    kind = fields[name].annotation
    if typing.get_origin(kind) is types.UnionType:
        kind = typing.get_args(kind)[0]
    low, _, rest = values.partition(":")
    high, _, log = rest.partition(":")
    try:
        if rest:
            range_ = Range("int" if kind is int else "float", float(low), float(high), log == "log")
            ends: tuple[Any, ...] = (kind(range_.low), kind(range_.high)) if kind in (int, float) else ()
            if not ends:
                raise ValueError("Only the range of a number has a low and a high end")
            if log not in ("", "log") or range_.low >= range_.high or (range_.log and range_.low <= 0):
                raise ValueError("The low end must be below the high end, and above 0 on a logarithmic scale")
        else:
            ends = tuple(_parse_value(choice, kind) for choice in values.split("|"))
            range_ = Range("choice", choices=ends)
    except ValueError as error:
        raise TlbenchError(f"--option {text!r}: {error}. {SYNTAX}") from error
    for end in ends:
        methods.method_options(method, {name: end})  # the option's own bounds hold for both ends, and so for all between
    return name, range_


def _parse_value(text: str, kind: Any) -> Any:
    if kind is bool:
        return {"true": True, "false": False}[text] if text in ("true", "false") else text
    return kind(text) if kind in (int, float) else text
