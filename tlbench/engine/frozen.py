"""A frozen backbone runs once over each domain: its features are kept by content, and shared by all methods, seeds and runs.

What a method then sees are float32 vectors, the features, and a network whose backbone is the identity, or one layer (a
bottleneck) that learns. The backbone starts from its weights where it has any, else from a fixed seed: never from a case's seed,
for then nothing could be shared.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
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
"""Of a frozen backbone that has no weights from elsewhere."""
BATCH_SIZE = 256
"""Rows of a forward."""


@dataclass(frozen=True)
class VisibleDomains:
    """The domains of a pair as methods see them."""

    domains: Mapping[str, Domain]
    notes: tuple[str, ...] = ()
    seconds: float | None = None
    """That the features took when they were made, whenever that was."""


@dataclass(frozen=True)
class _Features:
    domain: Domain
    seconds: float | None


_keys: dict[str, str] = {}
"""What a suite asks for -> the digest of its backbone: a large one takes long to build and to read through."""
_made: dict[tuple[int, str], tuple[weakref.ref[Domain], _Features]] = {}


def with_frozen_features(suite: Suite, domains: Mapping[str, Domain], device: torch.device) -> tuple[Suite, VisibleDomains]:
    """A suite and domains as they are, or where the backbone is frozen, a network for features and domains of features."""
    if not suite.net.frozen:
        return suite, VisibleDomains(domains)
    shape = tuple(next(iter(domains.values())).samples.x.shape[1:])
    precision = resolve_precision(suite.train, device)
    asked = digest([suite.net.model_dump(mode="json"), shape, precision])
    if asked not in _keys:
        _keys[asked] = _frozen_backbone(suite, shape, precision)[1]
    made = {name: _features(domain, _keys[asked], suite, device, precision) for name, domain in domains.items()}
    learns = f"a bottleneck of {suite.net.bottleneck}" if suite.net.bottleneck else "the head alone"
    net = Network.model_validate({"backbone": "features", "width": suite.net.bottleneck})
    notes = (f"the backbone is frozen: {learns} learns from its features, and speeds are of that",)
    each = [features.seconds for features in made.values()]
    seconds = None if None in each else sum(filter(None, each))
    seen = VisibleDomains({name: features.domain for name, features in made.items()}, notes, seconds)
    return dataclasses.replace(suite, net=net), seen


def clear_features() -> None:
    """Let go of the features that this process holds; those on the disk stay."""
    _made.clear()
    _keys.clear()


def _frozen_backbone(suite: Suite, shape: tuple[int, ...], precision: str) -> tuple[Backbone, str]:
    """The frozen backbone on the CPU, and a digest of all that decides its features beside the rows."""
    with seeded_rng(SEED, torch.device("cpu")):
        backbone = backbones.build_backbone(suite.net.backbone, shape, suite.net.options).eval().requires_grad_(False)
    set_backbone_precision(backbone, precision)
    state = hashlib.sha256()
    for name, tensor in backbone.state_dict().items():
        state.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        state.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    decides = [
        backbones.resolve_backbone(suite.net.backbone, shape),
        repr(backbone),
        suite.net.mean,
        suite.net.std,
        shape,
        precision,
    ]
    return backbone, digest([1, decides, state.hexdigest(), torch.__version__.partition("+")[0]])


def _features(domain: Domain, key: str, suite: Suite, device: torch.device, precision: str) -> _Features:
    """The domain's features: made in this process, kept on the disk, or made now."""
    if (found := _made.get((id(domain), key))) is not None:
        return found[1]
    if domain.unfitted is not None:
        raise TlbenchError(
            f"domains.{domain.name}: its features are learned from source rows, and net.frozen takes no such rows"
        )
    spent: list[float] = []

    def make() -> Domain:
        backbone, _ = _frozen_backbone(suite, tuple(domain.samples.x.shape[1:]), precision)
        watch = Clock(device)
        with watch.measure("features"):
            made = _extract_features(domain, backbone, suite, device, precision)
        spent.append(watch.seconds["features"])
        return made

    folder = cache.cache_folder()
    if folder is None:
        made = make()
    else:
        made, entry = cache.load_derived(folder, digest([key, domain.fingerprint]), domain.name, make)
        with contextlib.suppress(OSError, ValueError):
            if spent:
                (entry / "seconds.json").write_text(json.dumps(spent[0]), encoding="ascii")
            else:
                spent.append(float(json.loads((entry / "seconds.json").read_text(encoding="ascii"))))
    features = _Features(made, spent[0] if spent else None)
    place = id(domain), key  # not the domain itself, which would then live for ever
    _made[place] = (weakref.ref(domain, lambda _: _made.pop(place, None)), features)
    return features


def _extract_features(domain: Domain, backbone: Backbone, suite: Suite, device: torch.device, precision: str) -> Domain:
    layout = any(isinstance(module, nn.Conv2d) for module in backbone.modules()) and suite.train.layout != "contiguous"
    inputs = Inputs(suite.net, channels_last=layout)
    backbone.to(device)
    if layout:
        backbone.to(memory_format=torch.channels_last)

    def of(rows: Labelled) -> Labelled:
        resident = is_resident(suite.train.resident, [rows.x], device)
        stored = Subset(SampleStore([rows.x], device, resident), torch.arange(len(rows), device=device if resident else None))
        features: Tensor = map_in_chunks(lambda x: backbone(x).float().cpu(), stored, inputs, BATCH_SIZE)
        return dataclasses.replace(rows, x=features.contiguous())

    with matmul_precision(precision, device):
        test = None if domain.test is None else of(domain.test)
        return dataclasses.replace(domain, samples=of(domain.samples), test=test)
