"""The identities that a case had under earlier versions: its record is valid, and the case is to be run again."""

from __future__ import annotations

import hashlib

from tlbench.engine.runtime import identity as today
from tlbench.engine.runtime.class_texts import with_network
from tlbench.suite import Suite
from tlbench.terms import Record


def earlier_identities(record: Record, suite: Suite) -> set[str]:
    """The identities that follow from what a record states, under earlier versions of its method and of the engine.

    The budget and the network were once in the identity of shallow methods, too. Today's identity is not among them.

    Args:
        record: the record, with the options of its method under their names of today.
        suite: its suite.
    """
    data = today.canonical({name: record.data[name] for name in (*record.sources, record.target)})
    target = record.target if suite.has_own_protocol(record.target) else ""
    names, suite_read = today.names_text(record, suite), with_network(record, suite)
    settings = {today.canonical(suite_read.hashed_settings(target, shallow=shallow)) for shallow in (True, False)}
    if today.is_deep(record):
        settings = {today.canonical(suite.hashed_settings(target))}
    method, version, options = today.method_facts(record)
    pair = today.canonical((record.sources, record.target))
    files = {"", today.content_text(record, suite, record.weights or {})}
    hashes = {
        hashlib.sha256(
            f'{{{names}"data":{data},"decides":{decides},{_engine_text(engine)}{contents}'
            f'"method":{today.canonical([method, earlier, options])},"pair":{pair},'
            f'"seed":{record.seed},"suite":{today.canonical([record.suite, record.suite_version])}}}'.encode()
        ).hexdigest()[:16]
        for decides in settings
        for engine in range(1, today.ENGINE_VERSION + 1)
        for earlier in range(1, version + 1)
        for contents in files
    }
    return hashes - {today.stated_identity(record, suite)}


def _engine_text(version: int) -> str:
    return f'"engine":{version},' if version > 1 else ""
