"""Modules that share a learning rate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn


@dataclass(frozen=True)
class Group:
    """Modules that share a learning rate: `scale` times the suite's rate.

    At scale 0 the modules are frozen: they get no gradient and no optimizer state, and their batch statistics do not move.
    A parameter of several groups belongs to the last of them: `Group((net,), 0.0), Group((norm,))` trains `norm` alone.
    """

    modules: tuple[nn.Module, ...]
    scale: float | Callable[[float], float] = 1.0
    """A number, or a function of the phase's progress in [0, 1], such as `lambda progress: float(progress > 0.5)`."""
