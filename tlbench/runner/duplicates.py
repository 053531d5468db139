"""Warnings about samples that a pair both trains on and scores: they make a transfer look better than it is."""

from __future__ import annotations

from collections.abc import Sequence

from tlbench import data
from tlbench.suite import Protocol
from tlbench.terms import Domain

MAX_COMPARED_BYTES = 2**30
"""Pairs with more bytes of samples are not compared before a run, which would read all of them; `tlbench data check` does."""

_messages_of: dict[tuple[object, ...], tuple[str, ...]] = {}
"""The messages of a pair, by the content of its domains: suites share domains, and a sweep makes many plans."""


def duplicate_warnings(
    sources: Sequence[Domain], target: Domain, protocol: Protocol, *, max_bytes: int | None = MAX_COMPARED_BYTES
) -> list[str]:
    """Count the samples of a pair that may be both trained on and scored; one sentence for each kind.

    Args:
        sources: the source domains; their main samples are trained on.
        target: the target domain; its test samples are scored if the protocol says so, else its main samples.
        protocol: what is granted and what is scored.
        max_bytes: pairs with more bytes of samples give no warnings; None: no limit.
    """
    domains = (*sources, target)
    inputs = [subset.x for domain in domains for subset in (domain.samples, domain.test) if subset is not None]
    if max_bytes is not None and sum(x.nbytes for x in inputs) > max_bytes:
        return []
    rules = (protocol.scored, protocol.grants, protocol.target_labels)
    key = (*((domain.name, domain.fingerprint) for domain in domains), str(rules))
    if key not in _messages_of:
        _messages_of[key] = tuple(_compare(sources, target, protocol))
    return list(_messages_of[key])


def _compare(sources: Sequence[Domain], target: Domain, protocol: Protocol) -> list[str]:
    """Compare what a protocol trains on with what it scores, for one pair."""
    pair = f"{'+'.join(source.name for source in sources)}:{target.name}"
    sources, target = data.fit_features(sources, target)
    scores_test_samples = protocol.scored == "test" and target.test is not None
    scored = target.test if scores_test_samples and target.test is not None else target.samples
    messages = []
    for source in sources:
        if count := data.count_duplicates(scored.x, source.samples.x):
            messages.append(
                f"{count:,} of {len(scored):,} samples of {target.name} that may be scored are also samples of {source.name}."
            )
    if scores_test_samples and ("target" in protocol.grants or protocol.target_labels):
        if count := data.count_duplicates(scored.x, target.samples.x):
            messages.append(f"{count:,} of {len(scored):,} test samples of {target.name} are also training samples of it.")
    elif (
        not scores_test_samples
        and (protocol.scored == "held_out" or protocol.target_labels)
        and (count := data.count_duplicates(target.samples.x))
    ):
        messages.append(
            f"{count:,} of {len(scored):,} samples of {target.name} occur more than once: some may be both granted and scored."
        )
    return [f"pair {pair}: {message}" for message in messages]
