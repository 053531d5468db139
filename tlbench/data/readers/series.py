"""Time series in NumPy archives (.npz), with either order of time and channel: windows (N, channels, time) and labels.

Each subject or period may have keys of its own, as in x = "x_train_2"; a domain may name several keys.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from tlbench.data.decoding import array_files, files
from tlbench.data.decoding.arrays import ReaderResult
from tlbench.data.readers import npz
from tlbench.errors import TlbenchError
from tlbench.terms import Strict

PATH_KEYS = ("path",)


class Options(Strict, strict=True):
    """The file, the keys of its arrays, and the order of their axes."""

    path: Annotated[str, Field(description="the .npz file, relative to the data root")]
    x: Annotated[array_files.Keys, Field(description="the key of the windows, or a list of keys")]
    y: Annotated[array_files.Keys, Field(description="the key of the labels, or one key per key of x")]
    layout: Annotated[Literal["channel_time", "time_channel"], Field(description="the order of the two axes in the file")]
    labels_of_keys: Annotated[
        list[int],
        Field(description="a number for each key of x, such as its subject: the second of two label columns, of tasks"),
    ] = Field(default_factory=list)


def read(options: Options, root: Path) -> ReaderResult:
    """Windows (N, channels, time) float32 and labels (N,), or (N, 2) with the labels of the keys.

    Raises:
        TlbenchError: a file or key that is not there, windows of other than two axes, keys whose windows differ in shape, or
            another number of labels of keys than of keys.
    """
    if options.labels_of_keys and len(options.labels_of_keys) != len(options.x):
        raise TlbenchError(
            f"labels_of_keys has {len(options.labels_of_keys)} labels and x {len(options.x)} keys. Name one for each."
        )
    if len(options.x) != len(options.y):
        raise TlbenchError(f"x names {len(options.x)} keys and y {len(options.y)}. Each key of x needs one of y.")
    file = files.find(root, options.path)
    arrays = npz.read_arrays(file, [*options.x, *options.y])
    xs, ys = arrays[: len(options.x)], arrays[len(options.x) :]
    for name, x, y in zip(options.x, xs, ys, strict=True):
        if x.ndim != 3 or x.dtype.kind not in "biuf":
            raise TlbenchError(
                f"The array {name!r} is {x.dtype} {x.shape}. Windows must be numbers with a time and a channel axis."
            )
        if x.shape[1:] != xs[0].shape[1:]:
            raise TlbenchError(
                f"The windows of {name!r} are {x.shape[1:]}, those of {options.x[0]!r} {xs[0].shape[1:]}. All need one shape."
            )
        if len(x) != y.size:
            raise TlbenchError(f"The array {name!r} has {len(x)} windows and {y.size} labels. Each window needs one label.")
    x_NCT = np.concatenate(xs).astype(np.float32, copy=False)
    if options.layout == "time_channel":
        x_NCT = x_NCT.transpose(0, 2, 1)
    windows = f"{x_NCT.shape[0]:,} windows of {x_NCT.shape[1]} channels x {x_NCT.shape[2]} time steps"
    reading = f"samples {', '.join(options.x)}, {windows}; labels {', '.join(options.y)}"
    left_out = array_files.unnamed({*npz.names_of(file)} - {*options.x, *options.y})
    y_N = np.concatenate([y.reshape(-1) for y in ys])
    if options.labels_of_keys:
        y_N = np.stack([y_N, np.repeat(options.labels_of_keys, [len(x) for x in xs])], axis=1)
    return ReaderResult(x_NCT, y_N, reading=(reading, *left_out))
