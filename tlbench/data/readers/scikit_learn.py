"""Small data sets that come with scikit-learn: handwritten digits, breast cancer, wine, iris.

The digits (UCI, 1,797 samples of 8x8 pixels from 0 to 16) become byte images (N, 1, 8, 8) from 0 to 255.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from tlbench.terms import Strict

PATH_KEYS = ()


class Options(Strict, strict=True):
    """The data set."""

    name: Annotated[
        Literal["digits", "breast_cancer", "wine", "iris"], Field(description="digits, breast_cancer, wine or iris")
    ]


def read(options: Options, root: Path) -> tuple[Any, Any]:
    """Samples (N, D), images for the digits, and class names (N,); nothing is read from the data root."""
    from sklearn import datasets

    bunch = getattr(datasets, f"load_{options.name}")()
    x, y = bunch.data, bunch.target_names[bunch.target]
    if options.name == "digits":
        x = np.rint(x * (255 / 16)).astype(np.uint8).reshape(-1, 1, 8, 8)
    return x, y
