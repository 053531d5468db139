"""A file of functions as a registry: a kind is a function, its options are the keyword arguments.

So that adding a shift or a preparation is adding one function, and its options are checked without a second list.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from typing import Any, TypeVar, get_type_hints

from pydantic import BaseModel, create_model, model_validator

from tlbench.terms import Strict

Function = TypeVar("Function", bound=Callable[..., Any])


class PlainOptions(Strict, strict=True):
    """Options of a kind: no unknown key, no silent conversion."""


def options_rule(broken: Callable[[Any], str | None]) -> Callable[[Function], Function]:
    """Give a kind a rule between its options: `broken(options)` says what is wrong, or None."""

    def note(function: Function) -> Function:
        function.broken = broken  # type: ignore[attr-defined]
        return function

    return note


class FunctionRegistry:
    """The public functions of a module whose first arguments have the given names."""

    def __init__(self, module: str, given: tuple[str, ...], base: type[BaseModel] = PlainOptions) -> None:
        self._module, self._given, self._base = module, given, base

    def _functions(self) -> dict[str, Callable[..., Any]]:
        return {
            name: value
            for name, value in vars(sys.modules[self._module]).items()
            if inspect.isfunction(value)
            and not name.startswith("_")
            and tuple(inspect.signature(value).parameters)[: len(self._given)] == self._given
        }

    def names(self) -> list[str]:
        """The kinds that exist."""
        return sorted(self._functions())

    def summaries(self) -> dict[str, str]:
        """The first line of each kind's docstring."""
        functions = self._functions()
        return {name: (functions[name].__doc__ or "").strip().partition("\n")[0] for name in sorted(functions)}

    def function(self, name: str) -> Callable[..., Any]:
        """The function of a kind."""
        return self._functions()[name]

    def options(self, name: str) -> type[BaseModel]:
        """The schema of a kind's options, made from its signature."""
        function = self.function(name)
        hints = get_type_hints(function, include_extras=True)
        fields: dict[str, Any] = {
            p.name: (hints[p.name], ... if p.default is p.empty else p.default)
            for p in inspect.signature(function).parameters.values()
            if p.kind is p.KEYWORD_ONLY
        }
        validators: dict[str, Any] = {}
        if broken := getattr(function, "broken", None):

            def hold(self: Any) -> Any:
                if wrong := broken(self):
                    raise ValueError(wrong)
                return self

            validators["hold"] = model_validator(mode="after")(hold)
        return create_model(name, __base__=self._base, __validators__=validators, **fields)
