"""The order of the axes of stored arrays -> that of samples: (N, channels, height, width), (N, channels, time), (N, D)."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator

from tlbench.data.decoding.arrays import is_sparse
from tlbench.errors import TlbenchError

AXES = "NCTDHW"
"""The letters of axes, in the order that samples have them: samples, channels, time, features, height, width."""


def _check_axes(axes: str) -> str:
    if axes.count("N") != 1 or len(set(axes)) < len(axes) or not set(axes) <= set(AXES) or len(axes) < 2:
        raise ValueError(
            f"axes = {axes!r} must name each axis of x by one letter: N (samples) and others of C (channels), H (height), "
            "W (width), T (time) and D (features), as in 'HWCN'."
        )
    return axes


Axes = Annotated[str, AfterValidator(_check_axes)]
"""What each axis of an array is, a letter each."""


def oriented(x: Any, axes: str | None, name: str) -> tuple[Any, tuple[str, ...]]:
    """An array with its axes as samples have them (N, channels, height, width), and a note where they are doubtful.

    Args:
        x: the array as it is stored.
        axes: a letter for each of its axes; None: the samples come first, and the other axes are in order.
        name: the name of the array, for errors.

    Raises:
        TlbenchError: `axes` does not name each axis.
    """
    if axes is None:
        if x.ndim == 4 and x.shape[3] in (1, 3) and x.shape[1] not in (1, 3):
            return x, (
                f"{name} {x.shape} is read as {x.shape[1]} channels of {x.shape[2]} x {x.shape[3]} pixels; "
                "if the channels come last, set axes = 'NHWC'",
            )
        return x, ()
    if x.ndim != len(axes):
        raise TlbenchError(f"axes = {axes!r} names {len(axes)} axes, and {name!r} has the shape {x.shape}. Name each axis.")
    if is_sparse(x):
        return (x if axes[0] == "N" else x.T), ()
    x = x.transpose([axes.index(letter) for letter in AXES if letter in axes])
    has_pixels = {"H", "W"} <= set(axes) and not set("CTD") & set(axes)
    return (x[:, None] if has_pixels else x), ()
