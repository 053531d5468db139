"""Checkpoints of one case: all that its training stands on, written every so many seconds, so that a killed one goes on.

A file is whole or it is not read: it is written beside its place and renamed, and starts with the sha256 of the rest. It is
loaded as tensors and plain values alone (`weights_only`): no code comes out of it.
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

FORMAT = 1
_DIGEST = 32


@dataclass
class TrainingPosition:
    """Where a training stands between two steps."""

    phase: int
    step: int
    """Steps of the phase that are done."""
    last_look: int


class Checkpointer:
    """Keeps the checkpoints of one case in one file.

    Args:
        file: its place; the folder is made when it is needed.
        every_seconds: a checkpoint at most this often.
        made_by: what a checkpoint must come from to be gone on with: machine, versions, threads. Numbers would differ else.
    """

    def __init__(self, file: Path, every_seconds: float, made_by: Mapping[str, Any]) -> None:
        self._file, self._every, self._made_by = file, every_seconds, dict(made_by)
        self._last = clock.seconds()
        self.notes: list[str] = []
        """Why no checkpoint is kept, where none is; and from where the case went on."""
        self._off = False
        self.refused = False
        """Whether there was a checkpoint that could not be put back."""

    def due(self) -> bool:
        """Whether it is time for a checkpoint."""
        return not self._off and clock.seconds() - self._last >= self._every

    def save(
        self,
        method: DeepMethod,
        phases: Sequence[Phase],
        rates: PhaseOptimizer,
        position: TrainingPosition,
        losses: Tensor,
        trace: Sequence[TracePoint],
        watch: Clock,
    ) -> None:
        """Write a checkpoint in place of the last one. What can't be written is said once in `notes`, and the case goes on."""
        try:
            held = {
                "format": FORMAT,
                "made_by": self._made_by,
                "halves": is_accumulating.get(),
                "code": method_state.phase_functions(method, phases),
                "position": vars(position),
                "method": method_state.state_of_method(method),
                "optimizer": rates.optimizer.state_dict(),
                "rates": rates.state(),
                "random": torch.get_rng_state(),
                "random_device": torch.cuda.get_rng_state(losses.device) if losses.is_cuda else None,
                "losses": losses,
                "trace": [point.model_dump() for point in trace],
                "seconds": dict(watch.seconds),
                "notes": list(self.notes),
            }
            buffer = io.BytesIO()
            torch.save(held, buffer)
            content = buffer.getvalue()
            self._write(hashlib.sha256(content).digest() + content)
        except NotSerializableError as error:
            self._off = True
            self.notes.append(f"no checkpoint: {error}")
        except OSError as error:
            self._off = True
            self.notes.append(f"no checkpoint: {self._file.parent}: {error.strerror}")
        self._last = clock.seconds()

    def load(self, method: DeepMethod, phases: Sequence[Phase]) -> dict[str, Any] | None:
        """The checkpoint, if there is a whole one that was made by the same code on the same machine; None else.

        Nothing of the method is changed; `restore` does that once the phase of the checkpoint is reached.
        """
        try:
            content = self._file.read_bytes()
            if hashlib.sha256(content[_DIGEST:]).digest() != content[:_DIGEST]:
                return None
            held: dict[str, Any] = torch.load(io.BytesIO(content[_DIGEST:]), weights_only=True)
            now = {
                "format": FORMAT,
                "made_by": self._made_by,
                "halves": is_accumulating.get(),
                "code": method_state.phase_functions(method, phases),
            }
            if any(held[key] != value for key, value in now.items()):
                return None
        except (OSError, NotSerializableError, pickle.UnpicklingError, KeyError, RuntimeError, ValueError, TypeError, EOFError):
            return None
        return held

    def restore(
        self,
        held: Mapping[str, Any],
        method: DeepMethod,
        rates: PhaseOptimizer,
        losses: Tensor,
        trace: list[TracePoint],
        watch: Clock,
    ) -> int:
        """Put everything back; `rates` are those of the checkpoint's phase.

        Returns:
            The step of the last look.

        Raises:
            NotKept: it is not built as what was kept. The method is of no use any more, and the checkpoint is gone.
        """
        try:
            method_state.restore_method(method, held["method"])
        except NotSerializableError:
            self.refused = True
            self.clear()
            raise
        rates.optimizer.load_state_dict(held["optimizer"])
        rates.set_state(held["rates"])
        losses.copy_(held["losses"])
        torch.set_rng_state(held["random"])
        if held["random_device"] is not None:
            torch.cuda.set_rng_state(held["random_device"], losses.device)
        for name, seconds in held["seconds"].items():
            watch.seconds[name] = watch.seconds.get(name, 0.0) + seconds
        trace[:] = [TracePoint(**point) for point in held["trace"]]
        text = "went on from a checkpoint: rates are those of the steps after it"
        self.notes = list(dict.fromkeys([*held["notes"], text]))
        return TrainingPosition(**held["position"]).last_look

    def clear(self) -> None:
        """The case has its record."""
        with contextlib.suppress(OSError):
            self._file.unlink()
            self._file.parent.rmdir()  # as soon as it is empty

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


active_checkpointer: ContextVar[Checkpointer | None] = ContextVar("keeping", default=None)
"""The keeper of the case that runs: set by who knows where its checkpoints lie, read by the training loop."""
