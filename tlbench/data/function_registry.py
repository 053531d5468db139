"""A registry of the functions of a module: the keyword-only arguments of a function are its options.

Adding a shift or a preparation is adding one function; the schema of its options follows from its signature.
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
    """Options of a function: unknown keys are errors, and values are not converted."""


def options_rule(error_of: Callable[[Any], str | None]) -> Callable[[Function], Function]:
    """A decorator that adds a rule about several options: `error_of(options)` gives what is wrong with them, or None."""

    def decorate(function: Function) -> Function:
        function.options_error = error_of  # type: ignore[attr-defined]
        return function

    return decorate


class FunctionRegistry:
    """The public functions of a module whose first parameters have given names."""

    def __init__(self, module: str, parameters: tuple[str, ...], options_base: type[BaseModel] = PlainOptions) -> None:
        """The registry of a module.

        Args:
            module: the name of the module, which is imported already or importing.
            parameters: the names of the first parameters, such as ("x", "y", "rng").
            options_base: the base class of the options schemas: the options that all functions take.
        """
        self._module, self._parameters, self._options_base = module, parameters, options_base

    def _functions(self) -> dict[str, Callable[..., Any]]:
        return {
            name: value
            for name, value in vars(sys.modules[self._module]).items()
            if inspect.isfunction(value)
            and not name.startswith("_")
            and tuple(inspect.signature(value).parameters)[: len(self._parameters)] == self._parameters
        }

    def names(self) -> list[str]:
        """The names of the registered functions, sorted."""
        return sorted(self._functions())

    def summaries(self) -> dict[str, str]:
        """The first line of the docstring of each function, by its name."""
        functions = self._functions()
        return {name: (functions[name].__doc__ or "").strip().partition("\n")[0] for name in sorted(functions)}

    def function(self, name: str) -> Callable[..., Any]:
        """The function of a registered name."""
        return self._functions()[name]

    def options(self, name: str) -> type[BaseModel]:
        """The schema of a function's options, built from its signature."""
        function = self.function(name)
        hints = get_type_hints(function, include_extras=True)
        fields: dict[str, Any] = {
            p.name: (hints[p.name], ... if p.default is p.empty else p.default)
            for p in inspect.signature(function).parameters.values()
            if p.kind is p.KEYWORD_ONLY
        }
        validators: dict[str, Any] = {}
        if error_of := getattr(function, "options_error", None):

            def check_rule(self: Any) -> Any:
                if message := error_of(self):
                    raise ValueError(message)
                return self

            validators["check_rule"] = model_validator(mode="after")(check_rule)
        return create_model(name, __base__=self._options_base, __validators__=validators, **fields)
