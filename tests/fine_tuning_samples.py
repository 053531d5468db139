"""Networks, samples and trainings that the tests of fine-tuning share."""

from __future__ import annotations

import math

import torch
from tiny_suite import CPU
from torch import Tensor, nn
from toy_training import fit_deep

from tlbench import checks, engine, methods
from tlbench.clock import Clock
from tlbench.methods.base import DeepMethod
from tlbench.nn import backbones
from tlbench.nn.net import Net
from tlbench.terms import Case, Labelled, Step

SOURCE_STEPS = 10
"""Half of the steps of `fit_deep` and `fit_normalized`: those on the source."""


def wave(*shape: int, step: float = 0.37) -> Tensor:
    """Numbers in [-1, 1] that are the same in every version of torch."""
    return torch.sin(step * torch.arange(1, math.prod(shape) + 1, dtype=torch.float32)).view(shape)


def fill(module: nn.Module, step: float) -> nn.Module:
    """Set parameter number i of a module to a wave of the step + i / 10."""
    with torch.no_grad():
        for number, parameter in enumerate(module.parameters()):
            parameter.copy_(wave(*parameter.shape, step=step + 0.1 * number))
    return module


def build(name: str, net: Net | None = None, **options) -> DeepMethod:
    """A method on a small network without training."""
    net = net or Net(backbones.build_backbone("mlp", (6,), {"hidden": [5, 4]}), 3)
    return methods.method_class(name)(net, **methods.method_options(name, options))


def labeled_step(count: int = 6) -> Step:
    """A step on labelled target samples, each of which occurs once."""
    x, y = wave(count, 6), torch.arange(count) % 3
    return Step(target_labeled=Labelled(x, y), indices={"target_labeled": torch.arange(count)}, progress=0.5)


def fit_normalized(name: str, steps: int = 20, **options) -> DeepMethod:
    """A deep method after its training on the toy task, with batch normalisation in the backbone."""
    case = Case(suite="toy", suite_version=1, entry=name, method=name, options=options, sources=("a",), target="b", seed=0)
    suite = checks.toy_suite(steps, batch_norm=True)
    fitted = engine.fit(case, suite, checks.toy_task(), Clock(CPU), lambda use: sum(use.encode()), CPU)
    assert isinstance(fitted.method, DeepMethod)
    return fitted.method


def source_state(*, normalized: bool = False) -> dict[str, Tensor]:
    """Parameters and buffers of the backbone after the steps on the source."""
    fit = fit_normalized if normalized else fit_deep
    return dict(fit("source_only", steps=SOURCE_STEPS).net.backbone.state_dict())


def moved(method: DeepMethod, *, normalized: bool = False) -> set[str]:
    """The names of the parameters and buffers of the backbone that differ from those after the source.

    Inserted layers are left out, and the names are those of the backbone without them.
    """
    before = source_state(normalized=normalized)
    after = {key.replace(".layer.", "."): value for key, value in method.net.backbone.state_dict().items()}
    return {key for key, value in before.items() if not torch.equal(value, after[key])}
