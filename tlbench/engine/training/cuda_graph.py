"""CUDA-graph capture of a step, and its validation: replayed steps must agree with eager steps from the same state."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

COMPARED_STEPS = 2
"""Steps of the validation: the loss of the second one depends on the update of the first one."""
LOSS_TOLERANCE, UPDATE_TOLERANCE = 1e-2, 0.1
"""The relative differences of losses and of the norm of the parameter update that the validation accepts."""


def capture(step: Callable[[], None], stream: torch.cuda.Stream | None) -> Callable[[], None]:
    """Capture the CUDA work of a step on a stream without running it; the returned function replays it."""
    graph, current = torch.cuda.CUDAGraph(), torch.cuda.current_stream()
    try:
        with torch.cuda.graph(graph, stream=stream):  # torch's default capture stream belongs to the device of its first use
            step()
    finally:
        torch.cuda.set_stream(current)  # in torch 2.11 a failed capture leaves its stream behind as the current one
    return graph.replay


@contextlib.contextmanager
def host_synchronizations(device: torch.device, enabled: bool = True) -> Iterator[list[str]]:
    """The lines of the block, as `file.py:12`, that synchronise the host with a CUDA device; filled when the block ends.

    No captured step may synchronise, and torch does not always recover from a capture that fails for it.
    """
    lines: list[str] = []
    if device.type != "cuda" or not enabled:
        yield lines
        return
    mode = torch.cuda.get_sync_debug_mode()
    with warnings.catch_warnings(record=True) as recorded:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            yield lines
        finally:
            torch.cuda.set_sync_debug_mode(mode)
    for warning in recorded:
        if "synchronizing CUDA operation" in str(warning.message):
            lines.append(f"{Path(warning.filename).name}:{warning.lineno}")
        else:
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)


def replay_agrees(
    replay: Callable[[], None],
    eager_step: Callable[[], None],
    method: nn.Module,
    optimizer: torch.optim.Optimizer,
    changed: Sequence[Tensor],
) -> bool:
    """Whether replayed steps give the losses of eager steps, and move the parameters as far; all state is restored.

    Args:
        replay: replays the captured step.
        eager_step: runs the same step eagerly.
        method: the method that learns.
        optimizer: the torch optimizer.
        changed: other tensors that a step changes; the first one holds the losses, with NaN for steps that have not run yet.
    """
    parameters = list(method.parameters())
    attributes = [value for module in method.modules() for value in vars(module).values() if isinstance(value, Tensor)]
    state = [value for of_one in optimizer.state.values() for value in of_one.values() if isinstance(value, Tensor)]
    tensors = [*changed, *parameters, *method.buffers(), *attributes, *state]
    with torch.no_grad():
        before = [tensor.detach().clone() for tensor in tensors]
    results = []
    for step in (replay, eager_step):
        for _ in range(COMPARED_STEPS):
            step()
        with torch.no_grad():
            fresh = torch.isnan(before[0]) & ~torch.isnan(changed[0])
            moves = [p - b for p, b in zip(parameters, before[len(changed) :], strict=False)]
            results.append((changed[0][fresh].clone(), torch.stack([move.double().norm() for move in moves]).norm()))
            for tensor, old in zip(tensors, before, strict=True):
                tensor.copy_(old)
    (losses, update_norm), (eager_losses, eager_norm) = results
    if len(losses) != len(eager_losses):
        return False
    close = torch.allclose(losses, eager_losses, rtol=LOSS_TOLERANCE, atol=LOSS_TOLERANCE)
    return close and bool((update_norm - eager_norm).abs() <= UPDATE_TOLERANCE * eager_norm + 1e-12)
