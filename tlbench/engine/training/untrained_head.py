"""Whether the head that a method predicts with has learned at all: its predictions are chance before its own phase."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

from torch import nn

from tlbench.engine.training.learned_tensors import learned_parameters
from tlbench.methods.base import DeepMethod, Group, Phase


class LastLayer:
    """The last module with parameters of its own that ran, from the hooks of `recorded_last_layer`."""

    module: nn.Module | None = None


@contextlib.contextmanager
def recorded_last_layer(method: DeepMethod) -> Iterator[LastLayer]:
    """Record which module with parameters of its own ends the forward passes inside the block: the head."""
    last = LastLayer()

    def record(module: nn.Module, _: Any, __: Any) -> None:
        last.module = module

    holders = [module for module in method.modules() if any(True for _ in module.parameters(recurse=False))]
    handles = [module.register_forward_hook(record) for module in holders]
    try:
        yield last
    finally:
        for handle in handles:
            handle.remove()


def learns_later(layer: nn.Module | None, method: DeepMethod, phases: Sequence[Phase], number: int) -> bool:
    """Whether the parameters of a layer have learned in no phase so far, and learn or are set in a later one.

    Args:
        layer: the layer; None: the method predicted without one.
        method: the method that it belongs to.
        phases: the phases of the method.
        number: index of the phase that runs now, or has just ended.
    """
    if layer is None:
        return False
    everything: Sequence[Group] = (Group((method,)),)
    by_phase = [{id(p) for p in learned_parameters(phase.groups or everything)} for phase in phases if _learns(phase)]
    so_far = sum(_learns(phase) for phase in phases[: number + 1])
    own = {id(parameter) for parameter in layer.parameters(recurse=False)}
    return own.isdisjoint(set().union(*by_phase[:so_far])) and not own.isdisjoint(set().union(*by_phase[so_far:]))


def _learns(phase: Phase) -> bool:
    """Whether a phase has steps, or names the modules that it sets without any."""
    return phase.loss is not None or phase.groups is not None
