"""Arrays that a user passes (NumPy, torch, nested lists) -> checked NumPy arrays; torch is not imported for it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlbench.errors import TlbenchError


def checked_array(name: str, value: Any, *, axes: int, integers: bool, candidate: str) -> NDArray[Any]:
    """An input as a finite float64 or int64 array that is not empty.

    Args:
        name: of the input, for errors.
        value: the input.
        axes: the number of its axes.
        integers: it holds integers, and the array is of int64.
        candidate: what the user leaves out where values are not finite, such as "checkpoint".

    Raises:
        TlbenchError: it is no array, not of numbers or integers, of other axes, empty, or not finite.
    """
    if hasattr(value, "detach"):  # a tensor of torch
        value = value.detach().cpu()
        value = value.numpy() if integers else value.double().numpy()
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise TlbenchError(f"{name} is no array: {error}. Pass a NumPy array, a torch tensor or nested lists.") from error
    if array.dtype.kind not in "biuf":
        raise TlbenchError(f"{name} holds values of the type {array.dtype}. Pass numbers.")
    if array.ndim != axes:
        raise TlbenchError(f"{name} has {array.ndim} axes (shape {array.shape}). Pass an array of {axes} axes.")
    if array.size == 0:
        raise TlbenchError(f"{name} is empty (shape {array.shape}). Pass at least one sample and one column.")
    if infinite := int(np.count_nonzero(~np.isfinite(array))):
        raise TlbenchError(f"{name} has {infinite} values of {array.size} that are not finite. Leave this {candidate} out.")
    if not integers:
        return array.astype(np.float64)
    whole = array.astype(np.int64)
    if not np.array_equal(whole, array):
        raise TlbenchError(f"{name} holds numbers that are no integers. Pass integers.")
    return whole
