"""Time series in NumPy archives (.npz), time before channel or after: windows (N, channels, time) and their labels.

A subject or a period has keys of its own, as in x = "x_train_2"; several keys are one domain.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BeforeValidator, Field

from tlbench.data.readers import npz
from tlbench.errors import TlbenchError
from tlbench.terms import Strict

Keys = Annotated[list[str], BeforeValidator(lambda given: [given] if isinstance(given, str) else given), Field(min_length=1)]


class Options(Strict, strict=True):
    """Where the arrays are, and which way round a window lies."""

    path: Annotated[str, Field(description="the .npz file, relative to the data root")]
    x: Annotated[Keys, Field(description="the key of the windows, or a list of keys")]
    y: Annotated[Keys, Field(description="the key of the labels, or as many keys")]
    layout: Annotated[Literal["channel_time", "time_channel"], Field(description="the order of the two axes in the file")]


def read(options: Options, root: Path) -> tuple[Any, Any]:
    """Windows (N, channels, time) float32 and labels (N,).

    Raises:
        TlbenchError: no such file or key, windows of other than two axes, or keys whose windows differ in shape.
    """
    if len(options.x) != len(options.y):
        raise TlbenchError(f"x names {len(options.x)} keys and y {len(options.y)}; each x needs its y")
    parts = npz.arrays_of(options.path, [*options.x, *options.y], root)
    xs, ys = parts[: len(options.x)], parts[len(options.x) :]
    for name, x, y in zip(options.x, xs, ys, strict=True):
        if x.ndim != 3 or x.dtype.kind not in "biuf":
            raise TlbenchError(f"{name} is {x.dtype} {x.shape}; windows must be numbers with a time and a channel axis")
        if x.shape[1:] != xs[0].shape[1:]:
            raise TlbenchError(f"{name} has windows {x.shape[1:]}, {options.x[0]} {xs[0].shape[1:]}; all need one shape")
        if len(x) != y.size:
            raise TlbenchError(f"{name} has {len(x)} windows and its y {y.size} labels; each window needs one label")
    x_NCT = np.concatenate(xs).astype(np.float32, copy=False)
    if options.layout == "time_channel":
        x_NCT = x_NCT.transpose(0, 2, 1)
    return x_NCT, np.concatenate([y.reshape(-1) for y in ys])
