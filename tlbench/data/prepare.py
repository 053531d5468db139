"""Declared preparations: what is done to a domain's rows before they become tensors.

A preparation is a function `(x, main, *, options) -> x`: x the rows to change, main the rows of the domain's main part,
which statistics come from (so that test rows are prepared as the main ones). Adding a function adds a preparation.
"""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from pydantic import Field

from tlbench.data.arrays import Array, dense, is_sparse
from tlbench.data.kinds import Kinds
from tlbench.terms import TlbenchError

kinds = Kinds(__name__, ("x", "main"))
names = kinds.names
summaries = kinds.summaries

CHUNK = 4096
"""Images that are resized at once."""


def row_sum(x: Any, main: Any) -> Any:
    """Divide each row by its sum; a row that sums to 0 stays as it is."""
    return _divided(x, x.sum(axis=1) if is_sparse(x) else _flat(x).sum(axis=1, dtype=np.float64))


def l2(x: Any, main: Any) -> Any:
    """Give each row the Euclidean length 1; a row of zeros stays one."""
    squares = x.multiply(x).sum(axis=1) if is_sparse(x) else np.square(_flat(x), dtype=np.float64).sum(axis=1)
    return _divided(x, np.sqrt(squares))


def zscore(x: Any, main: Any, *, ddof: Annotated[int, Field(ge=0, le=1)] = 0) -> Array:
    """Centre each feature and divide it by its standard deviation over the main rows; a constant feature becomes 0."""
    same = x is main
    x = dense(x)
    main = x if same else dense(main)
    mean, std = main.mean(axis=0, dtype=np.float64), _std(main, ddof)
    constant = std == 0
    return np.asarray(np.where(constant, 0.0, (x - mean) / np.where(constant, 1.0, std)))


def log1p(x: Any, main: Any) -> Any:
    """Take log(1 + x) of each feature, for counts; values of -1 and below are refused."""
    low = x.min()
    if low <= -1:
        raise TlbenchError(f"prepare log1p needs values above -1; the smallest is {low:g}")
    return x.log1p() if is_sparse(x) else np.log1p(_floats(x))


def scale(x: Any, main: Any, *, divide: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 255.0) -> Any:
    """Divide by a constant (255 takes bytes to [0, 1])."""
    return _floats(x) / divide


def to_uint8(x: Any, main: Any) -> Array:
    """Turn images in [0, 1] into bytes, so that they are kept small and scaled like other images."""
    images = _images(x, "to_uint8")
    if images.dtype == np.uint8:
        return images
    if images.min() < 0 or images.max() > 1:
        raise TlbenchError(
            f"prepare to_uint8 needs values in [0, 1], these lie in [{images.min():g}, {images.max():g}]; put a scale before it"
        )
    return np.asarray(np.rint(images * 255), dtype=np.uint8)


def resize(x: Any, main: Any, *, size: Annotated[int, Field(gt=0, le=4096)] = 28) -> Array:
    """Resize images to size x size pixels (bilinear, antialiased); bytes stay bytes."""
    images = _images(x, "resize")
    if images.shape[2:] == (size, size):
        return images
    import torch
    from torchvision.transforms.v2 import functional

    out = np.empty((*images.shape[:2], size, size), dtype=images.dtype)
    for start in range(0, len(images), CHUNK):
        part = torch.from_numpy(np.array(images[start : start + CHUNK]))
        out[start : start + CHUNK] = functional.resize(part, [size, size], antialias=True).numpy()
    return out


def grey(x: Any, main: Any) -> Array:
    """Turn colour images into grey ones by luminance (ITU-R 601); grey ones stay as they are."""
    images = _images(x, "grey")
    if images.shape[1] == 1:
        return images
    if images.shape[1] != 3:
        raise TlbenchError(f"prepare grey takes images of 3 channels (or 1), these have {images.shape[1]}")
    weights = np.array([0.299, 0.587, 0.114], dtype=np.float32)
    one = np.einsum("nchw,c->nhw", images, weights)[:, None]
    return np.asarray(np.rint(one) if images.dtype == np.uint8 else one, dtype=images.dtype)


def _images(x: Any, kind: str) -> Array:
    if x.ndim != 4:
        raise TlbenchError(
            f"prepare {kind} is for images (N, channels, height, width); rows are {tuple(x.shape[1:])}: "
            "give their shape, as in shape = [1, 16, 16]"
        )
    return dense(x)


def _flat(x: Array) -> Array:
    return x.reshape(len(x), -1)


def _floats(x: Any) -> Any:
    """Vectors in double precision unless they are floats already; images in single precision, for their size."""
    if x.dtype.kind == "f":
        return x
    return x.astype(np.float32 if x.ndim == 4 else np.float64)


def _std(x: Array, ddof: int) -> Array:
    """Standard deviation of each feature, exactly 0 for a constant one (rounding of the mean would leave a trace)."""
    if len(x) <= ddof:
        raise TlbenchError(f"prepare zscore with ddof = {ddof} needs more than {ddof} rows")
    std: Array = x.std(axis=0, dtype=np.float64, ddof=ddof)
    return np.where((x == x[0]).all(axis=0), 0.0, std)


def _divided(x: Any, by_N: Any) -> Any:
    """Rows divided by one number each, where it is not 0."""
    by_N = np.asarray(by_N, dtype=np.float64).reshape(-1)
    by_N = np.where(by_N == 0, 1.0, by_N)
    if is_sparse(x):
        from scipy import sparse

        return (sparse.diags_array(1 / by_N) @ x).tocsr()
    return x / by_N.reshape(-1, *[1] * (x.ndim - 1))
