"""Pairs of IDX images, one overlaid on the other with a shift: two label columns, `left` and `right` (MultiMNIST).

Sabour, Frosst and Hinton, Dynamic routing between capsules, NeurIPS 2017. https://arxiv.org/abs/1710.09829
In the form of Sener and Koltun, Multi-task learning as multi-objective optimization, NeurIPS 2018 (without their resizing): the
left image lies in the upper left corner of a larger canvas, the right one in the lower right corner. https://arxiv.org/abs/1810.04650
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field

from tlbench.data.decoding.arrays import ReaderResult
from tlbench.data.readers import idx
from tlbench.errors import TlbenchError

PATH_KEYS = idx.PATH_KEYS


class Options(idx.Options, strict=True):
    """The two files, and how the pairs are made."""

    offset: Annotated[int, Field(ge=1, le=28, description="pixels by which the right image lies further down and right")] = 4
    pairs: Annotated[int, Field(ge=2, le=10**6, description="the number of pairs")] = 10_000
    seed: Annotated[int, Field(ge=0, description="of the draw of the pairs")] = 0


def read(options: Options, root: Path) -> ReaderResult:
    """Images (N, 1, height + offset, width + offset), the maximum of both, and labels (N, 2).

    Raises:
        TlbenchError: a file that is not there, is truncated, or is not IDX; or images that are not grey bytes.
    """
    single = idx.read(options, root)
    x, y = np.asarray(single.x), np.asarray(single.y)
    if x.ndim != 4 or x.dtype != np.uint8:
        raise TlbenchError(f"The images are {x.dtype} {x.shape}; pairs are made of grey images of bytes.")
    rng = np.random.default_rng(options.seed)
    left, right = (rng.integers(len(x), size=options.pairs) for _ in range(2))
    height, width = x.shape[2:]
    canvas = np.zeros((options.pairs, 1, height + options.offset, width + options.offset), dtype=np.uint8)
    canvas[:, :, :height, :width] = x[left]
    lower_right = canvas[:, :, options.offset :, options.offset :]
    np.maximum(lower_right, x[right], out=lower_right)
    reading = (
        *single.reading,
        f"{options.pairs:,} random pairs, the right image {options.offset} pixels further down and right",
    )
    return ReaderResult(canvas, np.stack([y[left], y[right]], axis=1), targets=("left", "right"), reading=reading)
