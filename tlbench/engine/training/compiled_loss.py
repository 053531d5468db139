"""Losses compiled by `torch.compile`, each as one graph."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import torch

from tlbench.methods.base import Phase

COMPILER: dict[str, Any] = {"backend": "inductor", "options": {"fallback_random": True}}
"""The options of `torch.compile`; random numbers are drawn as in eager steps."""


def compile_phase(phase: Phase) -> Phase:
    """The phase with each of its losses compiled without graph breaks; compilation happens at the first call."""
    assert phase.loss is not None
    if isinstance(phase.loss, tuple):
        updates = tuple(dataclasses.replace(update, loss=_compiled(update.loss)) for update in phase.loss)
        return dataclasses.replace(phase, loss=updates)
    return dataclasses.replace(phase, loss=_compiled(phase.loss))


def _compiled(loss: Callable[..., Any]) -> Callable[..., Any]:
    compiled: Callable[..., Any] = torch.compile(loss, fullgraph=True, dynamic=False, **COMPILER)
    return compiled
