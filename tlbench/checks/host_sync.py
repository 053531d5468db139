"""Where a GPU's program would wait in the steps of a method, told on a CPU: a hint, for such a method works, only slower."""

from __future__ import annotations

import sys
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from tlbench.checks.toy_task import fit, toy_task
from tlbench.engine.training import update

_aten = torch.ops.aten
READS = {
    _aten._local_scalar_dense.default,
    _aten.equal.default,
    _aten.nonzero.default,
    _aten.masked_select.default,
    _aten._unique2.default,
    _aten.unique_consecutive.default,
    _aten.bincount.default,
    _aten.repeat_interleave.Tensor,
}
"""A value, or a shape that depends on values: the program waits until a GPU has it."""
_HIDDEN = str(Path(torch.__file__).parent), __file__


def host_syncs(name: str) -> list[str]:
    """The lines, as `file.py:12`, where a step of a method reads a value, or makes a shape that depends on values.

    What a CPU does not tell is not seen: `tolist`, `numpy`, and tensors of another device.
    """
    with _Reads() as reads:
        fit(name, toy_task(), steps=8)
    return list(reads.lines)


class _Reads(TorchDispatchMode):
    """Remembers where steps read values."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.lines: dict[str, None] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Look, and do it."""
        masked = func is _aten.index.Tensor and any(isinstance(i, Tensor) and i.dtype == torch.bool for i in args[1])
        if (func in READS or masked) and (line := _line()) is not None:
            self.lines[line] = None
        return func(*args, **(kwargs or {}))


def _line() -> str | None:
    """The innermost line that is neither torch's nor of this file; None where no step is under way."""
    found: str | None = None
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_filename == update.__file__:
            return found
        if found is None and not frame.f_code.co_filename.startswith(_HIDDEN):
            found = f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}"
        frame = frame.f_back
    return None
