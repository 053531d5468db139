"""Checkpoints of one case: the whole state of its training, written at intervals, so that an interrupted case resumes.

A file is written beside its path and then renamed, and starts with the sha256 of the rest; a truncated or changed one is not
read. It is loaded as tensors and plain values alone (`weights_only`), so that no code of it is run.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import pickle
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tlbench import clock
from tlbench.clock import Clock
from tlbench.engine.training import method_state
from tlbench.engine.training.oom_retry import is_accumulating
from tlbench.engine.training.optimizer import PhaseOptimizer
from tlbench.errors import NotSerializableError
from tlbench.methods.base import DeepMethod, Phase
from tlbench.terms import TracePoint

FORMAT = 2
"""Raise it when the content of a checkpoint changes; checkpoints of other formats are ignored."""
_DIGEST_BYTES = 32

RESUMED_NOTE = "resumed from a checkpoint: throughput is that of the steps after it"


@dataclass
class TrainingPosition:
    """The position of a training between two steps."""

    phase: int
    """Index of the phase."""
    step: int
    """Steps of the phase that are done."""
    last_trace_step: int
    """Steps of the training that were done at the last trace point."""


@dataclass
class TrainingState:
    """What a checkpoint stores and restores; all of it is changed in place."""

    method: DeepMethod
    phases: Sequence[Phase]
    optimizer: PhaseOptimizer
    """Of the phase that the position names."""
    losses: Tensor
    """(steps,) of the whole training, NaN for steps that have not run."""
    trace: list[TracePoint]
    clock: Clock


class Checkpointer:
    """Writes and reads the checkpoint of one case.

    Args:
        file: the path; its folder is created when it is needed.
        interval_seconds: the shortest time between two checkpoints.
        provenance: machine, versions and threads. A checkpoint of another provenance is ignored, for its numbers would differ.
    """

    def __init__(self, file: Path, interval_seconds: float, provenance: Mapping[str, Any]) -> None:
        self._file, self._interval_seconds, self._provenance = file, interval_seconds, dict(provenance)
        self._last_seconds = clock.seconds()
        self.notes: list[str] = []
        """Notes for the record: why there is no checkpoint, or that the case was resumed."""
        self._off = False
        self.refused = False
        """Whether a checkpoint could not be restored; the method is then unusable, and the case must start anew."""

    def is_due(self) -> bool:
        """Whether it is time for a checkpoint."""
        return not self._off and clock.seconds() - self._last_seconds >= self._interval_seconds

    def save(self, state: TrainingState, position: TrainingPosition) -> None:
        """Replace the checkpoint. Where that is impossible, note the reason once and write no more checkpoints."""
        try:
            on_gpu = state.losses.is_cuda
            checkpoint = {
                **self._conditions(state.method, state.phases),
                "position": vars(position),
                "method": method_state.state_of_method(state.method),
                "torch_optimizer": state.optimizer.torch_optimizer.state_dict(),
                "optimizer": state.optimizer.state(),
                "random": torch.get_rng_state(),
                "random_device": torch.cuda.get_rng_state(state.losses.device) if on_gpu else None,
                "losses": state.losses,
                "trace": [point.model_dump() for point in state.trace],
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

    def load(self, method: DeepMethod, phases: Sequence[Phase]) -> dict[str, Any] | None:
        """The checkpoint; None where there is none that is whole and of the same code and provenance.

        The method is not changed; `restore` does that once the training has reached the phase of the checkpoint.
        """
        try:
            content = self._file.read_bytes()
            if hashlib.sha256(content[_DIGEST_BYTES:]).digest() != content[:_DIGEST_BYTES]:
                return None
            checkpoint: dict[str, Any] = torch.load(io.BytesIO(content[_DIGEST_BYTES:]), weights_only=True)
            if any(checkpoint[key] != value for key, value in self._conditions(method, phases).items()):
                return None
        except (OSError, NotSerializableError, pickle.UnpicklingError, KeyError, RuntimeError, ValueError, TypeError, EOFError):
            return None
        return checkpoint

    def restore(self, checkpoint: Mapping[str, Any], state: TrainingState) -> int:
        """Restore a training in place; `state.optimizer` must be that of the checkpoint's phase.

        Returns:
            The step of the last trace point.

        Raises:
            NotSerializableError: the method is built otherwise than the stored one. It is then unusable, and the checkpoint is
                deleted.
        """
        try:
            method_state.restore_method(state.method, checkpoint["method"])
        except NotSerializableError:
            self.refused = True
            self.clear()
            raise
        state.optimizer.torch_optimizer.load_state_dict(checkpoint["torch_optimizer"])
        state.optimizer.set_state(checkpoint["optimizer"])
        state.losses.copy_(checkpoint["losses"])
        torch.set_rng_state(checkpoint["random"])
        if checkpoint["random_device"] is not None:
            torch.cuda.set_rng_state(checkpoint["random_device"], state.losses.device)
        for name, seconds in checkpoint["seconds"].items():
            state.clock.seconds[name] = state.clock.seconds.get(name, 0.0) + seconds
        state.trace[:] = [TracePoint(**point) for point in checkpoint["trace"]]
        self.notes = list(dict.fromkeys([*checkpoint["notes"], RESUMED_NOTE]))
        return TrainingPosition(**checkpoint["position"]).last_trace_step

    def clear(self) -> None:
        """Delete the checkpoint, and its folder where that is empty."""
        with contextlib.suppress(OSError):
            self._file.unlink()
            self._file.parent.rmdir()

    def _conditions(self, method: DeepMethod, phases: Sequence[Phase]) -> dict[str, Any]:
        """The entries of a checkpoint that must be equal when it is resumed."""
        return {
            "format": FORMAT,
            "provenance": self._provenance,
            "accumulating": is_accumulating.get(),
            "functions": method_state.phase_functions(method, phases),
        }

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
