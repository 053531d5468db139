"""Checkpoints of one case: the whole state of its training, written at intervals, so that an interrupted case resumes.

A file is written beside its path and then renamed, and starts with the sha256 of the rest; a truncated or changed one is not
read. It is loaded as tensors and plain values alone (`weights_only`), so that no code of it is run, and all of it is checked
before any of it is used (`checkpoint_contents`).
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tlbench import clock, plain_files
from tlbench.clock import Clock
from tlbench.engine.training import checkpoint_contents, method_state
from tlbench.engine.training.checkpoint_contents import FORMAT, Checkpoint, Origin, TrainingPlan, TrainingPosition
from tlbench.engine.training.oom_retry import is_accumulating
from tlbench.engine.training.optimizer import PhaseOptimizer
from tlbench.errors import NotSerializableError, TlbenchError
from tlbench.methods.base import DeepMethod
from tlbench.terms import TracePoint

_DIGEST_BYTES = 32

RESUMED_NOTE = "resumed from a checkpoint: throughput is that of the steps after it"


@dataclass
class TrainingState:
    """What a checkpoint stores and restores; all of it is changed in place."""

    method: DeepMethod
    optimizer: PhaseOptimizer
    """Of the phase that the position names."""
    losses: Tensor
    """(steps,) of the whole training, NaN for steps that have not run."""
    trace: list[TracePoint]
    clock: Clock
    candidates: list[dict[str, Tensor]] = field(default_factory=list)
    """What is collected of the candidates so far."""


class Checkpointer:
    """Writes and reads the checkpoint of one case.

    Args:
        file: the path, whose stem is the identity of the case; its folder is created when it is needed.
        interval_seconds: the shortest time between two checkpoints.
        provenance: machine, versions and threads. A checkpoint of another provenance is ignored, for its numbers would differ.
    """

    def __init__(self, file: Path, interval_seconds: float, provenance: Mapping[str, Any]) -> None:
        self._file, self._interval_seconds, self._provenance = file, interval_seconds, dict(provenance)
        self._last_seconds = clock.seconds()
        self.notes: list[str] = []
        """Notes for the record: why there is no checkpoint, or that the case was resumed."""
        self._off = False
        self._finite_buffers: frozenset[str] = frozenset()
        """The names of the buffers that are finite before the first step."""
        self.refused = False
        """Whether a checkpoint could not be restored; the method is then unusable, and the case must start anew."""

    def is_due(self) -> bool:
        """Whether it is time for a checkpoint."""
        return not self._off and clock.seconds() - self._last_seconds >= self._interval_seconds

    def save(self, plan: TrainingPlan, state: TrainingState, position: TrainingPosition) -> None:
        """Replace the checkpoint. Where that is impossible, note the reason once and write no more checkpoints.

        A training that is about to diverge leaves the checkpoint as it is: its parameters are not finite any more.
        """
        self._last_seconds = clock.seconds()
        if method_state.non_finite(state.method, self._finite_buffers):
            return
        try:
            on_gpu = state.losses.is_cuda
            checkpoint = {
                "origin": self._origin(plan).model_dump(),
                "position": position.model_dump(),
                "method": method_state.state_of_method(state.method),
                "optimizer": state.optimizer.torch_optimizer.state_dict()["state"],
                "random": torch.get_rng_state(),
                "random_device": torch.cuda.get_rng_state(state.losses.device) if on_gpu else None,
                "losses": state.losses,
                "trace": [point.model_dump() for point in state.trace],
                "candidates": state.candidates,
                "seconds": dict(state.clock.seconds),
                "notes": list(self.notes),
            }
            buffer = io.BytesIO()
            torch.save(checkpoint, buffer)
            content = buffer.getvalue()
            self._write(hashlib.sha256(content).digest() + content)
        except NotSerializableError as error:
            self._off = True
            self.notes.append(f"no checkpoint: {error}")
        except OSError as error:
            self._off = True
            self.notes.append(f"no checkpoint: {self._file.parent}: {error.strerror}")
        self._last_seconds = clock.seconds()

    def load(self, plan: TrainingPlan) -> Checkpoint | None:
        """The checkpoint; None where there is none that is whole, of the same case, code and provenance, and fits the plan.

        A note says why one is not used. The method is not changed; `restore` does that once the training has reached the phase
        of the checkpoint.
        """
        self._finite_buffers = method_state.finite_buffers(plan.method)
        try:
            content = plain_files.read_plain(self._file, self._file.stat().st_size)
            if hashlib.sha256(content[_DIGEST_BYTES:]).digest() != content[:_DIGEST_BYTES]:
                raise TlbenchError("it is damaged")
            checkpoint = checkpoint_contents.parse(content[_DIGEST_BYTES:])
            checkpoint_contents.check_origin(checkpoint.origin, self._origin(plan))
            checkpoint_contents.check_fit(checkpoint, plan)
        except FileNotFoundError:
            return None
        except (OSError, TlbenchError, NotSerializableError) as error:
            reason = str(error)
        except Exception as error:  # what is none of ours may raise nearly anything
            reason = f"its content is not that of a checkpoint: {type(error).__name__}"
        else:
            return checkpoint
        self.notes.append(f"the checkpoint on file is not used, and the training starts from its first step: {reason}")
        return None

    def restore(self, checkpoint: Checkpoint, state: TrainingState, phase_steps: int) -> int:
        """Restore a training in place; `state.optimizer` must be that of the checkpoint's phase.

        Args:
            checkpoint: from `load`.
            state: the training.
            phase_steps: the steps of the phase.

        Returns:
            The step of the last trace point.

        Raises:
            NotSerializableError: the method is built otherwise than the stored one. It is then unusable, and the checkpoint is
                deleted.
        """
        try:
            method_state.restore_method(state.method, checkpoint.method)
        except NotSerializableError:
            self.refused = True
            self.clear()
            raise
        state.optimizer.resume(checkpoint.optimizer, (checkpoint.position.step - 1) / phase_steps)
        state.losses.copy_(checkpoint.losses)
        torch.set_rng_state(checkpoint.random)
        if checkpoint.random_device is not None:
            torch.cuda.set_rng_state(checkpoint.random_device, state.losses.device)
        for name, seconds in checkpoint.seconds.items():
            state.clock.seconds[name] = state.clock.seconds.get(name, 0.0) + seconds
        state.trace[:] = checkpoint.trace
        state.candidates[:] = checkpoint.candidates
        self.notes = list(dict.fromkeys([*checkpoint.notes, RESUMED_NOTE]))
        return checkpoint.position.last_trace_step

    def clear(self) -> None:
        """Delete the checkpoint, and its folder where that is empty."""
        with contextlib.suppress(OSError):
            self._file.unlink()
            self._file.parent.rmdir()

    def _origin(self, plan: TrainingPlan) -> Origin:
        """What a checkpoint must belong to where a training goes on from it.

        Raises:
            NotSerializableError: a function of a phase closes over something that may change from step to step.
        """
        return Origin(
            format=FORMAT,
            identity=self._file.stem,
            provenance=self._provenance,
            accumulating=is_accumulating.get(),
            functions=method_state.phase_functions(plan.method, plan.phases),
            phase_steps=list(plan.phase_steps),
        )

    def _write(self, content: bytes) -> None:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        new = self._file.with_name(f".{self._file.name}.new")
        try:
            with new.open("wb") as handle:
                handle.write(content)
                handle.flush()
                os.fsync(handle.fileno())
            new.replace(self._file)
        except BaseException:
            new.unlink(missing_ok=True)
            raise


active_checkpointer: ContextVar[Checkpointer | None] = ContextVar("active_checkpointer", default=None)
"""The checkpointer of the case that runs. The runner sets it, and the training loop reads it."""
