"""Rows that a pair trains on and scores too: said before the run, for they make a transfer look better than it is."""

from __future__ import annotations

from collections.abc import Sequence

from tlbench import data
from tlbench.suite import Protocol
from tlbench.terms import Domain

LOOKED_AT_BYTES = 2**30
"""Pairs whose rows take more are not looked at before a run: all of them would be read. `tlbench data check` does."""

_known: dict[tuple[object, ...], tuple[str, ...]] = {}
"""What was said of a pair, by the content of its domains: suites share domains, and a sweep plans often."""


def duplicate_warnings(
    sources: Sequence[Domain], target: Domain, protocol: Protocol, *, max_bytes: int | None = LOOKED_AT_BYTES
) -> list[str]:
    """A sentence with the count for each kind of row of a pair that may be trained on and scored.

    Args:
        sources: the source domains; their main rows are trained on.
        target: its test rows are scored if the protocol says so, else its main rows.
        protocol: what is granted and what is scored.
        most: bytes of rows that are looked at; None: any number.
    """
    domains = (*sources, target)
    parts = [part.x for domain in domains for part in (domain.samples, domain.test) if part is not None]
    if max_bytes is not None and sum(x.nbytes for x in parts) > max_bytes:
        return []
    rules = (protocol.scored, protocol.grants, protocol.target_labels)
    key = (*((domain.name, domain.fingerprint) for domain in domains), str(rules))
    if key not in _known:
        _known[key] = tuple(_counted(sources, target, protocol))
    return list(_known[key])


def _counted(sources: Sequence[Domain], target: Domain, protocol: Protocol) -> list[str]:
    pair = f"pair {'+'.join(source.name for source in sources)}:{target.name}"
    sources, target = data.fit_features(sources, target)
    on_test = protocol.scored == "test" and target.test is not None
    scored = target.test if on_test and target.test is not None else target.samples
    said = []
    for source in sources:
        if count := data.count_duplicates(scored.x, source.samples.x):
            said.append(f"{count:,} of {len(scored):,} rows of {target.name} that may be scored are rows of {source.name} too")
    if on_test and ("target" in protocol.grants or protocol.target_labels):
        if count := data.count_duplicates(scored.x, target.samples.x):
            said.append(f"{count:,} of {len(scored):,} test rows of {target.name} are training rows of it too")
    elif (
        not on_test
        and (protocol.scored == "held_out" or protocol.target_labels)
        and (count := data.count_duplicates(target.samples.x))
    ):
        said.append(
            f"{count:,} of {len(scored):,} rows of {target.name} are there more than once, so some may be granted and scored"
        )
    return [f"{pair}: {sentence}" for sentence in said]
