"""A step looked at before it is captured, captured, and tried beside the step as it is written: both from the same state, which
is put back."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

STEPS = 2
"""The second one's loss depends on what the first one's update did."""
LOSS, MOVE = 1e-2, 0.1
"""How far losses, and the length of the way that the parameters go, may differ, as shares: the same kernels run."""


def capture(step: Callable[[], None], stream: torch.cuda.Stream | None) -> Callable[[], None]:
    """What a step asks of a CUDA device, captured on a stream of it without being done; the result does it."""
    graph, current = torch.cuda.CUDAGraph(), torch.cuda.current_stream()
    try:
        with torch.cuda.graph(graph, stream=stream):  # torch's own stream lies on the device of its first use
            step()
    finally:
        torch.cuda.set_stream(current)  # a capture that fails leaves its own behind, in torch 2.11
    return graph.replay


@contextlib.contextmanager
def host_synchronizations(device: torch.device, looks: bool = True) -> Iterator[list[str]]:
    """Filled when the block has ended: the lines, as `file.py:12`, that made the program wait for a CUDA device.

    No captured step may do that, and torch is not sure to recover from a capture that it fails.
    """
    found: list[str] = []
    if device.type != "cuda" or not looks:
        yield found
        return
    before = torch.cuda.get_sync_debug_mode()
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            yield found
        finally:
            torch.cuda.set_sync_debug_mode(before)
    for one in told:
        if "synchronizing CUDA operation" in str(one.message):
            found.append(f"{Path(one.filename).name}:{one.lineno}")
        else:
            warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)


def replay_agrees(
    replay: Callable[[], None],
    written: Callable[[], None],
    method: nn.Module,
    optimizer: torch.optim.Optimizer,
    rest: Sequence[Tensor],
) -> bool:
    """Whether some replayed steps give the losses of the written ones, and move the parameters as far.

    Args:
        replay: a captured step.
        written: the same step.
        method: what learns.
        optimizer: its state is put back too.
        rest: other tensors that a step changes; the first one holds the losses, not a number where a step is not made yet.
    """
    parameters = list(method.parameters())
    attributes = [value for module in method.modules() for value in vars(module).values() if isinstance(value, Tensor)]
    state = [value for held in optimizer.state.values() for value in held.values() if isinstance(value, Tensor)]
    tensors = [*rest, *parameters, *method.buffers(), *attributes, *state]
    with torch.no_grad():
        before = [tensor.detach().clone() for tensor in tensors]
    found = []
    for step in (replay, written):
        for _ in range(STEPS):
            step()
        with torch.no_grad():
            fresh = torch.isnan(before[0]) & ~torch.isnan(rest[0])
            moves = [p - b for p, b in zip(parameters, before[len(rest) :], strict=False)]
            found.append((rest[0][fresh].clone(), torch.stack([move.double().norm() for move in moves]).norm()))
            for tensor, old in zip(tensors, before, strict=True):
                tensor.copy_(old)
    (losses, moved), (expected, far) = found
    if len(losses) != len(expected):
        return False
    close = torch.allclose(losses, expected, rtol=LOSS, atol=LOSS)
    return close and bool((moved - far).abs() <= MOVE * far + 1e-12)
