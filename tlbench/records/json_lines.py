"""Record <-> one JSON line, of every schema so far."""

from __future__ import annotations

import contextlib
import gc
import json
from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError

from tlbench.errors import TlbenchError, schema_errors
from tlbench.terms import SCHEMA, Record


def to_line(record: Record) -> str:
    """One line of JSON, without the line end; keys in the order of the schema."""
    facts = record.model_dump(mode="json", by_alias=True)
    return json.dumps(facts, ensure_ascii=False, separators=(", ", ": "), allow_nan=False)


def from_line(line: str) -> Record:
    """The record of a line of any schema so far.

    Raises:
        TlbenchError: not JSON, not a record, or of a schema of the future.
    """
    try:
        record = Record.model_validate_json(line)  # by far the quickest way, which says little of what is wrong
        if record.schema_ <= SCHEMA and "schema_" in record.model_fields_set:
            return record
    except ValidationError:
        pass
    try:
        facts = json.loads(line)
    except json.JSONDecodeError as error:
        raise TlbenchError(f"not JSON: {error}") from error
    if not isinstance(facts, dict) or not isinstance(facts.get("schema"), int):
        raise TlbenchError("not a record: it has no schema number")
    if facts["schema"] > SCHEMA:
        raise TlbenchError(f"schema {facts['schema']} is of a later tlbench; this one reads up to {SCHEMA}")
    try:
        return Record.model_validate(facts)
    except ValidationError as error:
        said = " ".join(sentence for _, sentence in schema_errors(error, Record))
        raise TlbenchError(f"not a record: {said}") from error


def parse_lines(file: Path, content: bytes, first: int = 1) -> list[Record]:
    """The records of the lines of a file, or what is wrong with them; `first` is the number of the first line."""
    records, wrong = [], []
    with gc_paused():
        for number, line in enumerate(content.split(b"\n"), first):  # not splitlines: JSON text may hold other line ends
            if line.strip():
                try:
                    records.append(from_line(line.decode()))
                except (TlbenchError, UnicodeDecodeError) as error:
                    wrong.append(f"line {number}: {error}")
    if wrong:
        shown = [*wrong[:20], *([f"and {len(wrong) - 20} more"] if len(wrong) > 20 else [])]
        raise TlbenchError(f"{file}:\n  " + "\n  ".join(shown))
    return records


@contextlib.contextmanager
def gc_paused() -> Iterator[None]:
    """Without the collector of cycles, which looks through all that is there again and again while much is made.

    Reading 50,000 records takes less than half the time.
    """
    before = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if before:
            gc.enable()
