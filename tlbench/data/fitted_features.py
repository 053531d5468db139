"""Features that are fitted on the source samples of a pair: which samples these are is known only for a pair of domains.

A domain whose categories, imputed values or n-grams are to be fitted keeps its samples as they were read (`Domain.unfitted`).
`fit_features` makes the domains of a pair from them: the encoding is fitted on the main samples of the pair's sources that are
left after the selections in their declarations, and on no others. Neither the other domains of the suite nor the protocol
change it.
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
"""The domains of this many pairs stay in memory: the cases of a pair run one after the other."""


@dataclass(frozen=True)
class UnfittedFeatures:
    """The samples of a domain that an encoding may be fitted on, and how the domain is made by such an encoding."""

    samples: UnencodedSamples
    make_domain: Callable[[Sequence[UnencodedSamples]], Domain]
    """Samples to fit on -> the domain."""


_pairs: OrderedDict[tuple[int, ...], tuple[list[Domain], list[Domain]]] = OrderedDict()
"""By the ids of the unfitted domains: these domains, so that no other object gets their ids, and the fitted ones."""
_lock = threading.Lock()


def fit_features(sources: Sequence[Domain], target: Domain) -> tuple[list[Domain], Domain]:
    """The domains of a pair, with features fitted on its sources; the same objects where nothing is to be fitted.

    Raises:
        TlbenchError: one domain has fitted features and another has features of its own, or their readers differ.
    """
    domains = [*sources, target]
    if all(domain.unfitted is None for domain in domains):
        return list(sources), target
    key = tuple(map(id, domains))
    with _lock:
        if key in _pairs:
            _pairs.move_to_end(key)
            *fitted_sources, fitted_target = _pairs[key][1]
            return fitted_sources, fitted_target
    pair = f"pair {'+'.join(source.name for source in sources)}:{target.name}"
    for domain in domains:
        if domain.unfitted is None:
            raise TlbenchError(
                f"{pair}: The domain {domain.name} has features of its own, and others fit theirs on the source. Give all "
                "domains one reader with the same features, or name the rows to fit on (fit)."
            )
    fit_on = [source.unfitted.samples for source in sources]
    if len(kinds := {type(domain.unfitted.samples).__name__ for domain in domains}) > 1:
        raise TlbenchError(f"{pair}: The features are of different kinds ({', '.join(sorted(kinds))}). Give all one reader.")
    try:
        fitted = [domain.unfitted.make_domain(fit_on) for domain in domains]
    except TlbenchError as error:
        raise TlbenchError(f"{pair}: {error}") from error
    with _lock:
        _pairs[key] = (domains, fitted)
        while len(_pairs) > CACHED_PAIRS:
            _pairs.popitem(last=False)
    return fitted[:-1], fitted[-1]
