"""What is wrong with a table, as sentences that name the key, the rule and the way out."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError


def way_out(name: str, known: Iterable[str]) -> str:
    """The nearest name that exists, or all of them."""
    known = list(known)
    close = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {close[0]!r}?" if close else f"there are {', '.join(known) or 'none'}"


def check(model: type[BaseModel], table: Mapping[str, Any], extra: Iterable[str] = ()) -> dict[str, str]:
    """Mistakes of a table by its top-level key (empty where the table as a whole is wrong).

    Args:
        model: the schema; unknown keys are mistakes.
        table: what was written.
        extra: keys of the same table that other schemas look after; an unknown key may have meant one of them.
    """
    try:
        model.model_validate(dict(table))
    except ValidationError as error:
        found: dict[str, str] = {}
        for one in error.errors(include_url=False):
            key = str(one["loc"][0]) if one["loc"] else ""
            sentence = _sentence(model, one, extra)
            found[key] = f"{found[key]}; {sentence}" if key in found else sentence
        return found
    return {}


def _sentence(model: type[BaseModel], error: Any, extra: Iterable[str]) -> str:
    place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error["loc"]).lstrip(".")
    if error["type"] == "extra_forbidden":
        return f"unknown key {place!r}; {way_out(place, [*model.model_fields, *extra])}"
    if error["type"] == "missing":
        field = model.model_fields.get(place)
        meaning = f" ({field.description})" if field is not None and field.description else ""
        return f"missing key {place!r}{meaning}"
    rule = re.sub("^(Input|String|List|Dictionary|Value error,) ", "", error["msg"])
    if not place:
        return str(rule)
    shown = repr(error["input"])
    return f"{place} = {shown if len(shown) <= 60 else shown[:57] + '...'} {rule}"
