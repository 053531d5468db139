"""Tables of a suite checked against a schema: what is wrong, by key."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from tlbench.errors import schema_errors


def check(model: type[BaseModel], table: Mapping[str, Any], available: Iterable[str] = ()) -> dict[str, str]:
    """Errors of a table by its top-level key (empty where the table as a whole is wrong).

    Args:
        model: the schema; unknown keys are errors.
        table: what was written.
        available: keys of the same table that other schemas validate; an unknown key may have meant one of them.
    """
    try:
        model.model_validate(dict(table))
    except ValidationError as error:
        sentences: dict[str, str] = {}
        for key, sentence in schema_errors(error, model, available=available):
            sentences[key] = f"{sentences[key]} {sentence}" if key in sentences else sentence
        return sentences
    return {}
