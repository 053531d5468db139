"""The domains of a suite as features: vectors, images averaged down, or what a frozen backbone makes of them."""

from __future__ import annotations

from collections.abc import Mapping
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


def domain_samples(suite: Suite, names: list[str], root: Path) -> dict[str, Samples]:
    """The samples of some domains of a suite, at most `MAX_SAMPLES` each; a frozen backbone gives the features.

    Raises:
        TlbenchError: a domain cannot be loaded, is no classification, or has features that a source must be fitted for.
    """
    import torch

    from tlbench import runner
    from tlbench.engine.frozen import with_frozen_features

    domains: Mapping[str, Domain] = runner.load_domains(suite, names, root)
    for name, domain in domains.items():
        if not domain.classes or domain.tasks or domain.samples.y.ndim != 1:
            raise TlbenchError(f"domains.{name}: Scores of transferability are of a classification with one label a sample.")
    if suite.net.frozen:
        suite = runner.plan.with_files(suite, root, set(suite.methods))
        domains = with_frozen_features(suite, domains, torch.device("cpu"))[1].domains
    classes = sorted({name for domain in domains.values() for name in domain.classes})
    shapes = {tuple(domain.samples.x.shape[1:]) for domain in domains.values()}
    if len(shapes) > 1:
        raise TlbenchError(f"The domains of suite {suite.name} have samples of {len(shapes)} shapes. Scores compare one shape.")
    return {name: _samples(domain, classes) for name, domain in domains.items()}


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
