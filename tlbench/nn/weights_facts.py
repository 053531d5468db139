"""What published weights state of themselves: who trained them, on what, and the mean and deviation of their inputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tlbench.errors import TlbenchError
from tlbench.nn import backbones
from tlbench.suite import Network
from tlbench.terms import WeightsSource


@dataclass(frozen=True)
class PublishedWeights:
    """What a library states of the weights that it publishes."""

    source: WeightsSource
    mean: Sequence[float] | None = None
    """Of each channel of the inputs, in [0, 1]; None: not stated."""
    std: Sequence[float] | None = None


def with_published_facts(net: Network) -> Network:
    """The network with what publishes its weights states of them; what the suite states stays.

    Args:
        net: a checked table `[net]`; without the name of published weights it is returned as it is.

    Raises:
        TlbenchError: `normalization = "weights"`, and the weights state neither mean nor standard deviation.
    """
    published = published_weights(net)
    if published is not None:
        stated = {key: value for key, value in net.weights_source if value}
        net = net.model_copy(update={"weights_source": published.source.model_copy(update=stated)})
    if net.normalization != "weights":
        return net
    if published is None or published.mean is None or published.std is None:
        raise TlbenchError(
            "net.normalization: 'weights' takes mean and std from published weights that state them, such as 'DEFAULT' of "
            f"torchvision, and {net.options.get('weights') or 'a network without weights'!r} states none. State net.mean "
            "and net.std."
        )
    facts = {"mean": tuple(map(float, published.mean)), "std": tuple(map(float, published.std)), "normalization": "stated"}
    return net.model_copy(update=facts)


def published_weights(net: Network) -> PublishedWeights | None:
    """What a library states of the weights that a network names; None where it names none, or a file."""
    if not net.options.get("weights"):
        return None
    name, options = backbones.family_and_options(net.backbone, net.options)
    module = backbones.backbone_module(name)
    if (find := getattr(module, "published_weights", None)) is None:
        return None
    published = find(module.Options(**options))
    assert published is None or isinstance(published, PublishedWeights)
    return published
