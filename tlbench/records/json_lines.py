"""A record as one JSON line, of the present schema and of all earlier ones."""

from __future__ import annotations

import contextlib
import gc
import json
from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError

from tlbench.errors import TlbenchError, schema_errors
from tlbench.plain_files import parse_json, read_plain
from tlbench.ranges import MAX_NAME_CHARACTERS
from tlbench.terms import SCHEMA, Record

MAX_FILE_BYTES, MAX_LINE_BYTES = 2**30, 2**24
"""Larger results files and longer lines are refused; a record takes a few thousand bytes."""
MAX_SHOWN_ERRORS = 20
"""The errors of a file that are listed; the others are counted."""


def to_line(record: Record) -> str:
    """One line of JSON without the line end; keys are in the order of the schema."""
    facts = record.model_dump(mode="json", by_alias=True)
    return json.dumps(facts, ensure_ascii=False, separators=(", ", ": "), allow_nan=False)


def from_line(line: str) -> Record:
    """The record of a line of the present schema or an earlier one.

    Raises:
        TlbenchError: the line is not JSON, is no record, or is of a later schema.
    """
    try:
        record = Record.model_validate_json(line)  # by far the fastest way; its errors say little
        if record.schema_ <= SCHEMA and "schema_" in record.model_fields_set:
            return _with_whole_case(record)
    except ValidationError:
        pass
    try:
        facts = parse_json(line)
    except json.JSONDecodeError as error:
        raise TlbenchError(f"Not JSON: {error}") from error
    except TlbenchError as error:
        raise TlbenchError(f"Not a record: {error}") from error
    if not isinstance(facts, dict) or not isinstance(facts.get("schema"), int):
        raise TlbenchError("Not a record: it has no schema number.")
    if facts["schema"] > SCHEMA:
        raise TlbenchError(
            f"Schema {facts['schema']} is of a later tlbench; this one reads schemas up to {SCHEMA}. Install the later one."
        )
    try:
        return _with_whole_case(Record.model_validate(facts))
    except ValidationError as error:
        sentences = " ".join(sentence for _, sentence in schema_errors(error, Record))
        raise TlbenchError(f"Not a record: {sentences}") from error


def _with_whole_case(record: Record) -> Record:
    """The record, whose names are of a plausible length, and whose domains all have a fingerprint.

    Raises:
        TlbenchError: a name is empty or too long, or a domain has no fingerprint.
    """
    domains = (*record.sources, record.target)
    for name in (record.suite, record.entry, record.method, *domains):
        if not 0 < len(name) <= MAX_NAME_CHARACTERS:
            raise TlbenchError(f"Not a record: A name has {len(name)} characters; it has 1 to {MAX_NAME_CHARACTERS}.")
    for name in domains:
        if name not in record.data:
            raise TlbenchError(f"Not a record: data: There is no fingerprint of domain {name!r}, which is in the pair.")
    return record


def is_torn(line: bytes) -> bool:
    """Whether a line is what a write leaves that was cut off: its first part alone, which is no JSON."""
    try:
        parse_json(line.decode())
    except (json.JSONDecodeError, UnicodeDecodeError):
        return True
    except TlbenchError:
        return False
    return False


def read_lines(file: Path, offset: int = 0) -> bytes:
    """The bytes of a results file from an offset on.

    Raises:
        FileNotFoundError: there is no such file.
        TlbenchError: it is no plain file, it is too large, or it can't be read.
    """
    return read_plain(file, MAX_FILE_BYTES, offset)


def parse_lines(file: Path, content: bytes, first: int = 1) -> list[Record]:
    """The records of the non-empty lines of a file.

    Args:
        file: named in errors.
        content: the bytes of the lines.
        first: the number of the first line, for errors.

    Raises:
        TlbenchError: naming each line that is no record.
    """
    records, errors = [], []
    with gc_paused():
        for number, line in enumerate(content.split(b"\n"), first):  # not splitlines: JSON text may hold other line ends
            if line.strip():
                try:
                    if len(line) > MAX_LINE_BYTES:
                        raise TlbenchError(f"The line has {len(line):,} bytes; a record has {MAX_LINE_BYTES:,} at most.")
                    records.append(from_line(line.decode()))
                except (TlbenchError, UnicodeDecodeError) as error:
                    errors.append(f"line {number}: {error}")
    if errors:
        omitted = len(errors) - MAX_SHOWN_ERRORS
        shown = [*errors[:MAX_SHOWN_ERRORS], *([f"and {omitted} more"] if omitted > 0 else [])]
        raise TlbenchError(f"{file}:\n  " + "\n  ".join(shown))
    return records


@contextlib.contextmanager
def gc_paused() -> Iterator[None]:
    """Pause the garbage collector while many objects are created: it would scan all of them again and again.

    Reading 50,000 records takes less than half the time.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
