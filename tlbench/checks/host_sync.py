"""Host-device synchronisation in the steps of a method, seen on the CPU.

A method that reads values of the device in a step works, but more slowly: the host waits for the device, and no CUDA graph can
be captured. It is a hint, not an error.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from tlbench.checks.toy_task import fit_method, toy_task
from tlbench.engine.training import update

_aten = torch.ops.aten
SYNCHRONIZING_OPS = {
    _aten._local_scalar_dense.default,
    _aten.equal.default,
    _aten.nonzero.default,
    _aten.masked_select.default,
    _aten._unique2.default,
    _aten.unique_consecutive.default,
    _aten.bincount.default,
    _aten.repeat_interleave.Tensor,
}
"""Operations that read a value, or whose output shape depends on values; on a GPU they synchronise host and device."""
_SKIPPED_FILES = str(Path(torch.__file__).parent), __file__


def host_syncs(name: str) -> list[str]:
    """The lines, as `file.py:12`, at which a step of a method synchronises host and device on a GPU.

    Synchronisations that the CPU does not show are missing: `tolist`, `numpy`, and copies to another device.
    """
    with _SynchronizationLog() as log:
        fit_method(name, toy_task(), steps=8)
    return list(log.lines)


class _SynchronizationLog(TorchDispatchMode):
    """Collects the lines at which steps call synchronising operations."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.lines: dict[str, None] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Note the line of a synchronising operation, then run it."""
        by_mask = func is _aten.index.Tensor and any(isinstance(i, Tensor) and i.dtype == torch.bool for i in args[1])
        if (func in SYNCHRONIZING_OPS or by_mask) and (line := _line_in_step()) is not None:
            self.lines[line] = None
        return func(*args, **(kwargs or {}))


def _line_in_step() -> str | None:
    """The innermost line outside torch and this file, as `file.py:12`; None where no step is running."""
    innermost: str | None = None
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_filename == update.__file__:
            return innermost
        if innermost is None and not frame.f_code.co_filename.startswith(_SKIPPED_FILES):
            innermost = f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}"
        frame = frame.f_back
    return None
