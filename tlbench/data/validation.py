"""Tables of a suite, checked against a schema: all errors, by key."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from tlbench.errors import schema_errors


def check(model: type[BaseModel], table: Mapping[str, Any], available: Iterable[str] = ()) -> dict[str, str]:
    """The errors of a table as sentences, by top-level key (empty for an error of the table as a whole).

    Args:
        model: the schema; unknown keys are errors.
        table: the table as the user wrote it.
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
