"""What a checkpoint holds, and whether it fits the training that is to go on from it: everything is checked before it is used.

A checksum tells damage. It does not tell a checkpoint of another case, of another step, or of a faulty program.
"""

from __future__ import annotations

import io
import math
import warnings
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import torch
from pydantic import ConfigDict, Field, NonNegativeInt, PositiveInt
from torch import Tensor, nn

from tlbench.engine.training import method_state
from tlbench.engine.training.optimizer import parameters_by_group
from tlbench.errors import TlbenchError
from tlbench.methods.base import DeepMethod, Group, Phase
from tlbench.suite import Training
from tlbench.terms import Strict, TracePoint

FORMAT = 4
"""Raise it when the content of a checkpoint changes; checkpoints of other formats are ignored."""


class TrainingPosition(Strict, strict=True):
    """The position of a training between two steps."""

    phase: NonNegativeInt
    """Index of the phase."""
    step: PositiveInt
    """Steps of the phase that are done."""
    last_trace_step: NonNegativeInt
    """Steps of the training that were done at the last trace point."""


class Origin(Strict, strict=True):
    """What a checkpoint belongs to; a training goes on from it only where all of it is equal."""

    format: int
    identity: str
    """The identity of the case."""
    provenance: dict[str, Any]
    """Machine, versions and threads."""
    accumulating: bool
    """Whether steps accumulate the gradients of two microbatches."""
    functions: list[Any]
    """The functions of the phases, see `method_state.phase_functions`."""
    phase_steps: list[int]
    """The steps of each phase."""


class Checkpoint(Strict):
    """The content of a checkpoint."""

    model_config = ConfigDict(arbitrary_types_allowed=True, strict=True)

    origin: Origin
    position: TrainingPosition
    method: dict[str, Any]
    """See `method_state.state_of_method`."""
    optimizer: dict[int, dict[str, Any]]
    """Index of a parameter -> the optimizer's tensors for it."""
    random: Tensor
    """The state of the CPU's random generator."""
    random_device: Tensor | None
    """That of the GPU's, where the training runs on one."""
    losses: Tensor
    """(steps,) of the whole training, NaN for steps that have not run."""
    trace: list[TracePoint]
    candidates: list[dict[str, Tensor]]
    """What is stored of each candidate so far."""
    seconds: dict[str, Annotated[float, Field(ge=0)]]
    notes: list[str]


@dataclass(frozen=True)
class TrainingPlan:
    """What a checkpoint must fit."""

    method: DeepMethod
    """As it is built, before its first step."""
    phases: Sequence[Phase]
    phase_steps: Sequence[int]
    trace_steps: frozenset[int]
    """The steps after which there is a trace point."""
    candidates: Callable[[int, int], list[tuple[int, bool]]]
    """Index of a phase and steps done -> the step of each candidate so far, and whether it is adapted."""
    training: Training
    losses: Tensor
    """(steps,) on the device of the training."""


def parse(content: bytes) -> Checkpoint:
    """The checkpoint in a file's content.

    Raises:
        TlbenchError: the content is compressed, which checkpoints are not.
        Exception: nearly anything, where the content is none of ours.
    """
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        if any(member.compress_type != zipfile.ZIP_STORED for member in archive.infolist()):
            raise TlbenchError("it is compressed")
    with warnings.catch_warnings(action="ignore"):  # torch's, about kinds of tensors that are refused below
        stored = torch.load(io.BytesIO(content), weights_only=True)
    return Checkpoint.model_validate(stored)


def check_origin(checkpoint: Origin, expected: Origin) -> None:
    """Check that a checkpoint belongs to the training.

    Raises:
        TlbenchError: it belongs to another one.
    """
    texts = {
        "format": "it is of another format",
        "identity": "it is of another case",
        "provenance": "it is of another machine, number of threads or version of the software",
        "accumulating": "its batches were split in another way",
        "functions": "the functions of its phases are others",
        "phase_steps": "its phases have other steps",
    }
    for name, text in texts.items():
        if getattr(checkpoint, name) != getattr(expected, name):
            raise TlbenchError(text)


def check_fit(checkpoint: Checkpoint, plan: TrainingPlan) -> None:
    """Check that a training can go on from a checkpoint, and that the checkpoint agrees with itself.

    Raises:
        TlbenchError: something in it does not fit.
    """
    position = checkpoint.position
    if position.phase >= len(plan.phase_steps) or position.step > plan.phase_steps[position.phase]:
        raise TlbenchError(f"its position (phase {position.phase}, step {position.step}) is beyond the end")
    done = sum(plan.phase_steps[: position.phase]) + position.step
    _check_losses(checkpoint.losses, plan.losses, done)
    trace_steps = sorted(step for step in plan.trace_steps if step <= done)
    if [point.step for point in checkpoint.trace] != trace_steps or position.last_trace_step != max(trace_steps, default=0):
        raise TlbenchError("its trace is not that of its step")
    _check_candidates(checkpoint.candidates, plan.candidates(position.phase, done))
    _check_generators(checkpoint, plan.losses)
    method_state.check_state(plan.method, checkpoint.method)
    _check_optimizer(checkpoint.optimizer, plan, position)


def _check_losses(losses: Tensor, current: Tensor, done: int) -> None:
    if not _is_like(losses, current) or not bool(losses[:done].isfinite().all()) or not bool(losses[done:].isnan().all()):
        raise TlbenchError("its losses are not those of its step")


def _check_candidates(blocks: Sequence[Mapping[str, Tensor]], expected: Sequence[tuple[int, bool]]) -> None:
    if [(int(block.get("step", -1)), bool(block.get("adapted"))) for block in blocks] != list(expected):
        raise TlbenchError("its candidates are not those of its step")


def _check_generators(checkpoint: Checkpoint, losses: Tensor) -> None:
    if (checkpoint.random_device is not None) != losses.is_cuda:
        raise TlbenchError("its random generators are those of another device")
    try:
        torch.Generator().set_state(checkpoint.random)
        if checkpoint.random_device is not None:
            torch.Generator(losses.device).set_state(checkpoint.random_device)
    except (RuntimeError, TypeError) as error:
        raise TlbenchError("the state of its random generators is not valid") from error


def _check_optimizer(state: Mapping[int, Mapping[str, Any]], plan: TrainingPlan, position: TrainingPosition) -> None:
    phase, adaptive = plan.phases[position.phase], plan.training.optimizer != "sgd"
    groups = parameters_by_group(phase.groups or (Group((plan.method,)),))
    parameters = [parameter for group in groups for parameter in group]
    names = {"step", "exp_avg", "exp_avg_sq"} if adaptive else {"momentum_buffer"}
    updates = sum(one.repeat for one in phase.loss) if isinstance(phase.loss, tuple) else 1
    if not state and (adaptive or plan.training.momentum):
        raise TlbenchError("it lacks the state of the optimizer")
    for index, tensors in state.items():
        if not 0 <= index < len(parameters) or not tensors.keys() <= names or (adaptive and tensors.keys() != names):
            raise TlbenchError("its optimizer has other parameters")
        for name, tensor in tensors.items():
            if name == "step":
                count = _whole_number(tensor)
                if not 1 <= count <= position.step * updates:
                    raise TlbenchError(f"its optimizer has made {count:g} updates by step {position.step}")
            elif tensor is not None and not _fits(tensor, parameters[index], name == "exp_avg_sq"):
                raise TlbenchError(f"the optimizer's {name} of parameter {index} has another shape, or is not finite")


def _whole_number(tensor: Any) -> float:
    """The number that a tensor () of floats holds; NaN for anything else."""
    is_number = isinstance(tensor, Tensor) and tensor.ndim == 0 and tensor.is_floating_point() and float(tensor).is_integer()
    return float(tensor) if is_number else math.nan


def _fits(tensor: Any, parameter: nn.Parameter, squares: bool) -> bool:
    return _is_like(tensor, parameter) and bool(tensor.isfinite().all()) and not (squares and bool((tensor < 0).any()))


def _is_like(tensor: Any, current: Tensor) -> bool:
    """Whether a stored value is a plain tensor of the shape and type of another one, on the same kind of device."""
    if type(tensor) not in (Tensor, nn.Parameter) or tensor.layout is not torch.strided:
        return False
    return (tensor.shape, tensor.dtype, tensor.device.type) == (current.shape, current.dtype, current.device.type)
