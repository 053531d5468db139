"""The domains of a suite as features: vectors, images averaged down, or what a frozen backbone makes of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tlbench.errors import TlbenchError
from tlbench.transferability.inputs import Array, Floats

if TYPE_CHECKING:
    from tlbench.suite import Suite
    from tlbench.terms import Domain

MAX_SAMPLES = 2000
"""Samples of a domain that scores are computed from, a fixed random subsample where it has more."""


@dataclass(frozen=True)
class Samples:
    """Samples of a domain: features (N, D), labels (N,) as indices into the classes of all domains, and its own number."""

    features: Floats
    labels: Array
    total: int


class DomainSamples:
    """The samples of some domains of a suite, at most `MAX_SAMPLES` each; a frozen backbone gives the features."""

    def __init__(self, suite: Suite, names: list[str], root: Path) -> None:
        """Load the named domains from the data root.

        Raises:
            TlbenchError: a domain cannot be loaded, is no classification, or has samples of another shape than the others.
        """
        import torch

        from tlbench import runner
        from tlbench.engine.frozen import with_frozen_features

        domains: Mapping[str, Domain] = runner.load_domains(suite, names, root)
        for name, domain in domains.items():
            if not domain.classes or domain.tasks or domain.samples.y.ndim != 1:
                raise TlbenchError(
                    f"domains.{name}: Scores of transferability are of a classification with one label a sample."
                )
        if suite.net.frozen:
            suite = runner.plan.with_files(suite, root, set(suite.methods))
            domains = with_frozen_features(suite, domains, torch.device("cpu"))[1].domains
        shapes = {tuple(domain.samples.x.shape[1:]) for domain in domains.values() if domain.unfitted is None}
        if len(shapes) > 1:
            raise TlbenchError(
                f"The domains of suite {suite.name} have samples of {len(shapes)} shapes. Scores compare one shape."
            )
        self._domains = domains
        self._classes = sorted({name for domain in domains.values() for name in domain.classes})
        self._samples: dict[int, tuple[Domain, Samples]] = {}

    def of_domain(self, name: str) -> Samples:
        """The samples of a domain by itself; features that are fitted on a source are fitted on its own samples."""
        return self._of(self._domains[name])

    def of_pair(self, sources: Sequence[str], target: str) -> tuple[list[Samples], Samples]:
        """The samples of the sources and the target of a pair, with features that are fitted on these sources.

        Raises:
            TlbenchError: the domains have features that cannot be fitted together.
        """
        from tlbench.data.fitted_features import fit_features

        fitted, fitted_target = fit_features([self._domains[name] for name in sources], self._domains[target])
        return [self._of(domain) for domain in fitted], self._of(fitted_target)

    def _of(self, domain: Domain) -> Samples:
        """At most `MAX_SAMPLES` samples of a domain as vectors; those of a loaded one are made once."""
        if id(domain) in self._samples:
            return self._samples[id(domain)][1]
        samples = _samples(domain, self._classes)
        if any(domain is loaded for loaded in self._domains.values()):
            self._samples[id(domain)] = domain, samples
        return samples


def _samples(domain: Domain, classes: list[str]) -> Samples:
    """At most `MAX_SAMPLES` samples of a domain as vectors."""
    from tlbench.data.divergence import subsample, subsample_indices

    indices = subsample_indices(domain, MAX_SAMPLES)
    index_of = np.array([classes.index(name) for name in domain.classes])
    labels: Any = index_of[domain.samples.y.numpy()[indices]]
    return Samples(subsample(domain, MAX_SAMPLES), labels, len(domain.samples))


def with_backbone(suite: Suite, table: Mapping[str, Any]) -> Suite:
    """The suite with another `[net]`, frozen.

    Raises:
        TlbenchError: the table is no network.
    """
    from pydantic import ValidationError

    from tlbench.errors import schema_errors
    from tlbench.nn import backbones
    from tlbench.suite import Network

    net = {**table, "frozen": True}
    if errors := backbones.suite_errors({"net": net}):
        raise TlbenchError("\n".join(errors))
    try:
        return replace(suite, net=Network.model_validate(net))
    except ValidationError as error:
        raise TlbenchError("\n".join(sentence for _, sentence in schema_errors(error, Network, "net"))) from error
