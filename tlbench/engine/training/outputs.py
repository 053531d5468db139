"""The boundary between a method and the engine: the shape of what a method predicts, looked at before anything is scored."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from tlbench.engine.failure import defined_at
from tlbench.errors import TlbenchError
from tlbench.methods.base import Method, Predictor


@dataclass(frozen=True)
class CheckedPredictor:
    """A method's predictor, whose outputs must have the shape (N, C), or (N, K) for a regression.

    It looks at shapes alone, so that no call waits for the device.
    """

    predictor: Predictor
    method: Method
    columns: tuple[int, ...]
    """The numbers of columns that fit: C, the number of classes, or K, the number of target columns; see `Grants.columns`."""
    regression: bool
    positions: int = 1
    """The outputs of each sample: P where each position has a label; outputs are then (N*P, C)."""

    def __call__(self, x: Tensor) -> Tensor:
        """Network inputs (N, ...) -> outputs (N, C) or (N, K).

        Raises:
            TlbenchError: the outputs are no real numbers of this shape.
        """
        outputs = self.predictor(x)
        check_outputs(outputs, len(x) * self.positions, self.columns, self.method, regression=self.regression)
        return outputs


def check_outputs(outputs: Tensor, samples: int, columns: tuple[int, ...], method: Method, *, regression: bool) -> None:
    """Check that a method's outputs have the shape that is scored: a wrong one would be broadcast, and scored all the same.

    Args:
        outputs: what the method predicted.
        samples: the number N of samples.
        columns: the numbers of columns that fit, the number C of classes or K of target columns first.
        method: the method, which the error names.
        regression: whether the columns are target columns.

    Raises:
        TlbenchError: the outputs are no real numbers of the shape (samples, columns).
    """
    is_tensor, shapes = isinstance(outputs, Tensor), [(samples, count) for count in columns]
    if is_tensor and outputs.shape in shapes and not outputs.is_complex() and outputs.dtype != torch.bool:
        return
    kind = f"the shape {tuple(outputs.shape)} and the dtype {outputs.dtype}" if is_tensor else f"type {type(outputs).__name__}"
    unit, letters, name = ("target column", "(N, K)", "predictions") if regression else ("class", "(N, C)", "class scores")
    plural = "" if columns[0] == 1 else "es" if unit == "class" else "s"
    raise TlbenchError(
        f"{type(method).__name__} predicts outputs of {kind} for {samples} samples and {columns[0]} {unit}{plural}. "
        f"They must be {name}, a tensor of floats of the shape {letters}, here {' or '.join(map(str, shapes))}"
        f"{_origin(method)}."
    )


def callable_predictor(predictor: object, method: Method) -> Predictor:
    """What `fit` of a shallow method returned.

    Raises:
        TlbenchError: it can't be called.
    """
    if not callable(predictor):
        what = "nothing" if predictor is None else f"a {type(predictor).__name__}"
        raise TlbenchError(
            f"{type(method).__name__}.fit returns {what}. Return a function of inputs (N, ...) to class scores (N, C), or to "
            f"predictions (N, K) of a regression{_origin(method)}."
        )
    return predictor


def _origin(method: Method) -> str:
    """The file and the line of the class of a method, as " (my_method.py:12)"."""
    origin = defined_at(type(method))
    return f" ({Path(origin).name})" if origin else ""
