"""The exceptions of tlbench, and how errors are put into words: did-you-mean, and pydantic's errors as sentences.

An error starts with what is wrong, names the rule, and ends with the way out. What stands before a colon says where it is:
`methods.coral: Unknown option 'wieght'. Did you mean 'weight'?`
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

SHOWN_CHARACTERS = 60
"""A wrong value is quoted up to this length."""


class TlbenchError(Exception):
    """An error that the user can correct: the text names the thing, the rule and the way out."""


class ContractError(TlbenchError):
    """A method or a backbone that breaks its contract.

    Args:
        text: a line for each reason.
        passed: a sentence for each check that it passes.
        traceback: the traceback of the first error that the method itself raised; empty where there is none.
    """

    def __init__(self, text: str, passed: Iterable[str] = (), traceback: str = "") -> None:
        super().__init__(text)
        self.passed, self.traceback = tuple(passed), traceback


class NotApplicableError(TlbenchError):
    """A method has no meaning for a case; its record is `skipped`, with this text as the reason."""


class DivergedError(TlbenchError):
    """A loss or a prediction is no longer finite; the record is `failed`, with this text as the reason."""


class CaseTimeoutError(TlbenchError):
    """A case ran longer than its time limit; the record is `failed`, with this text as the reason."""


class NotVmappableError(TlbenchError):
    """The seeds of a case can't be trained in one vectorised program; the text is the reason."""


class NotSerializableError(Exception):
    """A method holds something that no checkpoint can store; the text says what and where."""


class CaptureError(Exception):
    """A step can't be captured as a CUDA graph; the text is the reason."""


def error_text(error: BaseException) -> str:
    """The text of an error, whatever its class makes of being asked for one."""
    try:
        return str(error)
    except KeyboardInterrupt:
        raise
    except BaseException as other:
        return f"(its text can't be read: __str__ raises {type(other).__name__})"


def plain_text(text: str, limit: int) -> str:
    """A text on one line, without half surrogate pairs, which no file could hold, and up to a number of characters."""
    shortened = " ".join(text[: 4 * limit].split())
    if len(shortened) > limit or len(text) > 4 * limit:
        shortened = f"{shortened[:limit]}..."
    return encodable_text(shortened)


def encodable_text(text: str) -> str:
    """A text in which half of a surrogate pair, which is no character, is replaced by its code point."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def did_you_mean(name: str, available: Iterable[str]) -> str:
    """The sentence that offers the nearest available name or, where none is near, lists all of them."""
    names = list(available)
    if nearest := difflib.get_close_matches(name, names, n=1):
        return f"Did you mean {nearest[0]!r}?"
    return f"Available: {', '.join(names) or 'none'}."


def unknown_name(what: str, name: str, available: Iterable[str], where: str = "") -> str:
    """The error for a name that does not exist.

    Args:
        what: the kind of thing, as a noun: "suite", "option of coral".
        name: what was asked for.
        available: the names that exist.
        where: the key or file that holds the name; it stands before the sentence.
    """
    noun, of, owner = what.partition(" of ")
    return f"{f'{where}: ' if where else ''}Unknown {noun} {name!r}{of}{owner}. {did_you_mean(name, available)}"


def schema_errors(
    error: ValidationError, model: type[BaseModel], where: str = "", what: str = "key", available: Iterable[str] = ()
) -> list[tuple[str, str]]:
    """All errors of a validation, each as its top-level key (empty for the table as a whole) and a sentence.

    Args:
        error: what pydantic raised.
        model: the schema that was validated; its fields are offered for an unknown key.
        where: the table that was validated, such as `methods.coral`; keys are given with it.
        what: what an unknown key is called: "key", "option of coral".
        available: further keys that the table may hold, which other schemas validate.
    """
    errors = error.errors(include_url=False)
    # an element that is refused is left out, and its list may then be too short: that says nothing more
    parents = {one["loc"][:depth] for one in errors for depth in range(len(one["loc"]))}
    return [
        (str(one["loc"][0]) if one["loc"] else "", _sentence(one, model, where, what, available))
        for one in errors
        if one["type"] != "too_short" or one["loc"] not in parents
    ]


def _sentence(one: Any, model: type[BaseModel], where: str, what: str, available: Iterable[str]) -> str:
    *parents, key = one["loc"] or ("",)
    path = _path([where, *one["loc"]])
    if one["type"] == "extra_forbidden":
        table = _path([where, *parents])
        return unknown_name(what, str(key), [*_fields_of(model, parents), *(available if not parents else ())], table)
    if one["type"] == "missing":
        field = _field_of(model, str(key)) if not parents else None
        meaning = f" ({field.description})" if field is not None and field.description else ""
        table = _path([where, *parents])
        return f"{f'{table}: ' if table else ''}The key {key!r} is missing{meaning}."
    if one["type"] == "literal_error" and isinstance(one["input"], str):
        return unknown_name("value", one["input"], re.findall("'(.*?)'", one["ctx"]["expected"]), path)
    rule = re.sub("^(Input|String|List|Tuple|Dictionary|Value error,) ", "", one["msg"])
    rule = rule.replace("a valid tuple", "a valid list").replace(" after validation", "")  # as files write it
    if one["type"] == "value_error":
        return f"{path}: {rule}" if path else rule
    shown = repr(one["input"])
    shown = shown if len(shown) <= SHOWN_CHARACTERS else f"{shown[: SHOWN_CHARACTERS - 3]}..."
    return f"{path} = {shown} {rule}." if path else f"{shown} {rule}."


def _path(keys: Iterable[Any]) -> str:
    """Keys and indices as they are written: ("domains", "a", "shape", 0) is `domains.a.shape[0]`."""
    return "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in keys if key != "").lstrip(".")


def _fields_of(model: type[BaseModel], parents: Iterable[Any]) -> list[str]:
    """The keys of the table below `parents`, as far as the schema tells: what files write, which is a field's alias."""
    for parent in parents:
        field = _field_of(model, str(parent))
        if field is None or not isinstance(field.annotation, type) or not issubclass(field.annotation, BaseModel):
            return []
        model = field.annotation
    return [field.alias or name for name, field in model.model_fields.items()]


def _field_of(model: type[BaseModel], key: str) -> FieldInfo | None:
    """The field that a key of a table stands for, by its alias or by its name."""
    fields = model.model_fields
    return next((field for field in fields.values() if field.alias == key), fields.get(key))
