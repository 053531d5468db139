"""Features that are learned from source rows: which rows those are is known once two domains are a pair.

A domain whose categories, fillings or words are to be learned keeps its rows as they were read (`Domain.unfitted`). `fitted`
makes the domains of a pair from them: what is learned comes from the main rows of its sources that are left after the choices
of their declarations, and from no others, whichever domains the suite names beside them and whatever its protocol scores.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tlbench.data.decoding.arrays import UnencodedSamples
from tlbench.errors import TlbenchError
from tlbench.terms import Domain

CACHED_PAIRS = 4
"""Pairs whose domains are kept: the cases of a pair are run one after the other."""


@dataclass(frozen=True)
class UnfittedFeatures:
    """Rows that others may learn from, and how the domain is made from what was learned."""

    own: UnencodedSamples
    made: Callable[[Sequence[UnencodedSamples]], Domain]


_pairs: OrderedDict[tuple[int, ...], tuple[list[Domain], list[Domain]]] = OrderedDict()
"""By the identities of the domains: those domains, so that no other takes their place, and what was made of them."""
_lock = threading.Lock()


def fit_features(sources: Sequence[Domain], target: Domain) -> tuple[list[Domain], Domain]:
    """The domains of a pair, with features that are learned from its sources; the same objects where nothing is learned.

    Raises:
        TlbenchError: a domain that learns its features beside a source that has none to learn from.
    """
    domains = [*sources, target]
    if all(domain.unfitted is None for domain in domains):
        return list(sources), target
    key = tuple(map(id, domains))
    with _lock:
        if key in _pairs:
            _pairs.move_to_end(key)
            *first, last = _pairs[key][1]
            return first, last
    pair = f"pair {'+'.join(source.name for source in sources)}:{target.name}"
    for domain in domains:
        if domain.unfitted is None:
            raise TlbenchError(
                f"{pair}: {domain.name} has features of its own, and others learn theirs from the source; give all one reader "
                "with the same features, or name what is learned from (fit)"
            )
    learned = [source.unfitted.own for source in sources]
    if len(kinds := {type(domain.unfitted.own).__name__ for domain in domains}) > 1:
        raise TlbenchError(f"{pair}: features of different kinds ({', '.join(sorted(kinds))}); give all domains one reader")
    try:
        made = [domain.unfitted.made(learned) for domain in domains]
    except TlbenchError as error:
        raise TlbenchError(f"{pair}: {error}") from error
    with _lock:
        _pairs[key] = (domains, made)
        while len(_pairs) > CACHED_PAIRS:
            _pairs.popitem(last=False)
    return made[:-1], made[-1]
