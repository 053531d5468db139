"""A frozen backbone runs once over each domain, and all methods, seeds and runs share its features.

Methods then see float32 features (N, D), and a network whose backbone is the identity or a bottleneck layer that learns. The
backbone starts from its weights where it has any, and otherwise from a fixed seed: with the seed of a case, no features could
be shared.
"""

from __future__ import annotations

import dataclasses
import hashlib
import weakref
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tlbench.clock import Clock
from tlbench.data import cache
from tlbench.engine.data.inputs import Inputs, map_in_chunks
from tlbench.engine.data.storage import SampleStore, Subset, is_resident
from tlbench.engine.runtime.precision import matmul_precision, resolve_precision, set_backbone_precision
from tlbench.engine.runtime.seeds import seeded_rng
from tlbench.errors import TlbenchError
from tlbench.nn import backbones
from tlbench.nn.net import Backbone
from tlbench.suite import Network, Suite, digest
from tlbench.terms import Domain, Labelled

SEED = 0
"""The seed of a frozen backbone without pre-trained weights."""
BATCH_SIZE = 256
"""Samples of a forward."""


@dataclass(frozen=True)
class VisibleDomains:
    """The domains of a pair as methods see them: with features in the place of samples where the backbone is frozen."""

    domains: Mapping[str, Domain]
    notes: tuple[str, ...] = ()
    feature_seconds: float | None = None
    """The seconds that the extraction of the features took, in this run or in an earlier one; None where unknown."""


_backbone_digests: dict[str, str] = {}
"""The digest of a configuration -> the digest of its backbone, for a large backbone takes long to build and to hash."""
_features_in_memory: dict[tuple[int, str], tuple[weakref.ref[Domain], cache.StoredDomain]] = {}
"""Object id of a domain and digest of a backbone -> the domain and its features."""


def with_frozen_features(suite: Suite, domains: Mapping[str, Domain], device: torch.device) -> tuple[Suite, VisibleDomains]:
    """The suite and the domains; where the backbone is frozen, a suite with a network for features, and domains of features."""
    if not suite.net.frozen:
        return suite, VisibleDomains(domains)
    shape = tuple(next(iter(domains.values())).samples.x.shape[1:])
    precision = resolve_precision(suite.train, device)
    weights = sorted(file.sha256 for file in suite.files.values())
    configuration = digest(
        [suite.net.model_dump(mode="json"), shape, precision, weights, backbones.plugin_hash(suite.net.backbone)]
    )
    if configuration not in _backbone_digests:
        _backbone_digests[configuration] = _frozen_backbone(suite, shape, precision)[1]
    backbone_digest = _backbone_digests[configuration]
    features = {name: _features(domain, backbone_digest, suite, device, precision) for name, domain in domains.items()}
    learns = f"a bottleneck of {suite.net.bottleneck}" if suite.net.bottleneck else "the head alone"
    net = Network.model_validate({"backbone": "features", "width": suite.net.bottleneck})
    notes = (f"the backbone is frozen: {learns} learns from its features, and throughput is that of these steps",)
    by_domain = [of_domain.seconds for of_domain in features.values()]
    seconds = None if None in by_domain else sum(filter(None, by_domain))
    visible = VisibleDomains({name: of_domain.domain for name, of_domain in features.items()}, notes, seconds)
    return dataclasses.replace(suite, net=net, files={}), visible


def clear_features() -> None:
    """Release the features in the memory of this process; those in the cache stay."""
    _features_in_memory.clear()
    _backbone_digests.clear()


def new_backbone(suite: Suite, shape: tuple[int, ...], precision: str) -> Backbone:
    """The frozen backbone of a suite, on the CPU.

    Args:
        suite: its network and files.
        shape: of a sample.
        precision: of the forward pass.
    """
    with seeded_rng(SEED, torch.device("cpu")):
        backbone = backbones.build_backbone(suite.net.backbone, shape, suite.net.options, suite.files)
    backbone.eval().requires_grad_(False)
    set_backbone_precision(backbone, precision)
    return backbone


def _frozen_backbone(suite: Suite, shape: tuple[int, ...], precision: str) -> tuple[Backbone, str]:
    """The frozen backbone on the CPU, and a digest of everything that decides its features beside the samples."""
    backbone = new_backbone(suite, shape, precision)
    state = hashlib.sha256()
    for name, tensor in backbone.state_dict().items():
        state.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        state.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    facts = [
        backbones.resolve_backbone(suite.net.backbone, shape),
        repr(backbone),
        suite.net.mean,
        suite.net.std,
        shape,
        precision,
        suite.net.options,  # some, such as how tokens are pooled, are neither in the text of the modules nor in their state
        sorted(file.sha256 for file in suite.files.values()),
    ]
    if (code := backbones.plugin_hash(suite.net.backbone)) is not None:
        facts.append(code)
    return backbone, digest([1, facts, state.hexdigest(), torch.__version__.partition("+")[0]])


def _features(domain: Domain, backbone_digest: str, suite: Suite, device: torch.device, precision: str) -> cache.StoredDomain:
    """The features of a domain, from the memory of this process, from the cache, or extracted now."""
    if (cached := _features_in_memory.get((id(domain), backbone_digest))) is not None:
        return cached[1]
    if domain.unfitted is not None:
        raise TlbenchError(
            f"domains.{domain.name}: Its features are fitted on the source samples, which net.frozen does not support. "
            "Set net.frozen = false, or declare features that need no fit."
        )

    def extract() -> tuple[Domain, float]:
        backbone, _ = _frozen_backbone(suite, tuple(domain.samples.x.shape[1:]), precision)
        clock = Clock(device)
        with clock.measure("features"):
            extracted = extract_features(domain, backbone, suite, device, precision)
        return extracted, clock.seconds["features"]

    folder = cache.cache_folder()
    if folder is None:
        features = cache.StoredDomain(*extract())
    else:
        features = cache.load_derived(folder, digest([backbone_digest, domain.fingerprint]), domain, extract)
    key = id(domain), backbone_digest  # the id and a weak reference, so that the domain can be freed
    _features_in_memory[key] = (weakref.ref(domain, lambda _: _features_in_memory.pop(key, None)), features)
    return features


def extract_features(domain: Domain, backbone: Backbone, suite: Suite, device: torch.device, precision: str) -> Domain:
    """The domain with the features (N, D) of all its samples in their place, on the CPU.

    Args:
        domain: the samples.
        backbone: from `new_backbone`.
        suite: its network says how images are scaled, its training the memory layout.
        device: where the backbone runs.
        precision: of the forward pass.
    """
    convolves = any(isinstance(module, nn.Conv2d) for module in backbone.modules())
    channels_last = convolves and suite.train.layout != "contiguous"
    inputs = Inputs(suite.net, channels_last=channels_last)
    backbone.to(device)
    if channels_last:
        backbone.to(memory_format=torch.channels_last)

    def of(samples: Labelled) -> Labelled:
        resident = is_resident(suite.train.resident, [samples.x], device)
        indices = torch.arange(len(samples), device=device if resident else None)
        stored = Subset(SampleStore([samples.x], device, resident), indices)
        features: Tensor = map_in_chunks(lambda x: backbone(x).float().cpu(), stored, inputs, BATCH_SIZE)
        return dataclasses.replace(samples, x=features.contiguous())

    with matmul_precision(precision, device):
        test = None if domain.test is None else of(domain.test)
        return dataclasses.replace(domain, samples=of(domain.samples), test=test)
