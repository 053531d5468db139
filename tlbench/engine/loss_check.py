"""What a method's loss function returns, looked at before the gradients: errors name its file and line."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tlbench.errors import TlbenchError
from tlbench.methods.base import DeepMethod, Phase


def check_loss(loss: object, function: Callable[..., Any]) -> None:
    """Check that a loss is a tensor with a gradient.

    Args:
        loss: what the function returned.
        function: a loss of a phase, or of one of its alternating updates.

    Raises:
        TlbenchError: it is something else.
    """
    if isinstance(loss, Tensor) and (loss.requires_grad or torch.compiler.is_compiling()):
        return
    if loss is None:
        what = "nothing. Add `return`"
    elif isinstance(loss, Tensor):
        what = "a tensor without a gradient. Compute it from `self.net` without detach() or no_grad()"
    else:
        what = f"a {type(loss).__name__}. Return a scalar tensor, such as that of F.cross_entropy"
    raise TlbenchError(f"{_name(function)} returns {what}{_origin(function)}.")


def check_losses(losses: object, function: Callable[..., Any]) -> None:
    """Check that the losses of a phase with `combine` are a tuple of tensors with gradients.

    Raises:
        TlbenchError: they are something else.
    """
    if not isinstance(losses, tuple | list):
        what = "nothing" if losses is None else f"a {type(losses).__name__}"
        raise TlbenchError(f"{_name(function)} returns {what}, and `combine` needs a tuple of losses{_origin(function)}.")
    for loss in losses:
        check_loss(loss, function)


def scalar_loss(loss: Tensor, ndim: int, function: object) -> Tensor:
    """The loss of a step, which must be a scalar; of several vmapped seeds it has one value each.

    Args:
        loss: what a step gave.
        ndim: 0; 1 for vmapped seeds.
        function: the loss of the phase.

    Raises:
        TlbenchError: it has more dimensions.
    """
    if loss.ndim > ndim:
        named = function if callable(function) else type(function)
        what = f"a tensor of the shape {tuple(loss.shape)}"
        raise TlbenchError(f"{_name(named)} returns {what}. Return a scalar, such as its mean(){_origin(named)}.")
    return loss


def declared_phases(method: DeepMethod) -> Sequence[Phase]:
    """The phases of a method, which read no split that its `reads` lacks.

    Raises:
        TlbenchError: a phase reads another split.
    """
    phases = method.phases()
    for phase in phases:
        if missing := sorted((phase.reads | phase.passes) - method.reads):
            what = f"A phase of {type(method).__name__} reads {', '.join(missing)}"
            raise TlbenchError(f"{what}, which `reads` lacks. Add it to `reads`{_origin(method.phases)}.")
    return phases


def _name(function: Callable[..., Any]) -> str:
    return str(getattr(function, "__qualname__", type(function).__name__))


def _origin(function: Callable[..., Any]) -> str:
    """The file and the line of a function, as " (my_method.py:12)"; empty where it has none."""
    code = getattr(inspect.unwrap(getattr(function, "__func__", function)), "__code__", None)
    return "" if code is None else f" ({Path(code.co_filename).name}:{code.co_firstlineno})"
